using Iced.Intel;
using X86Virt.Engine.Memory;
using X86Virt.Engine.Processor;
using X86Virt.Engine.Tests.SystemInstructions;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace X86Virt.Engine.Tests.Svm;

/// <summary>VMRUN and #VMEXIT, what VMRUN refuses, SVM's registers and other instructions (AMD volume 2, 15.5, 15.6 and 15.30).</summary>
public unsafe class WorldSwitchTests
{
    private const ulong Code = GuestBench.GuestCode;

    [Fact]
    public void TheHostGoesOnBehindVmrunWithItsState() => GuestBench.OnEveryEngine(bench =>
    {
        CpuState* s = bench.State;
        s->Gdtr = new DescriptorTableRegister { Base = 0x1_2345, Limit = 0x77 };
        s->Idtr = new DescriptorTableRegister { Base = 0x5_4321, Limit = 0x88 };
        (ulong, ulong, ulong, ulong, ulong) registers = (s->Cr0, s->Cr3, s->Cr4, s->Efer, s->Rsp);
        SegmentRegister data = *CpuState.Seg(s, Segment.Ds);
        bench.Guest(a =>
        {
            a.mov(rsp, 0x3_7000);
            a.xor(eax, eax);
            a.mov(ds, eax);
            a.mov(rax, cr4);
            a.or(rax, (int)Cr4.Pge);
            a.mov(cr4, rax);
            a.lgdt(__[0x3_8000]);
            a.sti();
            a.mov(r15d, 0x99);
            a.mov(eax, 0x55);
        });
        Assert.Equal(SvmExitCode.Vmmcall, bench.Run());
        Assert.Equal(registers, (s->Cr0, s->Cr3, s->Cr4, s->Efer, s->Rsp));
        Assert.Equal((data.Selector, 0x1_2345UL, 0x5_4321UL, GuestBench.VmcbAddress), (CpuState.Seg(s, Segment.Ds)->Selector, s->Gdtr.Base, s->Idtr.Base, s->Rax));
        Assert.Equal((true, 0UL, 0x99UL), (s->GlobalInterruptsOff, (ulong)(s->SystemFlags & Flags.If), s->Gpr[15]));
        Assert.Equal((0UL, 0x3_7000UL, 0x55UL, (ulong)Flags.If), ((ulong)bench.Vmcb->Ds.Selector, bench.Vmcb->Rsp, bench.Vmcb->Rax, bench.Vmcb->Rflags & Flags.If));
        Assert.Equal(Cr4.Pge, bench.Vmcb->Cr4 & Cr4.Pge);
        Assert.Equal(0x400UL, s->Dr[7]);
    });

    [Fact]
    public void VmloadAndVmsaveMoveTheRest() => GuestBench.OnEveryEngine(bench =>
    {
        Vmcb* v = bench.Vmcb;
        v->Fs.Base = 0x7FFF_1234_5678;
        v->Gs.Base = 0xFFFF_8000_0000_0000;
        (v->Star, v->LStar, v->CStar, v->SfMask, v->KernelGsBase) = (1, 2, 3, 4, 5);
        (v->SysenterCs, v->SysenterEsp, v->SysenterEip) = (6, 7, 8);
        bench.Guest(a => { a.rdfsbase(rsi); a.rdgsbase(rdi); a.mov(ecx, 0xC000_0082); a.mov(eax, 0x1234); a.xor(edx, edx); a.wrmsr(); a.swapgs(); });
        v->Cr4 |= Cr4.Fsgsbase;
        Assert.Equal(SvmExitCode.Vmmcall, bench.Run());
        Assert.Equal((0x7FFF_1234_5678UL, 0xFFFF_8000_0000_0000UL), (bench.State->Rsi, bench.State->Rdi));
        Assert.Equal((0x1234UL, 5UL, 0xFFFF_8000_0000_0000UL, 1UL, 8UL), (v->LStar, v->Gs.Base, v->KernelGsBase, v->Star, v->SysenterEip));
    });

