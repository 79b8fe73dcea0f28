namespace X86Virt.Engine.Processor;

/// <summary>System descriptor types (AMD volume 2, tables 4-5 and 4-6).</summary>
internal static class SystemType
{
    public const int AvailableTss16 = 1, Ldt = 2, BusyTss16 = 3, CallGate16 = 4, TaskGate = 5, InterruptGate16 = 6, TrapGate16 = 7,
        AvailableTss = 9, BusyTss = 0xB, CallGate = 0xC, InterruptGate = 0xE, TrapGate = 0xF;

    /// <summary>Bit of a TSS type that says busy.</summary>
    public const int Busy = 2;
}

/// <summary>A segment or gate descriptor as it is in memory; the second half only of 16-byte ones (AMD volume 2, 4.7 and 4.8).</summary>
internal readonly struct Descriptor(ulong low, ulong high = 0)
{
    public readonly ulong Low = low;
    public readonly ulong High = high;

    public SegmentAttributes Attributes => (SegmentAttributes)(((Low >> 40) & 0xFF) | ((Low >> 44) & 0xF00));
    public int Type => (int)(Low >> 40) & 0xF;
    public int Dpl => (int)(Low >> 45) & 3;
    public bool Present => (Low & (1UL << 47)) != 0;
    public bool IsSystem => (Low & (1UL << 44)) == 0;
    public bool IsCode => ((Low >> 43) & 3) == 3;
    public bool IsConforming => (Low & (1UL << 42)) != 0;
    public bool IsAccessed => (Low & (1UL << 40)) != 0;

    /// <summary>Writable data.</summary>
    public bool IsWritable => !IsSystem && !IsCode && (Low & (1UL << 41)) != 0;

    /// <summary>Data, or code that may be read.</summary>
    public bool IsReadable => !IsSystem && (!IsCode || (Low & (1UL << 41)) != 0);
    public bool Long => (Low & (1UL << 53)) != 0;
    public bool Big => (Low & (1UL << 54)) != 0;

    public ulong Base => ((Low >> 16) & 0xFF_FFFF) | ((Low >> 32) & 0xFF00_0000) | (High << 32);

    /// <summary>Byte-granular.</summary>
    public uint Limit
    {
        get
        {
            uint limit = (uint)(Low & 0xFFFF) | ((uint)(Low >> 32) & 0xF_0000);
            return (Low & (1UL << 55)) != 0 ? (limit << 12) | 0xFFF : limit;
        }
    }

    // Gates.
    public ushort GateSelector => (ushort)(Low >> 16);
    public ulong GateOffset => (Low & 0xFFFF) | ((Low >> 32) & 0xFFFF_0000) | (High << 32);

    /// <summary>Words or doublewords that a call gate copies.</summary>
    public int GateParameters => (int)(Low >> 32) & 0x1F;

    /// <summary>Index in the interrupt stack table; 0 for none.</summary>
    public int GateStack => (int)(Low >> 32) & 7;

    public Descriptor WithAccessed => new(Low | (1UL << 40), High);

    public SegmentRegister ToRegister(ushort selector) => new() { Selector = selector, Attributes = Attributes, Limit = Limit, Base = Base };
}
