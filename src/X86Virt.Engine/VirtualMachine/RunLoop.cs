using X86Virt.Engine.Processor;

namespace X86Virt.Engine;

/// <summary>The machine's thread: guest code up to the next timer, then timers, then guest code.</summary>
public sealed unsafe partial class VirtualMachine
{
    /// <summary>
    /// Longest run without a look at the run loop, in instructions: a millisecond or so, as translated code is entered without telling the runtime,
    /// which has to wait for its return to collect garbage. Has no effect on the guest.
    /// </summary>
    private const long Slice = 2_000_000;

    /// <summary>Of many steps, the last so many are made one by one.</summary>
    private const int SingleSteps = 16;

    private void Go()
    {
        _holdRequested = false;
        SetState(MachineState.Running);
        _thread = new Thread(Loop) { IsBackground = true, Name = $"X86Virt {Name}" };
        _thread.Start();
    }

    /// <summary>Has the loop return and waits for it; also for one that has ended the machine and is still on its way out.</summary>
    private void Hold()
    {
        if (_thread == null || _thread == Thread.CurrentThread)
            return;
        _holdRequested = true;
        _cpu.RequestAttention(Attention.Stop);
        _board.Wake();
        _thread.Join();
        _thread = null;
    }

    private void Loop()
    {
        _hostTime.Start();
        _board.Clock.Running = true;
        try
        {
            while (!_holdRequested && State == MachineState.Running)
            {
                lock (_gate)
                {
                    RunSlice(long.MaxValue);
                }
                // Whoever wants the guest to hold still gets the gate before the next slice.
                while (Volatile.Read(ref _waiters) > 0)
                    Thread.Yield();
                if (State == MachineState.Running && _cpu.State->Halted)
                    Idle();
            }
        }
        catch (Exception e)
        {
            // A defect of ours: keep the guest's state for whoever looks into it, and the process running.
            Ended(StopKind.InternalError, e.ToString());
        }
        finally
        {
            _board.Clock.Running = false;
            _hostTime.Stop();
        }
    }

    /// <summary>Runs up to the next timer, or to a retired-instruction count if that comes first.</summary>
    private void RunSlice(long limit)
    {
        CpuState* s = _cpu.State;
        _cpu.WithdrawAttention(Attention.Stop);
        // Whoever asked for a stop just before that has not been seen by the engine.
        if (State == MachineState.Running && (_holdRequested || Volatile.Read(ref _waiters) > 0))
            return;
        _board.RunDueEvents();
        _cpu.SetDeadline(Math.Min(Math.Min(_board.NextEventAt, s->Retired + Slice), limit));
        _cpu.Breakpoints.Begin();
        _engine.Run();
        SeeToRequests();
        // Steps go on behind it.
        if (State == MachineState.Running && _cpu.Breakpoints.Reached is { } address)
            Pause($"breakpoint at 0x{address:x}");
    }

    /// <summary>Steps, and leaves RIP at what is executed next: a handler, if there is an event to handle.</summary>
    private void StepGuest(long count)
    {
        long end = _cpu.State->Retired + count;
        while (State == MachineState.Suspended && _cpu.State->Retired < end - SingleSteps)
        {
            RunSlice(end - SingleSteps);
            if (State == MachineState.Suspended && _cpu.State->Halted && !WakeOrSkip())
                return;
        }
        DeliverEvents();
        while (State == MachineState.Suspended && _cpu.State->Retired < end)
        {
            if (_cpu.State->Halted && !WakeOrSkip())
                return;
            long retired = _cpu.State->Retired;
            ExecuteOne();
            DeliverEvents();
            // An instruction that faulted was a step, too.
            if (_cpu.State->Retired == retired && !_cpu.State->Halted)
                end--;
        }
    }

    /// <summary>Timers, and the exception or interrupt that they or the last instruction brought about; executes nothing.</summary>
    private void DeliverEvents()
    {
        if (_board.NextEventAt <= _cpu.State->Retired)
            _board.RunDueEvents();
        _cpu.SetDeadline(_cpu.State->Retired);
        _engine.Run();
        SeeToRequests();
    }

    private void ExecuteOne()
    {
        do
        {
            _cpu.WithdrawAttention(Attention.Stop);
        }
        // Another thread may ask for a stop before the instruction is executed; the step is made all the same.
        while (!_engine.Step() && (_cpu.State->Attention & Attention.Stop) != 0);
    }

    /// <summary>What the guest asked of the board while it ran: power-off, exit, reset; or what became of it.</summary>
    private void SeeToRequests()
    {
        CpuState* s = _cpu.State;
        if (_board.TakeExit(out int code))
        {
            ExitCode = code;
            Ended(StopKind.DebugExit, $"the guest ended with exit code {code}");
        }
        else if (_board.TakePowerOff())
        {
            ExitCode = 0;
            Ended(StopKind.PowerOff, "the guest switched the power off");
        }
        else if (s->ShutDown)
        {
            Ended(StopKind.TripleFault, DescribeTripleFault());
        }
        else if (_board.TakeReset())
        {
            if (Configuration.NoReboot)
            {
                Ended(StopKind.Reset, "the guest asked for a reset");
            }
            else
            {
                Reboots++;
                Load();
            }
        }
        else if (s->Halted && !_cpu.AllowsInterrupts && !s->NmiPending)
        {
            Ended(StopKind.Halt, $"the guest halted with interrupts off at 0x{_cpu.LinearRip:x}");
        }
    }

    private string DescribeTripleFault()
        => $"triple fault at 0x{_cpu.LinearRip:x}; the last exceptions were {string.Join(", ", _cpu.ExceptionHistory.ToList())}";

    private void Idle()
    {
        bool skipped;
        lock (_gate)
            skipped = WakeOrSkip();
        if (!skipped && !_holdRequested)
            _board.WaitForActivity();
    }

    /// <summary>For a halted processor: has a waiting interrupt accepted, or lets time pass to the next timer; false if only the outside can wake it.</summary>
    private bool WakeOrSkip()
    {
        if (!_board.InterruptPending && !_cpu.State->NmiPending)
            return _board.SkipIdle();
        _cpu.RequestAttention(Attention.Interrupt);
        return true;
    }

    private void Pause(string message)
    {
        StopReason = new StopReason(StopKind.None, message, _cpu.State->Rip);
        SetState(MachineState.Suspended);
    }

    private void Ended(StopKind kind, string message)
    {
        StopReason = new StopReason(kind, message, _cpu.State->Rip);
        SetState(MachineState.Stopped);
    }
}