    private static readonly Dictionary<string, Action<GuestBench>> Mistakes = new()
    {
        ["no VMRUN intercept"] = b => b.Vmcb->Intercepts[4] &= ~1u,
        ["ASID 0"] = b => b.Vmcb->Asid = 0,
        ["no EFER.SVME"] = b => b.Vmcb->Efer &= ~Efer.Svme,
        ["reserved EFER"] = b => b.Vmcb->Efer |= 1UL << 9,
        ["CR0 above 32 bits"] = b => b.Vmcb->Cr0 |= 1UL << 32,
        ["NW without CD"] = b => b.Vmcb->Cr0 = (b.Vmcb->Cr0 & ~Cr0.Cd) | Cr0.Nw,
        ["CR3 beyond memory"] = b => b.Vmcb->Cr3 |= 1UL << 45,
        ["reserved CR4"] = b => b.Vmcb->Cr4 |= 1UL << 15,
        ["CR4 above 32 bits"] = b => b.Vmcb->Cr4 |= 1UL << 40,
        ["DR6"] = b => b.Vmcb->Dr6 |= 1UL << 32,
        ["DR7"] = b => b.Vmcb->Dr7 |= 1UL << 63,
        ["long mode without PAE"] = b => b.Vmcb->Cr4 &= ~Cr4.Pae,
        ["long mode without PE"] = b => b.Vmcb->Cr0 &= ~Cr0.Pe,
        ["CS.L and CS.D"] = b => b.Vmcb->Cs.Attributes |= SegmentAttributes.Big,
        ["port map beyond memory"] = b => b.Vmcb->PortMap = (1UL << 40) - 0x2000,
        ["MSR map up to the end of memory"] = b => b.Vmcb->MsrMap = (1UL << 40) - 0x2000 + 5,
        ["MSR map beyond memory"] = b => b.Vmcb->MsrMap = (1UL << 40) - 0x1000,
        ["event type 1"] = b => b.Vmcb->EventInjection = new VmcbEvent(GuestBench.Valid | 1 << 8),
        ["exception 2"] = b => b.Vmcb->EventInjection = new VmcbEvent(GuestBench.Valid | 3 << 8 | 2),
        ["exception 33"] = b => b.Vmcb->EventInjection = new VmcbEvent(GuestBench.Valid | 3 << 8 | 33),
        ["#OF in 64-bit mode"] = b => b.Vmcb->EventInjection = new VmcbEvent(GuestBench.Valid | 3 << 8 | 4),
        ["nCR3 beyond memory"] = b => { b.NestPages(); b.Vmcb->NestedCr3 |= 1UL << 50; },
        ["guest PAT"] = b => { b.NestPages(); b.Vmcb->GuestPat = 2; },
    };

    public static TheoryData<string> MistakeNames => [.. Mistakes.Keys];

    [Theory]
    [MemberData(nameof(MistakeNames))]
    public void AnInvalidVmcbIsRefused(string name) => GuestBench.OnEveryEngine(bench =>
    {
        bench.Guest(a => a.nop());
        Mistakes[name](bench);
        Assert.Equal((SvmExitCode.Invalid, Code, true), (bench.Run(), bench.Vmcb->Rip, bench.State->GlobalInterruptsOff));
        Assert.Equal(GuestBench.VmcbAddress, bench.State->Rax);
    });

    /// <summary>Of the port map's third page only three bits are used.</summary>
    [Fact]
    public void ThePortMapMayLieInTheLastThreePages() => GuestBench.OnEveryEngine(bench =>
    {
        bench.Guest(a => a.nop());
        bench.Vmcb->PortMap = (1UL << 40) - 0x3000;
        Assert.Equal(SvmExitCode.Vmmcall, bench.Run());
    });

    /// <summary>TF of the host has its trap behind VMRUN, which is over when the guest has been left; the guest's TF is its own.</summary>
    [Fact]
    public void ASingleStepOverVmrunEndsBehindIt() => GuestBench.OnEveryEngine(bench =>
    {
        BareCpu cpu = bench.Cpu;
        cpu.State->Idtr = new DescriptorTableRegister { Base = GuestBench.GuestIdt, Limit = 0xFFF };
        cpu.State->Gdtr = new DescriptorTableRegister { Base = GuestBench.GuestIdt + 0x1000, Limit = 0x7F };
        ulong handler = bench.Gate(1);
        cpu.Memory.Write(handler, (byte)0xF4);
        bench.Guest(a => { a.nop(); a.nop(); });
        cpu.State->Rax = GuestBench.VmcbAddress;
        byte[] code = BareCpu.Assemble(64, a => { a.pushfq(); a.or(__qword_ptr[rsp], 0x100); a.popfq(); a.vmrun(); });
        cpu.Run([.. code, 0x90, 0x90], 20);
        Assert.Equal((SvmExitCode.Vmmcall, Code + 2), (bench.Vmcb->ExitCode, bench.Vmcb->Rip));
        Assert.Equal((handler + 1, BareCpu.CodeAddress + (ulong)code.Length), (cpu.State->Rip, cpu.Memory.Read<ulong>(cpu.State->Rsp)));
        Assert.Equal(1UL << 14, cpu.State->Dr[6] & 1 << 14);
    });

