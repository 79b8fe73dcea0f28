namespace X86Virt.Engine.Processor;

/// <summary>
/// Delivers a raised exception, and what comes of exceptions raised while doing that: serial delivery, a double fault, or shutdown
/// (AMD volume 2, 8.2.9).
/// </summary>
internal static unsafe class ExceptionDelivery
{
    private enum Class
    {
        Benign,
        Contributory,
        PageFault,
        DoubleFault,
    }

    /// <summary>
    /// Delivers <see cref="CpuState.Exception"/>; false after a triple fault, with the processor shut down. In guest mode it may come to a #VMEXIT instead.
    /// </summary>
    public static bool Deliver(Cpu cpu)
    {
        CpuState* s = cpu.State;
        // An event that VMRUN injected may have been one.
        Class before = s->EventInFlight.Type == VmcbEventType.Exception && s->EventInFlight.IsValid ? Classify((Vector)s->EventInFlight.Vector) : Class.Benign;
        while (true)
        {
            if ((s->Attention & Attention.VmExit) != 0)
                return true;
            s->Attended(Attention.Exception);
            Class now = Classify(s->Exception.Vector);
            // Whether it becomes a double fault is a question only if it is not intercepted (AMD volume 2, 15.12).
            if (Intercept.TakesException(s))
                return true;
            Record(cpu);
            // CR2 tells of the last page fault, also of one that turns into a double fault or shuts down.
            if (now == Class.PageFault)
                s->Cr2 = s->Exception.Address;
            if (before == Class.DoubleFault && now != Class.Benign)
            {
                return Intercept.Takes(s, null, SvmExitCode.Shutdown) || Shutdown(cpu);
            }
            if ((before == Class.Contributory && now == Class.Contributory) || (before == Class.PageFault && now is Class.Contributory or Class.PageFault))
            {
                s->Exception = new PendingException { Vector = Vector.DoubleFault, HasErrorCode = true };
                now = Class.DoubleFault;
                if (Intercept.TakesException(s))
                    return true;
                Record(cpu);
            }
            if (Enter(cpu))
                return true;
            before = now;
        }
    }

    /// <summary>A debug trap: goes to its handler with RIP behind the instruction that caused it. Behind HLT it ends the halt.</summary>
    public static bool DeliverDebugTrap(Cpu cpu)
    {
        CpuState* s = cpu.State;
        s->Halted = false;
        s->Attended(Attention.Halt);
        Fault.Debug(s, null, s->PendingDebug);
        return Deliver(cpu);
    }

    private static bool Enter(Cpu cpu)
    {
        CpuState* s = cpu.State;
        PendingException e = s->Exception;
        bool resume = e.Vector is not (Vector.Nmi or Vector.Breakpoint or Vector.Overflow or Vector.DoubleFault or Vector.MachineCheck);
        if (e.Vector == Vector.Debug)
        {
            DebugRegisters.Report(s, (uint)e.Address);
            resume = (e.Address & DebugRegisters.GeneralDetect) != 0;
        }
        DebugRegisters.ForgetTrap(s);
        cpu.Statistics.Exceptions[(int)e.Vector]++;
        return InterruptDelivery.Deliver(s, null, new InterruptEvent((byte)e.Vector, EventSource.Exception, s->Rip, e.HasErrorCode, e.ErrorCode, resume));
    }

    private static void Record(Cpu cpu)
    {
        CpuState* s = cpu.State;
        PendingException e = s->Exception;
        cpu.ExceptionHistory.Add(new ExceptionRecord(e.Vector, e.HasErrorCode ? e.ErrorCode : null, CpuState.Seg(s, Segment.Cs)->Selector, s->Rip,
            e.Vector == Vector.PageFault ? e.Address : null, s->Retired));
    }

    /// <summary>Stops the processor until RESET; returns false.</summary>
    internal static bool Shutdown(Cpu cpu)
    {
        CpuState* s = cpu.State;
        s->ShutDown = true;
        s->Attend(Attention.Halt);
        cpu.Bus.ProcessorShutdown();
        return false;
    }

    private static Class Classify(Vector vector) => vector switch
    {
        Vector.DivideError or Vector.InvalidTss or Vector.SegmentNotPresent or Vector.StackFault or Vector.GeneralProtection => Class.Contributory,
        Vector.PageFault => Class.PageFault,
        Vector.DoubleFault => Class.DoubleFault,
        _ => Class.Benign,
    };
}
