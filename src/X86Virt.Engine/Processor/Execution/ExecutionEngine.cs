namespace X86Virt.Engine.Processor;

/// <summary>Executes guest code on a <see cref="Cpu"/>.</summary>
public abstract class ExecutionEngine(Cpu cpu) : IDisposable
{
    protected Cpu Cpu { get; } = cpu;

    public abstract string Name { get; }

    /// <summary>What the TLB is refilled from unless a machine's configuration says otherwise.</summary>
    public virtual PagingKind DefaultPaging => PagingKind.Walk;

    /// <summary>
    /// Runs until the retired-instruction count reaches <see cref="CpuState.Deadline"/>, the processor halts, or
    /// <see cref="Attention.Stop"/> is requested, or in front of a breakpoint (<see cref="BreakpointSet.Reached"/>). State is exact on return.
    /// </summary>
    public abstract void Run();

    /// <summary>
    /// Runs exactly one instruction, whatever the deadline. False if none was executed: the processor is halted, or <see cref="Attention.Stop"/> is requested.
    /// </summary>
    public abstract bool Step();

    /// <summary>Forgets what was decoded or translated. Only while the engine does not run.</summary>
    public virtual void ForgetCode()
    {
    }

    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    protected virtual void Dispose(bool disposing)
    {
    }
}