    [Fact]
    public void AGuestsSingleStepEndsBehindItsFirstInstruction() => GuestBench.OnEveryEngine(bench =>
    {
        ulong handler = bench.Gate(1);
        bench.Vmcb->Rflags |= Flags.Tf;
        bench.Guest(a => { a.nop(); a.nop(); });
        Assert.Equal((SvmExitCode.Vmmcall, handler, Code + 1), (bench.Run(), bench.Vmcb->Rip, bench.Cpu.Memory.Read<ulong>(bench.Vmcb->Rsp)));
        // An instruction that leaves has not completed.
        bench.SetUp();
        bench.Vmcb->Rflags |= Flags.Tf;
        bench.Guest(_ => { });
        Assert.Equal((SvmExitCode.Vmmcall, Code), (bench.Run(), bench.Vmcb->Rip));
    });

    [Theory]
    [InlineData(0x2_0800UL)]
    [InlineData(1UL << 40)]
    [InlineData(0xFEE0_0000UL)]
    public void VmrunWantsAPageOfMemory(ulong address) => GuestBench.OnEveryEngine(bench =>
    {
        bench.State->Rax = address;
        SystemBench.RaisesGeneralProtection(bench.Cpu.Execute(64, a => a.vmrun()));
    });

    [Fact]
    public void WithoutSvmeTheInstructionsAreInvalid() => GuestBench.OnEveryEngine(bench =>
    {
        bench.State->Efer &= ~Efer.Svme;
        SystemBench.RaisesInvalidOpcode(bench.Cpu.Execute(64, a => a.vmload()));
    });

    [Fact]
    public void SkinitIsInvalid() => GuestBench.OnEveryEngine(bench => SystemBench.RaisesInvalidOpcode(bench.Cpu.Execute(64, a => a.skinit())));

    [Fact]
    public void VmmcallOutsideAGuestIsInvalid() => GuestBench.OnEveryEngine(bench => SystemBench.RaisesInvalidOpcode(bench.Cpu.Execute(64, a => a.vmmcall())));

    [Fact]
    public void VmCrDisablesAndLocks() => GuestBench.OnEveryEngine(bench =>
    {
        const ulong Lock = 8, Disable = 16;
        Cpu cpu = bench.Cpu.Cpu;
        Assert.False(ModelSpecificRegisters.TryWrite(cpu, 0xC001_0114, Disable));
        cpu.State->Efer &= ~Efer.Svme;
        Assert.True(ModelSpecificRegisters.TryWrite(cpu, 0xC001_0118, 0x1234));
        Assert.True(ModelSpecificRegisters.TryWrite(cpu, 0xC001_0114, Disable | Lock));
        Assert.False(ModelSpecificRegisters.TryWrite(cpu, 0xC000_0080, cpu.State->Efer | Efer.Svme));
        Assert.True(ModelSpecificRegisters.TryWrite(cpu, 0xC001_0114, 0));
        Assert.True(ModelSpecificRegisters.TryRead(cpu, 0xC001_0114, out ulong value));
        Assert.Equal(Disable | Lock, value);
        Assert.True(ModelSpecificRegisters.TryWrite(cpu, 0xC001_0118, 0x1234));
        Assert.True(ModelSpecificRegisters.TryWrite(cpu, 0xC001_0114, 0));
        Assert.True(ModelSpecificRegisters.TryWrite(cpu, 0xC000_0080, cpu.State->Efer | Efer.Svme));
    });

    [Fact]
    public void VmCrHasTheProcessorIgnoreTheA20Gate() => GuestBench.OnEveryEngine(bench =>
    {
        PhysicalMemory memory = bench.Cpu.Memory;
        memory.A20 = false;
        Assert.Equal(~(1UL << 20), memory.AddressMask);
        Assert.True(ModelSpecificRegisters.TryWrite(bench.Cpu.Cpu, 0xC001_0114, 4));
        Assert.Equal((~0UL, false), (memory.AddressMask, memory.A20));
        Assert.True(ModelSpecificRegisters.TryWrite(bench.Cpu.Cpu, 0xC001_0114, 0));
        Assert.Equal(~(1UL << 20), memory.AddressMask);
    });

    [Fact]
    public void CpuidReportsWhatThereIs() => GuestBench.OnEveryEngine(bench =>
    {
        bench.State->Rax = 0x8000_000A;
        Assert.Null(bench.Cpu.Execute(64, a => a.cpuid()));
        Assert.Equal((1UL, 0x1_14FFUL), (bench.State->Rax, bench.State->Rdx));
        bench.State->Rax = 0x8000_0001;
        Assert.Null(bench.Cpu.Execute(64, a => a.cpuid()));
        Assert.Equal(4UL, bench.State->Rcx & 4);
    });

