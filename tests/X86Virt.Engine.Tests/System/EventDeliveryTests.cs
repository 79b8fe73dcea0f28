using X86Virt.Engine.Processor;
using Xunit;
using static Iced.Intel.AssemblerRegisters;
using static X86Virt.Engine.Tests.SystemInstructions.SystemBench;

namespace X86Virt.Engine.Tests.SystemInstructions;

/// <summary>Exceptions and software interrupts on their way to handlers in long mode, each of which halts (AMD volume 2, 8.2 and 8.9).</summary>
public unsafe class EventDeliveryTests
{
    private const ulong Idt = 0x6000, Gdt = 0x7000, Task = 0x5000;
    private const ulong KernelStack = 0xA000, FaultStack = 0xB000;
    private const ulong Unmapped = 1UL << 32;

    private static ulong Handler(Vector vector) => 0x2_0000 | (ulong)vector << 8;

    /// <summary>Flat segments at 8 and 10h, a task-state segment, and a gate of level 0 for each exception; #DF has the first IST stack.</summary>
    private static void SetTables(BareCpu cpu)
    {
        CpuState* s = cpu.State;
        cpu.Memory.Write(Gdt + 8, 0x00AF_9B00_0000_FFFFUL);
        cpu.Memory.Write(Gdt + 16, 0x00CF_9300_0000_FFFFUL);
        s->Gdtr = new DescriptorTableRegister { Base = Gdt, Limit = 23 };
        s->Idtr = new DescriptorTableRegister { Base = Idt, Limit = 20 * 16 - 1 };
        for (Vector v = 0; (int)v < 20; v++)
        {
            SetGate(cpu, v, present: true, stack: v == Vector.DoubleFault ? 1 : 0);
            cpu.Memory.Write(Handler(v), (byte)0xF4);
        }
        cpu.Memory.Write(Task + 4, KernelStack);
        cpu.Memory.Write(Task + 0x24, FaultStack);
        *CpuState.Seg(s, Segment.Tr) = new SegmentRegister { Selector = 0x18, Base = Task, Limit = 0x67, Attributes = SegmentAttributes.Present | (SegmentAttributes)0xB };
    }

    private static void SetGate(BareCpu cpu, Vector vector, bool present, int stack = 0)
    {
        ulong gate = (Handler(vector) & 0xFFFF) | 8UL << 16 | (ulong)stack << 32 | 0xEUL << 40 | (Handler(vector) >> 16) << 48;
        cpu.Memory.Write(Idt + (ulong)vector * 16, present ? gate | 1UL << 47 : gate);
    }

    private static ulong Frame(BareCpu cpu, int slot) => cpu.Memory.Read<ulong>(cpu.State->Rsp + (ulong)slot * 8);

    private static void Halted(Vector vector, BareCpu cpu) => Assert.Equal((true, Handler(vector) + 1), (cpu.State->Halted, cpu.State->Rip));

    [Fact]
    public void AFaultPushesItsFrameOnAnAlignedStack() => OnEveryEngine(64, cpu =>
    {
        SetTables(cpu);
        cpu.State->Rsp -= 4;
        cpu.State->Rbx = Unmapped;
        cpu.Execute(64, a => a.mov(__[rbx], eax), 8);
        Halted(Vector.PageFault, cpu);
        Assert.Equal(Unmapped, cpu.State->Cr2);
        Assert.Equal(((BareCpu.StackTop - 4) & ~0xFUL) - 48, cpu.State->Rsp);
        Assert.Equal((2UL, BareCpu.CodeAddress, 8UL), (Frame(cpu, 0), Frame(cpu, 1), Frame(cpu, 2)));
        Assert.Equal((ulong)Flags.Rf | 2, Frame(cpu, 3) & (Flags.Rf | 2));
        Assert.Equal((BareCpu.StackTop - 4, 0x10UL), (Frame(cpu, 4), Frame(cpu, 5)));
    });

    [Fact]
    public void AFaultInUserCodeGoesToTheKernelStackWithANullStackSelector() => OnEveryEngine(64, cpu =>
    {
        SetTables(cpu);
        cpu.EnterUser();
        cpu.Execute(64, a => a.ud2(), 8);
        Halted(Vector.InvalidOpcode, cpu);
        Assert.Equal((KernelStack - 40, 0), (cpu.State->Rsp, cpu.State->Cpl));
        Assert.Equal(0, CpuState.Seg(cpu.State, Segment.Ss)->Selector);
        Assert.Equal((BareCpu.CodeAddress, 0xBUL, BareCpu.StackTop, 0x13UL), (Frame(cpu, 0), Frame(cpu, 1), Frame(cpu, 3), Frame(cpu, 4)));
    });

    [Fact]
    public void AContributoryFaultInDeliveringAPageFaultIsADoubleFaultOnItsOwnStack() => OnEveryEngine(64, cpu =>
    {
        SetTables(cpu);
        SetGate(cpu, Vector.PageFault, present: false);
        cpu.State->Rbx = Unmapped;
        cpu.Execute(64, a => a.mov(eax, __[rbx]), 8);
        Halted(Vector.DoubleFault, cpu);
        Assert.Equal(FaultStack - 48, cpu.State->Rsp);
        Assert.Equal((0UL, BareCpu.CodeAddress), (Frame(cpu, 0), Frame(cpu, 1)));
    });

