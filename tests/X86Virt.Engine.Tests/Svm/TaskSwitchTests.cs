using X86Virt.Engine.Processor;
using Xunit;

namespace X86Virt.Engine.Tests.Svm;

/// <summary>The intercept of task switches, in front of them (AMD volume 2, 15.14.1).</summary>
public unsafe class TaskSwitchTests
{
    private const ulong Gdt = 0x9_0000, Idt = 0x9_1000, OldTask = 0x9_2000, NewTask = 0x9_3000, Code = GuestBench.GuestCode;
    private const ushort Available = 0x28;
    private const ulong Iret = 1UL << 36, Jump = 1UL << 38, ErrorCode = 1UL << 44, Resume = 1UL << 48;

    /// <summary>A guest in 32-bit protected mode without paging, with two tasks.</summary>
    private static void OnEveryEngine(byte[] code, Action<GuestBench> test) => GuestBench.OnEveryEngine(bench =>
    {
        Vmcb* v = bench.Vmcb;
        v->Efer = Efer.Svme;
        v->Cr0 = Cr0.Et | Cr0.Pe;
        v->Cr4 = 0;
        v->Cs = new SegmentRegister { Selector = 8, Limit = uint.MaxValue, Attributes = (SegmentAttributes)0xC9B };
        v->Ds = v->Es = v->Ss = new SegmentRegister { Selector = 16, Limit = uint.MaxValue, Attributes = (SegmentAttributes)0xC93 };
        v->Tr = new SegmentRegister { Selector = 0x20, Base = OldTask, Limit = 0x67, Attributes = (SegmentAttributes)0x8B };
        v->Gdtr = new SegmentRegister { Base = Gdt, Limit = 0x2F };
        v->Idtr = new SegmentRegister { Base = Idt, Limit = 0xFF };
        bench.Cpu.Memory.Write(Gdt + 8, 0x00CF_9B00_0000_FFFFUL);
        bench.Cpu.Memory.Write(Gdt + 16, 0x00CF_9300_0000_FFFFUL);
        bench.Cpu.Memory.Write(Gdt + 0x20, 0x0000_8B09_2000_0067UL);
        bench.Cpu.Memory.Write(Gdt + Available, 0x0000_8909_3000_0067UL);
        const ulong TaskGate = 0x0000_8500_0000_0000 | (ulong)Available << 16;
        bench.Cpu.Memory.Write(Idt + 6 * 8, TaskGate);
        bench.Cpu.Memory.Write(Idt + 13 * 8, TaskGate);
        bench.Cpu.Memory.Write(Idt + 0x10 * 8, TaskGate);
        bench.Cpu.Memory.Write(Code, code);
        bench.Intercepting(SvmExitCode.TaskSwitch);
        test(bench);
        // Nothing of the switch was done.
        Assert.Equal((0x0000_8909_3000_0067UL, 0u), (bench.Cpu.Memory.Read<ulong>(Gdt + Available), bench.Cpu.Memory.Read<uint>(OldTask + 0x20)));
    });

    private static void Leaves(GuestBench bench, ulong info2, ulong rip, ulong inFlight = 0)
    {
        Assert.Equal((SvmExitCode.TaskSwitch, (ulong)Available, info2), (bench.Run(), bench.Vmcb->ExitInfo1, bench.Vmcb->ExitInfo2));
        Assert.Equal((rip, inFlight), (bench.Vmcb->Rip, bench.Vmcb->ExitIntInfo.Value));
    }

    [Fact]
    public void ByAJump() => OnEveryEngine([0x90, 0xEA, 0, 0, 0, 0, 0x28, 0], bench => Leaves(bench, Jump, Code + 1));

    [Fact]
    public void ByACall() => OnEveryEngine([0x90, 0x9A, 0, 0, 0, 0, 0x28, 0], bench => Leaves(bench, 0, Code + 1));

    [Fact]
    public void ByIret() => OnEveryEngine([0x90, 0xCF], bench =>
    {
        bench.Vmcb->Rflags |= Flags.Nt;
        bench.Cpu.Memory.Write(OldTask, Available);
        bench.Cpu.Memory.Write(Gdt + Available, 0x0000_8B09_3000_0067UL);
        Leaves(bench, Iret, Code + 1);
        bench.Cpu.Memory.Write(Gdt + Available, 0x0000_8909_3000_0067UL);
    });

    [Fact]
    public void BySoftwareInterrupt() => OnEveryEngine([0x90, 0xCD, 0x10], bench => Leaves(bench, 0, Code + 1, GuestBench.Valid | 4 << 8 | 0x10));

    [Fact]
    public void ByAnException() => OnEveryEngine([0x90, 0x0F, 0x0B], bench => Leaves(bench, Resume, Code + 1, GuestBench.Valid | 3 << 8 | 6));

    /// <summary>INT 11h has no gate.</summary>
    [Fact]
    public void ByAnExceptionWithAnErrorCode() => OnEveryEngine([0x90, 0xCD, 0x11], bench =>
        Leaves(bench, ErrorCode | Resume | (0x11 * 8 + 2), Code + 1, GuestBench.Valid | 3 << 8 | 13 | 1 << 11 | (0x11UL * 8 + 2) << 32));
}
