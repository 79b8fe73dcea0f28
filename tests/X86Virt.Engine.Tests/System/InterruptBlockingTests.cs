using Iced.Intel;
using X86Virt.Engine.Processor;
using Xunit;
using static Iced.Intel.AssemblerRegisters;
using static X86Virt.Engine.Tests.SystemInstructions.SystemBench;

namespace X86Virt.Engine.Tests.SystemInstructions;

/// <summary>When a pending interrupt is taken: the shadows of STI and MOV SS, and NMIs until IRET (AMD volume 2, 8.2.4 and 8.5).</summary>
public unsafe class InterruptBlockingTests
{
    private const ulong Idt = 0x6000, Gdt = 0x7000;
    private const ulong NmiHandler = 0x2_0200, InterruptHandler = 0x2_2000;
    private const int Nmi = 2, Interrupt = 0x20;

    /// <summary>Gates for NMIs and one interrupt, whose handler halts.</summary>
    private static void SetTables(BareCpu cpu, Action<Assembler> nmiHandler)
    {
        CpuState* s = cpu.State;
        cpu.Memory.Write(Gdt + 8, 0x00AF_9B00_0000_FFFFUL);
        cpu.Memory.Write(Gdt + 16, 0x00CF_9300_0000_FFFFUL);
        s->Gdtr = new DescriptorTableRegister { Base = Gdt, Limit = 23 };
        s->Idtr = new DescriptorTableRegister { Base = Idt, Limit = 0x21 * 16 - 1 };
        SetGate(cpu, Nmi, NmiHandler);
        SetGate(cpu, Interrupt, InterruptHandler);
        cpu.Memory.Write(NmiHandler, BareCpu.Assemble(64, nmiHandler, NmiHandler));
        cpu.Memory.Write(InterruptHandler, (byte)0xF4);
        s->Rax = 0x10;
    }

    private static void SetTables(BareCpu cpu) => SetTables(cpu, a => a.hlt());

    private static void SetGate(BareCpu cpu, int vector, ulong handler)
        => cpu.Memory.Write(Idt + (ulong)vector * 16, (handler & 0xFFFF) | 8UL << 16 | 0x8EUL << 40 | (handler >> 16) << 48);

    private static void RaiseInterrupt(BareCpu cpu)
    {
        cpu.Bus.InterruptPending = true;
        cpu.Cpu.RequestAttention(Attention.Interrupt);
    }

    private static void TakenAt(ulong offset, ulong handler, BareCpu cpu)
    {
        Assert.Equal((true, handler + 1), (cpu.State->Halted, cpu.State->Rip));
        Assert.Equal(BareCpu.CodeAddress + offset, cpu.Memory.Read<ulong>(cpu.State->Rsp));
    }

    [Fact]
    public void StiLetsOneMoreInstructionRun() => OnEveryEngine(64, cpu =>
    {
        SetTables(cpu);
        RaiseInterrupt(cpu);
        cpu.Execute(64, a => { a.sti(); a.nop(); a.nop(); a.nop(); }, 5);
        TakenAt(2, InterruptHandler, cpu);
    });

    [Fact]
    public void StiThatChangesNothingCastsNoShadow() => OnEveryEngine(64, cpu =>
    {
        SetTables(cpu);
        RaiseInterrupt(cpu);
        cpu.Execute(64, a => { a.sti(); a.sti(); a.nop(); a.nop(); }, 5);
        TakenAt(2, InterruptHandler, cpu);
    });

    /// <summary>Or a row of such instructions would keep interrupts out for good.</summary>
    [Fact]
    public void MovSsInStisShadowCastsNone() => OnEveryEngine(64, cpu =>
    {
        SetTables(cpu);
        RaiseInterrupt(cpu);
        cpu.Execute(64, a => { a.sti(); a.mov(ss, eax); a.nop(); a.nop(); a.nop(); }, 6);
        TakenAt(3, InterruptHandler, cpu);
    });

