using X86Virt.Engine.Memory;
using X86Virt.Engine.Platform;
using X86Virt.Engine.Processor;
using Xunit;

namespace X86Virt.Engine.Tests.Platform;

/// <summary>INIT and SMI messages of the local APIC: a processor with SVM may hold them off, any other takes them at once.</summary>
public sealed unsafe class SignalMessageTests : IDisposable
{
    private const ulong CommandLow = LocalApic.DefaultAddress + 0x300;
    private const uint Self = 1 << 18, Asserted = 1 << 14, Smi = 2 << 8, Init = 5 << 8;

    private readonly PhysicalMemory _memory = new(2 << 20);
    private Board? _board;
    private Cpu? _cpu;

    private void Start(params string[] features)
    {
        _board = new Board(_memory, new BoardOptions());
        _cpu = new Cpu(_memory, _board, ProcessorModel.Parse(null, features));
        _board.Attach(_cpu);
    }

    [Fact]
    public void WaitAtAProcessorWithSvm()
    {
        Start("Svm");
        _memory.Write(CommandLow, 4, Self | Smi);
        Assert.Equal((true, false), (_cpu!.State->SmiPending, _cpu.State->InitPending));
        _memory.Write(CommandLow, 4, Self | Init | Asserted);
        Assert.Equal((true, true), (_cpu.State->SmiPending, _cpu.State->InitPending));
        Assert.False(_board!.TakeReset());
    }

    /// <summary>The end of an INIT's level is nothing to a processor.</summary>
    [Fact]
    public void TheDeassertionOfInitIsIgnored()
    {
        Start("Svm");
        _memory.Write(CommandLow, 4, Self | Init);
        Assert.False(_cpu!.State->InitPending);
    }

    [Fact]
    public void AreTakenAtOnceByAnyOther()
    {
        Start();
        _memory.Write(CommandLow, 4, Self | Smi);
        Assert.Equal((false, false), (_cpu!.State->SmiPending, _board!.TakeReset()));
        _memory.Write(CommandLow, 4, Self | Init | Asserted);
        Assert.Equal((false, true), (_cpu.State->InitPending, _board.TakeReset()));
    }

    public void Dispose()
    {
        _cpu?.Dispose();
        _board?.Dispose();
        _memory.Dispose();
    }
}
