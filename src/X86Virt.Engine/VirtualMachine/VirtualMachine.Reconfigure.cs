namespace X86Virt.Engine;

/// <summary>Giving a machine other settings.</summary>
public sealed partial class VirtualMachine
{
    /// <summary>
    /// Makes a stopped machine anew from another configuration. It keeps its identity, its console's transcript and its breakpoints; memory,
    /// registers and counts begin afresh. A configuration that is refused leaves the machine as it was.
    /// </summary>
    public void Reconfigure(MachineConfiguration configuration)
    {
        lock (_stateLock)
        {
            Require(MachineState.Stopped);
            Hold();
            // Whatever is wrong with the configuration comes to light here; afterwards the two trade places.
            using var made = new VirtualMachine(configuration);
            made._board.ConsoleOutput -= made.Console.Append;
            made._board.ConsoleOutput += Console.Append;
            foreach (ulong address in _cpu.Breakpoints.Addresses)
                made._cpu.Breakpoints.Add(address);
            lock (_gate)
            {
                Configuration = configuration;
                (_boot, BootPlan) = (made._boot, made.BootPlan);
                (_memory, made._memory) = (made._memory, _memory);
                (_board, made._board) = (made._board, _board);
                (_cpu, made._cpu) = (made._cpu, _cpu);
                (_engine, made._engine) = (made._engine, _engine);
                _statisticsBase = MachineStatistics.Zero;
            }
            _started = false;
            _hostTime.Reset();
            Reboots = 0;
            ExitCode = null;
            StopReason = StopReason.None;
        }
    }
}
