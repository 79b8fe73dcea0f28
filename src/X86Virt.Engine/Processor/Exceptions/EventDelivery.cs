namespace X86Virt.Engine.Processor;

/// <summary>What happens between two instructions: exceptions, traps, NMIs and interrupts, by priority (AMD volume 2, 8.5).</summary>
internal static unsafe class EventDelivery
{
    /// <summary>
    /// Sees to everything in <see cref="CpuState.Attention"/> that can be seen to now. False if the engine must return: stop requested,
    /// halted, shut down. What is left in Attention afterwards means that instructions must be executed one at a time.
    /// </summary>
    public static bool Service(Cpu cpu)
    {
        CpuState* s = cpu.State;
        if ((s->Attention & Attention.Patched) != 0)
            Control.RestorePatched(s);
        if ((s->Attention & Attention.Exception) != 0)
        {
            s->Attention &= ~Attention.Exception;
            cpu.Bus.ProcessorShutdown();
            return false;
        }
        return (s->Attention & (Attention.Stop | Attention.Halt)) == 0;
    }

    /// <summary>Executes one instruction under single step, breakpoints or an interrupt shadow.</summary>
    public static void StepWatched(Cpu cpu, Interpreter interpreter) => interpreter.Execute();
}
