using Iced.Intel;
using X86Virt.Engine.Processor;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace X86Virt.Engine.Tests.Svm;

/// <summary>Every intercept of an instruction: its exit code, EXITINFO, RIP on the instruction and nRIP behind it (AMD volume 2, 15.9 to 15.14).</summary>
public unsafe class InterceptTests
{
    private const ulong MovCr = 1UL << 63;

    /// <param name="Write">The instruction, alone.</param>
    /// <param name="Exit">How it leaves.</param>
    /// <param name="Info1">EXITINFO1.</param>
    /// <param name="Harmless">Executed where it is not intercepted, it goes on to the next.</param>
    private sealed record Case(Action<Assembler> Write, SvmExitCode Exit, ulong Info1 = 0, bool Harmless = true);

    /// <summary>RBX is an address in the guest's data, RAX and RDX are 0.</summary>
    private static readonly Dictionary<string, Case> Cases = new()
    {
        ["cpuid"] = new(a => a.cpuid(), SvmExitCode.Cpuid),
        ["rdtsc"] = new(a => a.rdtsc(), SvmExitCode.Rdtsc),
        ["rdtscp"] = new(a => a.rdtscp(), SvmExitCode.Rdtscp),
        ["rdpmc"] = new(a => a.rdpmc(), SvmExitCode.Rdpmc, Harmless: false),
        ["pushf"] = new(a => a.pushfq(), SvmExitCode.Pushf),
        ["popf"] = new(a => a.popfq(), SvmExitCode.Popf),
        ["iret"] = new(a => a.iretq(), SvmExitCode.Iret, Harmless: false),
        ["int 21h"] = new(a => a.@int(0x21), SvmExitCode.SoftwareInterrupt, 0x21, Harmless: false),
        ["int3"] = new(a => a.int3(), SvmExitCode.Exception0 + 3, Harmless: false),
        ["int1"] = new(a => a.int1(), SvmExitCode.Icebp, Harmless: false),
        ["rsm"] = new(a => a.rsm(), SvmExitCode.Rsm, Harmless: false),
        ["invd"] = new(a => a.invd(), SvmExitCode.Invd),
        ["wbinvd"] = new(a => a.wbinvd(), SvmExitCode.Wbinvd),
        ["pause"] = new(a => a.pause(), SvmExitCode.Pause),
        ["hlt"] = new(a => a.hlt(), SvmExitCode.Hlt, Harmless: false),
        ["invlpg"] = new(a => a.invlpg(__[rbx + 0x123]), SvmExitCode.Invlpg, 0x3_8123),
        ["invlpga"] = new(a => a.invlpga(), SvmExitCode.Invlpga),
        ["invpcid"] = new(a => a.invpcid(rax, __xmmword_ptr[rbx]), SvmExitCode.Invpcid, 0x3_8000),
        ["vmmcall"] = new(a => a.vmmcall(), SvmExitCode.Vmmcall),
        ["vmrun"] = new(a => a.vmrun(), SvmExitCode.Vmrun, Harmless: false),
        ["vmload"] = new(a => a.vmload(), SvmExitCode.Vmload),
        ["vmsave"] = new(a => a.vmsave(), SvmExitCode.Vmsave, Harmless: false),
        ["stgi"] = new(a => a.stgi(), SvmExitCode.Stgi),
        ["clgi"] = new(a => a.clgi(), SvmExitCode.Clgi),
        ["monitor"] = new(a => a.monitor(), SvmExitCode.Monitor),
        ["mwait"] = new(a => a.mwait(), SvmExitCode.Mwait),
        ["mov rsi, cr0"] = new(a => a.mov(rsi, cr0), SvmExitCode.Cr0Read, MovCr | 6),
        ["mov r9, cr3"] = new(a => a.mov(r9, cr3), SvmExitCode.Cr0Read + 3, MovCr | 9),
        ["mov rdi, cr8"] = new(a => a.mov(rdi, cr8), SvmExitCode.Cr0Read + 8, MovCr | 7),
        ["mov cr2, rbp"] = new(a => a.mov(cr2, rbp), SvmExitCode.Cr0Write + 2, MovCr | 5),
        ["mov cr4, r12"] = new(a => a.mov(cr4, r12), SvmExitCode.Cr0Write + 4, MovCr | 12, Harmless: false),
        ["mov cr8, rax"] = new(a => a.mov(cr8, rax), SvmExitCode.Cr0Write + 8, MovCr),
        ["smsw"] = new(a => a.smsw(eax), SvmExitCode.Cr0Read),
        ["clts"] = new(a => a.clts(), SvmExitCode.Cr0Write),
        ["lmsw"] = new(a => a.lmsw(ax), SvmExitCode.Cr0Write),
        ["mov rdx, dr3"] = new(a => a.mov(rdx, dr3), SvmExitCode.Dr0Read + 3, 2),
        ["mov dr7, rax"] = new(a => a.mov(dr7, rax), SvmExitCode.Dr0Write + 7),
        ["sgdt"] = new(a => a.sgdt(__[rbx]), SvmExitCode.GdtrRead),
        ["sidt"] = new(a => a.sidt(__[rbx]), SvmExitCode.IdtrRead),
        ["lgdt"] = new(a => a.lgdt(__[rbx]), SvmExitCode.GdtrWrite),
        ["lidt"] = new(a => a.lidt(__[rbx]), SvmExitCode.IdtrWrite),
        ["sldt"] = new(a => a.sldt(eax), SvmExitCode.LdtrRead),
        ["str"] = new(a => a.str(__word_ptr[rbx]), SvmExitCode.TrRead),
        ["lldt"] = new(a => a.lldt(ax), SvmExitCode.LdtrWrite),
        ["ltr"] = new(a => a.ltr(ax), SvmExitCode.TrWrite, Harmless: false),
    };

