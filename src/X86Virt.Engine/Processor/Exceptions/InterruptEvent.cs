namespace X86Virt.Engine.Processor;

/// <summary>Where an event that goes through the IDT comes from.</summary>
internal enum EventSource
{
    /// <summary>INTR, physical or virtual.</summary>
    External,

    Nmi,

    Exception,

    /// <summary>INT n: the gate's DPL is checked, and faults do not count as external.</summary>
    Software,

    /// <summary>INT3 and INTO: as INT n, but exceptions to a hypervisor.</summary>
    SoftwareException,
}

/// <summary>An interrupt or exception on its way through the IDT.</summary>
/// <param name="Vector">Index of the gate.</param>
/// <param name="Source">Who raised it.</param>
/// <param name="ReturnRip">Offset in CS that the handler returns to.</param>
/// <param name="HasErrorCode">An error code is pushed in protected mode.</param>
/// <param name="ErrorCode">That code.</param>
/// <param name="Resume">RF is set in the pushed flags, so that an instruction breakpoint does not hit again on return.</param>
internal readonly record struct InterruptEvent(byte Vector, EventSource Source, ulong ReturnRip, bool HasErrorCode = false, uint ErrorCode = 0, bool Resume = false)
{
    public bool IsSoftware => Source is EventSource.Software or EventSource.SoftwareException;

    /// <summary>The EXT bit of the error code of a fault in delivering this event.</summary>
    public uint External => IsSoftware ? 0u : 1u;

    /// <summary>The error code that names this event's gate: IDT bit, and EXT.</summary>
    public uint GateError => (uint)Vector * 8 + 2 + External;
}
