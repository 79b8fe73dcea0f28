using X86Virt.Engine.Processor;
using Xunit;
using static X86Virt.Engine.Tests.SystemInstructions.SystemBench;

namespace X86Virt.Engine.Tests.SystemInstructions;

/// <summary>Hardware interrupts in virtual-8086 mode, and the way back (AMD volume 2, 8.7.4 and 8.10).</summary>
public unsafe class Virtual8086InterruptTests
{
    private const ulong Idt = 0x6000, Gdt = 0x7000, Task = 0x5000, KernelStack = 0xA000, Handler = 0x2_0000;
    private const uint StackPointer = 0x800;

    /// <summary>A gate for vector 20h to 32-bit kernel code, and an inner stack.</summary>
    private static void SetTables(BareCpu cpu, byte[] handler, int gate = 0xE)
    {
        CpuState* s = cpu.State;
        cpu.Memory.Write(Gdt + 8, 0x00CF_9B00_0000_FFFFUL);
        cpu.Memory.Write(Gdt + 16, 0x00CF_9300_0000_FFFFUL);
        s->Gdtr = new DescriptorTableRegister { Base = Gdt, Limit = 23 };
        s->Idtr = new DescriptorTableRegister { Base = Idt, Limit = 0x21 * 8 - 1 };
        cpu.Memory.Write(Idt + 0x20 * 8, (Handler & 0xFFFF) | 8UL << 16 | (0x80UL | (uint)gate) << 40 | (Handler >> 16) << 48);
        cpu.Memory.Write(Handler, handler);
        cpu.Memory.Write(Task + 4, (uint)KernelStack);
        cpu.Memory.Write(Task + 8, 0x10u);
        *CpuState.Seg(s, Segment.Tr) = new SegmentRegister { Selector = 0x18, Base = Task, Limit = 0x67, Attributes = SegmentAttributes.Present | (SegmentAttributes)0xB };
        cpu.EnterVirtual8086(iopl: 0);
        foreach ((Segment segment, ushort value) in ((Segment, ushort)[])[(Segment.Es, 0x111), (Segment.Ds, 0x222), (Segment.Fs, 0x333), (Segment.Gs, 0x444)])
            (CpuState.Seg(s, segment)->Selector, CpuState.Seg(s, segment)->Base) = (value, (ulong)value << 4);
        s->Rsp = StackPointer;
        cpu.Bus.InterruptPending = true;
        cpu.Cpu.RequestAttention(Attention.Interrupt);
    }

    private static byte[] Halt => [0xF4];

    // Code lies at offset 0 of its segment.
    private static void Run(BareCpu cpu, int instructions)
    {
        cpu.Memory.Write(BareCpu.CodeAddress, (byte[])[0x90, 0x90, 0x90, 0x90, 0xEB, 0xFE]);
        cpu.State->Rip = 0;
        cpu.Cpu.SetDeadline(cpu.State->Retired + instructions);
        cpu.Continue();
    }

    private static uint Frame(BareCpu cpu, int slot) => cpu.Memory.Read<uint>(cpu.State->Rsp + (ulong)slot * 4);

    [Fact]
    public void PushesTheSegmentsAndClearsThem() => OnEveryEngine(32, cpu =>
    {
        SetTables(cpu, Halt);
        cpu.State->SystemFlags |= Flags.If;
        Run(cpu, 3);
        CpuState* s = cpu.State;
        Assert.Equal((true, Handler + 1, 0, false), (s->Halted, s->Rip, (int)s->Cpl, s->Virtual8086));
        Assert.Equal(KernelStack - 36, s->Rsp);
        Assert.Equal((0u, (uint)(BareCpu.CodeAddress >> 4), StackPointer, 0u), (Frame(cpu, 0), Frame(cpu, 1), Frame(cpu, 3), Frame(cpu, 4)));
        Assert.Equal(Flags.Vm | Flags.If, Frame(cpu, 2) & (Flags.Vm | Flags.If));
        Assert.Equal((0x111u, 0x222u, 0x333u, 0x444u), (Frame(cpu, 5), Frame(cpu, 6), Frame(cpu, 7), Frame(cpu, 8)));
        foreach (Segment segment in (Segment[])[Segment.Es, Segment.Ds, Segment.Fs, Segment.Gs])
            Assert.Equal((ushort)0, CpuState.Seg(s, segment)->Selector);
        Assert.Equal(0u, s->SystemFlags & Flags.If);
    });

    [Fact]
    public void AreKeptOutByTheInterruptFlagWhateverIopl() => OnEveryEngine(32, cpu =>
    {
        SetTables(cpu, Halt);
        Run(cpu, 3);
        Assert.Equal((3UL, true, true), (cpu.State->Rip, cpu.State->Virtual8086, cpu.Bus.InterruptPending));
    });

    /// <summary>VIF is for software; the processor looks at IF alone.</summary>
    [Theory, InlineData(false), InlineData(true)]
    public void DoNotDependOnTheVirtualInterruptFlag(bool virtualFlag) => OnEveryEngine(32, cpu =>
    {
        SetTables(cpu, Halt);
        cpu.State->Cr4 |= Cr4.Vme;
        cpu.State->SystemFlags |= Flags.If | (virtualFlag ? Flags.Vif : 0);
        Run(cpu, 3);
        Assert.True(cpu.State->Halted);
        Assert.Equal(virtualFlag ? Flags.Vif : 0, Frame(cpu, 2) & Flags.Vif);
    });

    [Fact]
    public void ReturnToWhereTheyCameFrom() => OnEveryEngine(32, cpu =>
    {
        SetTables(cpu, [0xCF]);
        cpu.State->SystemFlags |= Flags.If;
        Run(cpu, 3);
        CpuState* s = cpu.State;
        Assert.Equal((2UL, true, 3, (ulong)StackPointer), (s->Rip, s->Virtual8086, (int)s->Cpl, s->Rsp));
        Assert.Equal((0x111, 0x1110UL, 0x444, 0x4440UL),
            (CpuState.Seg(s, Segment.Es)->Selector, CpuState.Seg(s, Segment.Es)->Base, CpuState.Seg(s, Segment.Gs)->Selector, CpuState.Seg(s, Segment.Gs)->Base));
        Assert.Equal(Flags.If, s->SystemFlags & Flags.If);
    });

    /// <summary>A handler of 16 bits pushes words.</summary>
    [Fact]
    public void GoThroughGatesOf16Bits() => OnEveryEngine(32, cpu =>
    {
        SetTables(cpu, Halt, gate: 6);
        // Such a gate has 16 bits of offset.
        cpu.Memory.Write(Handler & 0xFFFF, Halt);
        cpu.State->SystemFlags |= Flags.If;
        Run(cpu, 3);
        Assert.Equal((true, (Handler & 0xFFFF) + 1, KernelStack - 18), (cpu.State->Halted, cpu.State->Rip, cpu.State->Rsp));
        Assert.Equal((ushort)(BareCpu.CodeAddress >> 4), cpu.Memory.Read<ushort>(cpu.State->Rsp + 2));
    });
}
