using X86Virt.Engine.Processor;

namespace X86Virt.Engine;

/// <summary>The processor's counters at one instruction boundary, to tell what the next instruction does.</summary>
internal sealed class EventCounters
{
    private readonly long[] _exceptions = new long[32];
    private long _ports, _deviceAccesses, _msrs, _controlRegisters, _debugRegisters, _cpuids, _timeStamps, _invalidations;
    private long _halts, _interrupts, _nmis, _softwareInterrupts, _syscalls;

    /// <summary>Takes the present counts, and gives what has happened since they were last taken.</summary>
    public TraceEvents Advance(CpuStatistics c, out string detail)
    {
        TraceEvents events = TraceEvents.None;
        Compare(ref _ports, c.PortReads + c.PortWrites, TraceEvents.PortIo);
        Compare(ref _deviceAccesses, c.DeviceAccesses, TraceEvents.DeviceMemory);
        Compare(ref _msrs, c.MsrReads.Total + c.MsrWrites.Total, TraceEvents.Msr);
        Compare(ref _controlRegisters, c.ControlRegisterReads + c.ControlRegisterWrites.Sum(), TraceEvents.ControlRegister);
        Compare(ref _debugRegisters, c.DebugRegisterAccesses, TraceEvents.DebugRegister);
        Compare(ref _cpuids, c.Cpuids, TraceEvents.Cpuid);
        Compare(ref _timeStamps, c.TimeStampReads, TraceEvents.TimeStamp);
        Compare(ref _invalidations, c.PageInvalidations, TraceEvents.PageInvalidation);
        Compare(ref _halts, c.Halts, TraceEvents.Halt);
        Compare(ref _interrupts, c.Interrupts, TraceEvents.Interrupt);
        Compare(ref _nmis, c.Nmis, TraceEvents.Nmi);
        Compare(ref _softwareInterrupts, c.SoftwareInterrupts, TraceEvents.SoftwareInterrupt);
        Compare(ref _syscalls, c.Syscalls, TraceEvents.Syscall);
        detail = events == TraceEvents.None ? "" : events.ToString();
        for (int vector = 0; vector < _exceptions.Length; vector++)
        {
            if (_exceptions[vector] == c.Exceptions[vector])
                continue;
            _exceptions[vector] = c.Exceptions[vector];
            events |= TraceEvents.Exception;
            detail = detail.Length == 0 ? ExceptionName.Of(vector) : $"{detail}, {ExceptionName.Of(vector)}";
        }
        return events;

        void Compare(ref long last, long now, TraceEvents kind)
        {
            if (last != now)
                events |= kind;
            last = now;
        }
    }
}