    public static TheoryData<string> Names => [.. Cases.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public void LeavesTheGuestInFrontOfTheInstruction(string name) => GuestBench.OnEveryEngine(bench =>
    {
        Case c = Cases[name];
        int length = BareCpu.Assemble(64, c.Write, GuestBench.GuestCode).Length;
        bench.Guest(a => { a.nop(); a.mov(ebx, 0x3_8000); a.xor(eax, eax); a.xor(edx, edx); a.mov(ecx, 0); c.Write(a); });
        ulong at = GuestBench.GuestCode + 1 + 5 + 2 + 2 + 5;
        bench.Intercepting(c.Exit);
        Assert.Equal((c.Exit, c.Info1, 0UL), (bench.Run(), bench.Vmcb->ExitInfo1, bench.Vmcb->ExitInfo2));
        Assert.Equal((at, at + (ulong)length, 0UL), (bench.Vmcb->Rip, bench.Vmcb->NextRip, bench.Vmcb->ExitIntInfo.Value));
        Assert.Equal((0UL, 0x3_8000UL, GuestBench.GuestStack), (bench.Vmcb->Rax, bench.State->Rbx, bench.Vmcb->Rsp));
    }, "Monitor");

    /// <summary>A guest that intercepts nothing of it executes the instruction, and leaves behind it.</summary>
    [Theory]
    [MemberData(nameof(Names))]
    public void ExecutesWhatIsNotIntercepted(string name) => GuestBench.OnEveryEngine(bench =>
    {
        Case c = Cases[name];
        if (!c.Harmless)
            return;
        byte[] code = bench.Guest(a => { a.mov(ebx, 0x3_8000); a.mov(r12, cr4); a.xor(eax, eax); a.xor(edx, edx); a.mov(ecx, 0); c.Write(a); });
        Assert.Equal(SvmExitCode.Vmmcall, bench.Run());
        int tail = c.Exit == SvmExitCode.Vmmcall ? 7 : 4;
        Assert.Equal(GuestBench.GuestCode + (ulong)(code.Length - tail), bench.Vmcb->Rip);
    }, "Monitor");

    /// <summary>LMSW leaves whatever it changes, as it would where all writes are intercepted (15.8.1).</summary>
    [Theory]
    [InlineData((int)Cr0.Mp)]
    [InlineData(0)]
    public void LmswIsASelectiveWriteInAnyCase(int bits) => GuestBench.OnEveryEngine(bench =>
    {
        bench.Vmcb->Cr0 &= ~Cr0.Mp;
        bench.Guest(a => { a.smsw(eax); a.or(eax, bits); a.lmsw(ax); });
        bench.Intercepting(SvmExitCode.Cr0SelectiveWrite);
        Assert.Equal((SvmExitCode.Cr0SelectiveWrite, 0UL, 0UL), (bench.Run(), bench.Vmcb->ExitInfo1, bench.Vmcb->Cr0 & Cr0.Mp));
    });

    [Fact]
    public void ExceptionsOfTheInstructionComeFirst() => GuestBench.OnEveryEngine(bench =>
    {
        bench.Guest(a => a.rdtsc());
        bench.Intercepting(SvmExitCode.Rdtsc);
        bench.Intercepting(SvmExitCode.Exception0 + 13);
        bench.Vmcb->Cr4 |= Cr4.Tsd;
        bench.Cpu.Memory.Write(0x1000, 0x2007UL);
        bench.Cpu.Memory.Write(0x2000, 0x87UL);
        bench.Vmcb->Cpl = 3;
        Assert.Equal(SvmExitCode.Exception0 + 13, bench.Run());
        Assert.Equal((0UL, GuestBench.GuestCode, 0UL), (bench.Vmcb->ExitInfo1, bench.Vmcb->Rip, bench.Vmcb->NextRip));
    });

    [Fact]
    public void XsetbvLeavesWhateverItsValueIs() => GuestBench.OnEveryEngine(bench =>
    {
        bench.Guest(a => { a.mov(eax, 2); a.xor(edx, edx); a.xor(ecx, ecx); a.xsetbv(); });
        bench.Intercepting(SvmExitCode.Xsetbv);
        bench.Vmcb->Cr4 |= Cr4.Osxsave;
        Assert.Equal((SvmExitCode.Xsetbv, GuestBench.GuestCode + 9), (bench.Run(), bench.Vmcb->Rip));
    });

    /// <summary>The descriptor's address and the type; hypervisors with shadow page tables emulate by them.</summary>
    [Fact]
    public void InvpcidTellsItsOperands() => GuestBench.OnEveryEngine(bench =>
    {
        bench.Guest(a => { a.mov(ebx, 0x3_8000); a.mov(esi, 2); a.invpcid(rsi, __xmmword_ptr[rbx + 0x20]); });
        bench.Intercepting(SvmExitCode.Invpcid);
        Assert.Equal((SvmExitCode.Invpcid, 0x3_8020UL, 2UL), (bench.Run(), bench.Vmcb->ExitInfo1, bench.Vmcb->ExitInfo2));
    });

    /// <summary>Memory that MONITOR cannot read faults first.</summary>
    [Fact]
    public void MonitorLeavesBehindItsFaults() => GuestBench.OnEveryEngine(bench =>
    {
        bench.Guest(a => { a.mov(rax, 1L << 40); a.xor(ecx, ecx); a.monitor(); });
        bench.Intercepting(SvmExitCode.Monitor);
        bench.Intercepting(SvmExitCode.Exception0 + 14);
        Assert.Equal(SvmExitCode.Exception0 + 14, bench.Run());
    }, "Monitor");

    [Theory]
    [InlineData(Cr0.Ts, SvmExitCode.Vmmcall)]
    [InlineData(Cr0.Mp, SvmExitCode.Vmmcall)]
    [InlineData(Cr0.Am, SvmExitCode.Cr0SelectiveWrite)]
    [InlineData(Cr0.Wp, SvmExitCode.Cr0SelectiveWrite)]
    public void SelectiveWritesOfCr0LeaveForMoreThanTsAndMp(ulong bit, SvmExitCode expected) => GuestBench.OnEveryEngine(bench =>
    {
        bench.Guest(a => { a.mov(rax, cr0); a.xor(rax, (int)bit); a.mov(cr0, rax); });
        bench.Intercepting(SvmExitCode.Cr0SelectiveWrite);
        Assert.Equal(expected, bench.Run());
        Assert.Equal(expected == SvmExitCode.Cr0SelectiveWrite ? MovCr : 0, bench.Vmcb->ExitInfo1);
    });

    [Theory]
    [InlineData(1, 0x60, 1, 0x60, true)]
    [InlineData(1, 0x60, 1, 0x61, false)]
    [InlineData(4, 0x60, 1, 0x63, true)]
    [InlineData(4, 0x60, 1, 0x64, false)]
    [InlineData(2, 0x7, 1, 0x8, true)]
    [InlineData(2, 0xFFFF, 1, 0x1_0000, true)]
    [InlineData(2, 0xFFFF, 1, 0xFFFF, true)]
    public void PortsLeaveByTheirMap(int size, int port, int width, int marked, bool leaves) => GuestBench.OnEveryEngine(bench =>
    {
        bench.Guest(a =>
        {
            a.mov(edx, port);
            if (size == 1)
                a.@in(al, dx);
            else if (size == 2)
                a.@in(ax, dx);
            else
                a.@in(eax, dx);
        });
        bench.Intercepting(SvmExitCode.Port);
        bench.Cpu.Memory.Write(GuestBench.PortMap + (ulong)marked / 8, (byte)(((1 << width) - 1) << (marked & 7)));
        ulong next = GuestBench.GuestCode + 5 + (size == 2 ? 2u : 1u);
        if (!leaves)
            Assert.Equal(SvmExitCode.Vmmcall, bench.Run());
        else
            Assert.Equal((SvmExitCode.Port, (ulong)port << 16 | (ulong)size << 4 | 1, next), (bench.Run(), bench.Vmcb->ExitInfo1, bench.Vmcb->ExitInfo2));
        Assert.Equal(leaves ? 0 : 1, bench.Cpu.Bus.PortAccesses.Count);
    });

    [Fact]
    public void StringsOfPortsTellPrefixSegmentAndAddressSize() => GuestBench.OnEveryEngine(bench =>
    {
        bench.Guest(a => { a.mov(edx, 0x80); a.mov(ecx, 3); a.mov(esi, 0x3_8000); a.db(0x67, 0x65, 0xF3, 0x6E); });
        bench.Intercepting(SvmExitCode.Port);
        bench.Cpu.Memory.Write(GuestBench.PortMap + 0x10, (byte)1);
        const ulong Rep = 8, String = 4, Address32 = 2 << 7, Gs = 5 << 10;
        Assert.Equal((SvmExitCode.Port, 0x80UL << 16 | 1 << 4 | Rep | String | Address32 | Gs), (bench.Run(), bench.Vmcb->ExitInfo1));
        Assert.Equal((GuestBench.GuestCode + 15, GuestBench.GuestCode + 19, 3UL), (bench.Vmcb->Rip, bench.Vmcb->ExitInfo2, bench.State->Rcx));
    });

    [Theory]
    [InlineData(0x174u, 0x174u, 0x000)]
    [InlineData(0xC000_0082u, 0x82u, 0x800)]
    [InlineData(0xC001_0015u, 0x15u, 0x1000)]
    public void MsrsLeaveByTheirMap(uint index, uint number, int part) => GuestBench.OnEveryEngine(bench =>
    {
        ulong place = GuestBench.MsrMap + (ulong)part + number / 4;
        int shift = (int)(number % 4) * 2;
        bench.Intercepting(SvmExitCode.Msr);
        for (int write = 0; write < 2; write++)
        {
            foreach (int mark in (int[])[0, 1, 2])
            {
                bench.Vmcb->Rip = GuestBench.GuestCode;
                bench.Guest(a =>
                {
                    a.mov(ecx, index);
                    if (write == 1)
                        a.wrmsr();
                    else
                        a.rdmsr();
                });
                bench.Vmcb->Rax = 0;
                bench.State->Rdx = 0;
                bench.Cpu.Memory.Write(place, (byte)(mark << shift));
                if (mark == write + 1)
                    Assert.Equal((SvmExitCode.Msr, (ulong)write, GuestBench.GuestCode + 5), (bench.Run(), bench.Vmcb->ExitInfo1, bench.Vmcb->Rip));
                else
                    Assert.Equal(SvmExitCode.Vmmcall, bench.Run());
            }
        }
    });

    [Fact]
    public void MsrsBesideTheMapAlwaysLeave() => GuestBench.OnEveryEngine(bench =>
    {
        bench.Guest(a => { a.mov(ecx, 0x4000_0000); a.rdmsr(); });
        bench.Intercepting(SvmExitCode.Msr);
        Assert.Equal(SvmExitCode.Msr, bench.Run());
    });

    [Fact]
    public void ThePauseFilterCountsDown() => GuestBench.OnEveryEngine(bench =>
    {
        bench.Guest(a =>
        {
            Label loop = a.CreateLabel();
            a.xor(ebx, ebx);
            a.Label(ref loop);
            a.inc(ebx);
            a.pause();
            a.jmp(loop);
        });
        bench.Intercepting(SvmExitCode.Pause);
        bench.Vmcb->PauseFilterCount = 5;
        Assert.Equal((SvmExitCode.Pause, 6UL), (bench.Run(), bench.State->Rbx));
    });

    /// <summary>Loops that are longer than the threshold never use the filter up.</summary>
    [Theory]
    [InlineData(2, SvmExitCode.Vmmcall)]
    [InlineData(100, SvmExitCode.Pause)]
    public void PausesFarApartStartTheFilterAnew(int threshold, SvmExitCode expected) => GuestBench.OnEveryEngine(bench =>
    {
        bench.Guest(a =>
        {
            Label loop = a.CreateLabel();
            a.mov(ebx, 20);
            a.Label(ref loop);
            a.nop();
            a.nop();
            a.pause();
            a.dec(ebx);
            a.jnz(loop);
        });
        bench.Intercepting(SvmExitCode.Pause);
        bench.Vmcb->PauseFilterCount = 5;
        bench.Vmcb->PauseFilterThreshold = (ushort)threshold;
        Assert.Equal(expected, bench.Run());
    });

    [Theory]
    [InlineData(true, SvmExitCode.MwaitArmed)]
    [InlineData(false, SvmExitCode.Vmmcall)]
    public void MwaitCanLeaveOnlyWhereMonitorHasArmedIt(bool armed, SvmExitCode expected) => GuestBench.OnEveryEngine(bench =>
    {
        bench.Guest(a =>
        {
            a.mov(eax, 0x3_8000);
            a.xor(ecx, ecx);
            a.xor(edx, edx);
            if (armed)
                a.monitor();
            a.mwait();
        });
        bench.Intercepting(SvmExitCode.MwaitArmed);
        Assert.Equal(expected, bench.Run());
    }, "Monitor");
}
