using Iced.Intel;
using X86Virt.Engine.Processor;
using X86Virt.Engine.Tests.SystemInstructions;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace X86Virt.Engine.Tests.Translation;

/// <summary>
/// SYSCALL, SYSRET, SWAPGS, RDTSC and MOV from control registers as translated code executes them by itself: loops of them on the translator and on the
/// decoded cache leave the same state.
/// </summary>
public unsafe class SystemCallPathTests
{
    private const ulong Kernel = 0x2_0000;
    private const int Calls = 200;

    public static TheoryData<ulong, ulong> Masks => new()
    {
        // SFMASK, and bits of CR4: everything Linux masks, with SMAP and without; nothing; AC left alone where it matters.
        { 0x47FD5, 0 },
        { 0x47FD5, Cr4.Smap },
        { 0, 0 },
        { Flags.If | Flags.Df, Cr4.Smap },
        { 0x8D5, Cr4.Smap },
    };

    [Theory, MemberData(nameof(Masks))]
    public void SystemCallsAreTheSameAsInTheDecodedCache(ulong mask, ulong cr4)
    {
        string decoded = Run("DecodedCache", mask, cr4, out _), translated = Run("BinaryTranslation", mask, cr4, out long callouts);
        Assert.Equal(decoded, translated);
        // What may need a handler each time is a mask that leaves AC to decide.
        if ((cr4 & Cr4.Smap) == 0 || (mask & Flags.Ac) != 0)
            Assert.InRange(callouts, 0, Calls);
    }

    /// <summary>The call's number picks flags that the kernel returns with; a few of them need the handler.</summary>
    private static string Run(string engine, ulong mask, ulong cr4, out long callouts)
    {
        using var cpu = new BareCpu(64, BareCpu.Engines[engine], model: ProcessorModel.Parse(null, ["+Smap"]));
        CpuState* s = cpu.State;
        cpu.EnterUser();
        s->Efer |= Efer.Sce;
        s->Cr4 |= cr4;
        s->Star = 0x0023_0010UL << 32;
        s->LStar = Kernel;
        s->SfMask = mask;
        s->KernelGsBase = 0x5000;
        s->SystemFlags |= Flags.If;
        // The kernel's own page and its stack are the supervisor's, so that SMAP has nothing against them.
        cpu.Memory.Write(0x1000, 0x2007UL);
        cpu.Memory.Write(0x2000, 0x3007UL);
        for (ulong page = 0; page < 512; page++)
            cpu.Memory.Write(0x3000 + page * 8, page << 21 | 0x87);
        cpu.Memory.Write(0x3008, 0x8000_0000_0000_0000 | 0x83);
        cpu.Cpu.FlushTlb(keepGlobal: false);
        ModeChange.Update(cpu.Cpu);
        cpu.Memory.Write(Kernel, BareCpu.Assemble(64, WriteKernel, Kernel));
        byte[] user = BareCpu.Assemble(64, WriteUser);
        cpu.Run(user, 40 * Calls);
        callouts = (cpu.Engine as BinaryTranslation)?.Callouts ?? 0;
        Assert.Equal(0UL, s->Rbp);
        return $"{s->Retired} {s->Rip:x} {s->Rax:x} {s->Rcx:x} {s->Rdx:x} {s->Gpr[11]:x} {Flags.Rflags(s):x} {s->Cpl} {s->AccessMode} {s->KernelGsBase:x} "
            + $"{CpuState.Seg(s, Segment.Cs)->Selector:x} {CpuState.Seg(s, Segment.Ss)->Attributes} {cpu.Cpu.Statistics.Syscalls} {cpu.Cpu.Statistics.ControlRegisterReads} "
            + string.Join(',', cpu.Cpu.ExceptionHistory.ToList().Select(e => e.Vector));
    }

    private static void WriteUser(Assembler a)
    {
        Label again = a.CreateLabel();
        a.mov(ebp, Calls);
        a.xor(eax, eax);
        a.Label(ref again);
        a.add(rax, rbp);
        a.syscall();
        a.pushfq();
        a.pop(rdx);
        a.add(rax, rdx);
        a.ror(rax, 7);
        a.mov(edx, cs);
        a.add(rax, rdx);
        a.dec(ebp);
        a.jne(again);
        Label here = a.CreateLabel();
        a.Label(ref here);
        a.jmp(here);
    }

    private static void WriteKernel(Assembler a)
    {
        Label plain = a.CreateLabel();
        a.swapgs();
        a.add(rax, r11);
        a.ror(rax, 5);
        a.xor(rax, rcx);
        a.mov(edx, ss);
        a.add(rax, rdx);
        a.mov(rdx, cr0);
        a.xor(rax, rdx);
        a.mov(rdx, cr3);
        a.add(rax, rdx);
        a.lahf();
        // Mostly the flags that came; now and then others, some of which translated code leaves to the handler.
        a.test(ebp, 15);
        a.jne(plain);
        a.imul(r11d, ebp, 0x35);
        a.and(r11d, 0x2406D5);
        a.or(r11d, 0x202);
        a.Label(ref plain);
        a.swapgs();
        a.sysretq();
    }

    [Fact]
    public void TimeIsTheRetiredInstructionsWhereverItIsRead()
    {
        string[] seen = [.. new[] { "DecodedCache", "BinaryTranslation" }.Select(engine =>
        {
            using var cpu = new BareCpu(64, BareCpu.Engines[engine]);
            cpu.Bus.Ticks = () => (ulong)cpu.State->Retired + 1000;
            cpu.State->TscOffset = 77;
            cpu.State->TscAux = 5;
            cpu.Run(BareCpu.Assemble(64, a =>
            {
                Label again = a.CreateLabel();
                a.mov(ebp, 50);
                a.Label(ref again);
                a.rdtsc();
                a.add(rbx, rax);
                a.ror(rbx, 3);
                a.rdtscp();
                a.add(rbx, rax);
                a.add(rbx, rcx);
                a.ror(rbx, 3);
                a.dec(ebp);
                a.jne(again);
            }), 2 + 50 * 9);
            return $"{cpu.State->Rbx:x} {cpu.State->Rdx:x} {cpu.State->Retired} {cpu.Cpu.Statistics.TimeStampReads}";
        })];
        Assert.Equal(seen[0], seen[1]);
        Assert.EndsWith(" 100", seen[0]);
    }
}