    [Fact]
    public void TheTimeStampIsScaledAndShifted() => GuestBench.OnEveryEngine(bench =>
    {
        bench.Cpu.Bus.TimeStamp = 1000;
        bench.Cpu.Cpu.Svm!.TscRatio = 5UL << 31;
        bench.Vmcb->TscOffset = 7;
        bench.Guest(a => { a.rdtsc(); a.mov(esi, eax); a.mov(ecx, 0x10); a.rdmsr(); a.mov(edi, eax); });
        Assert.Equal((SvmExitCode.Vmmcall, 2507UL, 2507UL), (bench.Run(), bench.State->Rsi, bench.State->Rdi));
        Assert.Equal(1000UL, bench.Cpu.Cpu.TimeStamp);
    });

    /// <summary>Two address spaces whose pages differ; the TLB keeps one's until it is told otherwise.</summary>
    [Theory]
    [InlineData(1u, TlbControl.Nothing, 0x11UL)]
    [InlineData(1u, TlbControl.FlushGuest, 0x22UL)]
    [InlineData(1u, TlbControl.FlushAll, 0x22UL)]
    [InlineData(2u, TlbControl.Nothing, 0x22UL)]
    public void TheTlbKeepsAnAddressSpaceUntilItIsFlushed(uint asid, object control, ulong expected) => GuestBench.OnEveryEngine(bench =>
    {
        const ulong Data = 0x3_8000, Elsewhere = 0x9_0000;
        bench.NestPages();
        bench.Cpu.Memory.Write(Data, 0x11UL);
        bench.Cpu.Memory.Write(Elsewhere, 0x22UL);
        bench.Guest(a => { a.mov(ebx, (int)Data); a.mov(rsi, __[rbx]); });
        Assert.Equal((SvmExitCode.Vmmcall, 0x11UL), (bench.Run(), bench.State->Rsi));
        bench.Cpu.Memory.Write(GuestBench.NestedEntry(Data), Elsewhere | 7);
        bench.Vmcb->Rip = Code;
        bench.Vmcb->Asid = asid;
        bench.Vmcb->TlbControl = (TlbControl)control;
        Assert.Equal((SvmExitCode.Vmmcall, expected), (bench.Run(), bench.State->Rsi));
    });

    [Fact]
    public void InvlpgaDropsAPageOfAnAddressSpace() => GuestBench.OnEveryEngine(bench =>
    {
        const ulong Data = 0x3_8000, Elsewhere = 0x9_0000, Tables = 0x9_1000;
        bench.Cpu.Memory.Write(Tables, Tables + 0x1000 | 3);
        bench.Cpu.Memory.Write(Tables + 0x1000, Tables + 0x2000 | 3);
        bench.Cpu.Memory.Write(Tables + 0x2000, Tables + 0x3000 | 3);
        for (ulong page = 0; page < 512; page++)
            bench.Cpu.Memory.Write(Tables + 0x3000 + page * 8, page << 12 | 3);
        bench.Cpu.Memory.Write(Data, 0x11UL);
        bench.Cpu.Memory.Write(Elsewhere, 0x22UL);
        bench.Vmcb->Cr3 = Tables;
        bench.Guest(a => { a.mov(ebx, (int)Data); a.mov(rsi, __[rbx]); });
        Assert.Equal((SvmExitCode.Vmmcall, 0x11UL), (bench.Run(), bench.State->Rsi));
        bench.Cpu.Memory.Write(Tables + 0x3000 + (Data >> 9), Elsewhere | 3);
        bench.Vmcb->Rip = Code;
        Assert.Equal(SvmExitCode.Vmmcall, bench.Run());
        if (!bench.Cpu.HasMonitor)
            Assert.Equal(0x11UL, bench.State->Rsi);
        (bench.State->Rax, bench.State->Rcx) = (Data, 1);
        Assert.Null(bench.Cpu.Execute(64, a => a.invlpga()));
        bench.Vmcb->Rip = Code;
        Assert.Equal((SvmExitCode.Vmmcall, 0x22UL), (bench.Run(), bench.State->Rsi));
    });

    [Fact]
    public void EntriesAndExitsAreCounted() => GuestBench.OnEveryEngine(bench =>
    {
        bench.Guest(a => a.cpuid());
        bench.Intercepting(SvmExitCode.Cpuid);
        bench.Run();
        bench.Run();
        SvmCounts counts = bench.Cpu.Cpu.Svm!.Counts;
        Assert.Equal((2L, 2L, 2L), (counts.Entries, counts.Exits(SvmExitCode.Cpuid), counts.AllExits));
    });
}
