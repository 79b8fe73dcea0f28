using X86Virt.Engine.Boot;
using X86Virt.Engine.Memory;

namespace X86Virt.Engine.Platform;

/// <summary>
/// Where RAM is: below the hole for devices as far as it fits, the rest from 4 GiB on. QEMU's <c>pc</c> leaves 512 MiB for
/// the hole, and 1 GiB once that would not be enough for all RAM.
/// </summary>
public sealed class BoardMemory
{
    public const ulong VideoStart = 0xA_0000, VideoLength = 0x2_0000;

    /// <summary>RAM that the host bridge can hide behind firmware, up to 1 MiB.</summary>
    public const ulong ShadowStart = 0xC_0000;

    /// <summary>Reserved for what firmware leaves behind, up to 1 MiB.</summary>
    public const ulong TablesStart = 0xE_0000;

    /// <summary>Where the tables of a direct boot are found.</summary>
    public const uint AcpiTables = 0xE_0000, MpTables = 0xF_0000;
    public const ulong FourGiB = 1UL << 32;

    private const ulong SmallHole = 0xE000_0000, LargeHole = 0xC000_0000;

    /// <summary>The last KiB of conventional memory is the extended BIOS data area.</summary>
    private const ulong ConventionalEnd = 0x9_FC00, MiB = 0x10_0000;

    private readonly PhysicalMemory _memory;

    public BoardMemory(PhysicalMemory memory)
    {
        _memory = memory;
        ulong size = memory.RamSize;
        LowSize = size < SmallHole ? size : LargeHole;
        HighSize = size - LowSize;
        memory.MapRam(0, Math.Min(LowSize, VideoStart), 0);
        // What lies under the video memory is there only for system management mode.
        if (LowSize > MiB)
            memory.MapRam(MiB, LowSize - MiB, MiB);
        if (HighSize > 0)
            memory.MapRam(FourGiB, HighSize, LowSize);
        E820Map = BuildMap();
    }

    /// <summary>Where the hole for devices starts, whether or not there is RAM up to it.</summary>
    public ulong HoleStart => HighSize == 0 ? SmallHole : LargeHole;

    /// <summary>Bytes of RAM below 4 GiB.</summary>
    public ulong LowSize { get; }

    /// <summary>Bytes of RAM from 4 GiB on.</summary>
    public ulong HighSize { get; }

    /// <summary>What firmware would report (INT 15h E820h), in ascending order.</summary>
    public IReadOnlyList<E820Entry> E820Map { get; }

    private List<E820Entry> BuildMap()
    {
        var map = new List<E820Entry>();
        void Add(ulong start, ulong end, uint type)
        {
            if (end > start)
                map.Add(new E820Entry(start, end - start, type));
        }
        Add(0, Math.Min(LowSize, ConventionalEnd), E820Entry.Usable);
        Add(ConventionalEnd, Math.Max(ConventionalEnd, Math.Min(LowSize, VideoStart)), E820Entry.Reserved);
        Add(TablesStart, MiB, E820Entry.Reserved);
        Add(MiB, Math.Max(MiB, LowSize), E820Entry.Usable);
        Add(FourGiB, FourGiB + HighSize, E820Entry.Usable);
        return map;
    }
}
