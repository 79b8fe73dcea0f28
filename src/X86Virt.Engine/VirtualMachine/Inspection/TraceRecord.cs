namespace X86Virt.Engine;

/// <summary>What happened while one instruction was executed.</summary>
[Flags]
public enum TraceEvents
{
    None = 0,
    PortIo = 1 << 0,
    DeviceMemory = 1 << 1,
    Msr = 1 << 2,
    ControlRegister = 1 << 3,
    DebugRegister = 1 << 4,
    Cpuid = 1 << 5,
    TimeStamp = 1 << 6,
    PageInvalidation = 1 << 7,
    Halt = 1 << 8,

    /// <summary>A hardware interrupt was delivered before or behind it.</summary>
    Interrupt = 1 << 9,
    Nmi = 1 << 10,
    SoftwareInterrupt = 1 << 11,

    /// <summary>It faulted or trapped.</summary>
    Exception = 1 << 12,

    /// <summary>SYSCALL, SYSENTER.</summary>
    Syscall = 1 << 13,
}

/// <summary>One instruction of a trace.</summary>
/// <param name="Retired">Instructions retired before it.</param>
/// <param name="Address">Linear address.</param>
/// <param name="Text">The instruction.</param>
/// <param name="Events">What it caused or met.</param>
/// <param name="Detail">The events in words; empty if there were none.</param>
/// <param name="Registers">The registers before it, if asked for.</param>
public sealed record TraceRecord(long Retired, ulong Address, string Text, TraceEvents Events, string Detail, GeneralRegisters? Registers);