    [Fact]
    public void AFaultAfterABenignOneIsDeliveredInItsPlace() => OnEveryEngine(64, cpu =>
    {
        SetTables(cpu);
        SetGate(cpu, Vector.InvalidOpcode, present: false);
        cpu.Execute(64, a => a.ud2(), 8);
        Halted(Vector.SegmentNotPresent, cpu);
        Assert.Equal((ulong)Vector.InvalidOpcode * 8 + 3, Frame(cpu, 0));
    });

    [Fact]
    public void AFaultInDeliveringADoubleFaultShutsDown() => OnEveryEngine(64, cpu =>
    {
        cpu.State->Idtr.Limit = 0;
        cpu.Execute(64, a => a.ud2(), 8);
        Assert.True(cpu.Shutdown);
        Assert.Equal([Vector.InvalidOpcode, Vector.GeneralProtection, Vector.GeneralProtection, Vector.DoubleFault, Vector.GeneralProtection],
            cpu.Cpu.ExceptionHistory.ToList().Select(r => r.Vector));
    });

    [Fact]
    public void UserCodeMayNotNameAGateOfTheKernel() => OnEveryEngine(64, cpu =>
    {
        SetTables(cpu);
        cpu.EnterUser();
        cpu.Execute(64, a => a.@int(6), 8);
        Halted(Vector.GeneralProtection, cpu);
        Assert.Equal((6UL * 8 + 2, BareCpu.CodeAddress), (Frame(cpu, 0), Frame(cpu, 1)));
    });

    [Fact]
    public void ASingleStepIsSeenBehindTheInstructionThatFollowsMovSs() => OnEveryEngine(64, cpu =>
    {
        SetTables(cpu);
        cpu.State->Rax = 0x10;
        cpu.State->SystemFlags |= Flags.Tf;
        FlagsChange.Watch(cpu.State);
        cpu.Execute(64, a =>
        {
            a.mov(ss, eax);
            a.nop();
            a.nop();
        }, 8);
        Halted(Vector.Debug, cpu);
        Assert.Equal(BareCpu.CodeAddress + 3, Frame(cpu, 0));
        Assert.Equal(1UL << 14, cpu.State->Dr[6] & 0xE00F);
    });

    [Fact]
    public void IretqGoesBackToWhereTheFrameSays() => OnEveryEngine(64, cpu =>
    {
        SetTables(cpu);
        cpu.Execute(64, a =>
        {
            a.push(0x10);
            a.push(0x8800);
            a.push((int)(Flags.Cf | Flags.Df | 2));
            a.push(8);
            a.push(0x3_0000);
            a.iretq();
        }, 6);
        Assert.Equal((0x3_0000UL, 0x8800UL), (cpu.State->Rip, cpu.State->Rsp));
        Assert.Equal((ulong)(Flags.Cf | Flags.Df | 2), Flags.Rflags(cpu.State));
    });

    [Theory, InlineData(true), InlineData(false)]
    public void MovSsHoldsAStepOffAndLssDoesNot(bool mov) => OnEveryEngine(64, cpu =>
    {
        SetTables(cpu);
        CpuState* s = cpu.State;
        (s->Rax, s->Rbx) = (0x10, 0x8000);
        cpu.Memory.Write(0x8000, BareCpu.StackTop | 0x10UL << 32);
        s->SystemFlags |= Flags.Tf;
        FlagsChange.Watch(s);
        byte[] load = mov ? [0x8E, 0xD0] : [0x0F, 0xB2, 0x23];
        cpu.Execute([.. load, 0x90, 0x90, 0x90], 8);
        Halted(Vector.Debug, cpu);
        // Behind the NOP that follows MOV, or behind LSS itself.
        Assert.Equal(BareCpu.CodeAddress + 3, Frame(cpu, 0));
    });

    [Theory, InlineData(false), InlineData(true)]
    public void SmapHoldsForTheKernelStackWhateverUserCodeDidToAc(bool smap) => OnEveryEngine(64, cpu =>
    {
        SetTables(cpu);
        // This opens the page of the kernel's stack to user code, too.
        new PagedMemory(cpu, PagingMode.Level4).EnterUser();
        cpu.State->Cr4 |= smap ? Cr4.Smap : 0;
        cpu.State->SystemFlags |= Flags.Ac;
        cpu.Execute(64, a => a.ud2(), 8);
        if (!smap)
        {
            Halted(Vector.InvalidOpcode, cpu);
            return;
        }
        ExceptionRecord second = cpu.Cpu.ExceptionHistory.ToList()[1];
        Assert.Equal((Vector.PageFault, 3u), (second.Vector, second.ErrorCode));
    });

    [Fact]
    public void ADataBreakpointTrapsBehindTheElementThatHitsIt() => OnEveryEngine(64, cpu =>
    {
        SetTables(cpu);
        CpuState* s = cpu.State;
        (s->Rcx, s->Rsi, s->Rdi) = (8, 0x8000, 0x8800);
        s->Dr[0] = 0x8802;
        // Writes of a byte.
        s->Dr[7] = 0x1_0401;
        DebugRegisters.Changed(s);
        cpu.Execute(64, a => a.rep.movsb(), 8);
        Halted(Vector.Debug, cpu);
        Assert.Equal((BareCpu.CodeAddress, 5UL, 0x8803UL), (Frame(cpu, 0), s->Rcx, s->Rdi));
    });
}
