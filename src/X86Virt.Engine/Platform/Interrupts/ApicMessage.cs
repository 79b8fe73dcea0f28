namespace X86Virt.Engine.Platform;

/// <summary>Delivery modes of the APIC bus (AMD volume 2, 16.5; Intel volume 3, 11.6.1).</summary>
public enum ApicDelivery : byte
{
    Fixed,
    LowestPriority,
    Smi,
    Reserved,
    Nmi,
    Init,
    StartUp,
    ExtInt,
}

/// <summary>An interrupt on its way to a local APIC.</summary>
public readonly record struct ApicMessage
{
    public required byte Vector { get; init; }
    public required ApicDelivery Delivery { get; init; }

    /// <summary>Logical instead of physical destination.</summary>
    public bool Logical { get; init; }
    public uint Destination { get; init; }

    /// <summary>Level-triggered: its end is broadcast to the I/O APIC.</summary>
    public bool Level { get; init; }
}