    [Fact]
    public void MovSsLetsOneMoreInstructionRun() => OnEveryEngine(64, cpu =>
    {
        SetTables(cpu);
        cpu.State->SystemFlags |= Flags.If;
        cpu.Execute(64, a => { a.mov(ss, eax); a.nop(); a.nop(); a.nop(); }, 1);
        RaiseInterrupt(cpu);
        cpu.Cpu.SetDeadline(cpu.State->Retired + 4);
        cpu.Continue();
        TakenAt(3, InterruptHandler, cpu);
    });

    [Fact]
    public void CliInStisShadowKeepsTheInterruptOut() => OnEveryEngine(64, cpu =>
    {
        SetTables(cpu);
        RaiseInterrupt(cpu);
        Assert.Null(cpu.Execute(64, a => { a.sti(); a.cli(); a.nop(); a.nop(); }, 4));
        Assert.False(cpu.State->Halted);
        Assert.True(cpu.Bus.InterruptPending);
    });

    [Fact]
    public void PopfOpensTheWindowAtOnce() => OnEveryEngine(64, cpu =>
    {
        SetTables(cpu);
        RaiseInterrupt(cpu);
        cpu.Execute(64, a => { a.push(0x202); a.popfq(); a.nop(); a.nop(); }, 5);
        TakenAt(6, InterruptHandler, cpu);
    });

    [Fact]
    public void AnInterruptEndsAHalt() => OnEveryEngine(64, cpu =>
    {
        SetTables(cpu);
        cpu.Execute(64, a => { a.sti(); a.hlt(); a.nop(); }, 3);
        Assert.Equal((true, BareCpu.CodeAddress + 2), (cpu.State->Halted, cpu.State->Rip));
        RaiseInterrupt(cpu);
        cpu.Cpu.SetDeadline(cpu.State->Retired + 4);
        cpu.Continue();
        TakenAt(2, InterruptHandler, cpu);
    });

    [Fact]
    public void AnNmiIsTakenWhateverTheInterruptFlagSays() => OnEveryEngine(64, cpu =>
    {
        SetTables(cpu);
        cpu.Cpu.RaiseNmi();
        cpu.Execute(64, a => { a.nop(); a.nop(); }, 3);
        TakenAt(0, NmiHandler, cpu);
        Assert.True(cpu.State->NmiBlocked);
    });

    /// <summary>The handler's first run has another NMI come; it may not nest.</summary>
    [Fact]
    public void AnNmiWaitsForTheEndOfTheOneBefore() => OnEveryEngine(64, cpu =>
    {
        const long Stacks = 0xA000;
        SetTables(cpu, a => { a.mov(__[rbx * 8 + Stacks], rsp); a.@out(0x80, al); a.inc(rbx); a.nop(); a.iretq(); });
        int runs = 0;
        cpu.Bus.Written = (_, _) =>
        {
            if (++runs == 1)
                cpu.Cpu.RaiseNmi();
        };
        cpu.State->Rbx = 0;
        cpu.Cpu.RaiseNmi();
        Assert.Null(cpu.Execute(64, a => { a.nop(); a.nop(); a.nop(); }, 13));
        Assert.Equal(2, runs);
        Assert.Equal(cpu.Memory.Read<ulong>(Stacks), cpu.Memory.Read<ulong>(Stacks + 8));
        Assert.Equal((2UL, BareCpu.CodeAddress + 3, false), (cpu.State->Rbx, cpu.State->Rip, cpu.State->NmiBlocked));
    });

    /// <summary>IRET lifts the block when it completes.</summary>
    [Fact]
    public void AnIretThatFaultsKeepsNmisOut() => OnEveryEngine(64, cpu =>
    {
        SetTables(cpu, a => { a.mov(__qword_ptr[rsp + 8], 0); a.iretq(); });
        cpu.Memory.Write(NmiHandler + 0x100, (byte)0xF4);
        SetGate(cpu, (int)Vector.GeneralProtection, NmiHandler + 0x100);
        cpu.Cpu.RaiseNmi();
        ExceptionRecord? fault = cpu.Execute(64, a => { a.nop(); a.nop(); }, 4);
        Assert.Equal(Vector.GeneralProtection, fault?.Vector);
        Assert.Equal((true, true), (cpu.State->Halted, cpu.State->NmiBlocked));
    });
}
