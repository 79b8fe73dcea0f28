using System.Runtime.CompilerServices;

namespace X86Virt.Engine.Processor;

/// <summary>What every table on the way to a page grants; a page has the rights that all of them do. The bits lie as in an entry, but NX.</summary>
[Flags]
internal enum PageRights : byte
{
    None = 0,
    Write = 2,
    User = 4,
    Execute = 8,
    All = Write | User | Execute,
}

/// <summary>Bits of page-table entries of every format (AMD volume 2, 5.4.1).</summary>
internal static class PageEntry
{
    public const ulong Present = 1;
    public const ulong Rw = 2;
    public const ulong Us = 4;
    public const ulong Accessed = 0x20;
    public const ulong Dirty = 0x40;
    public const ulong Ps = 0x80;
    public const ulong Global = 0x100;
    public const ulong Nx = 1UL << 63;

    public static PageRights Rights(ulong entry) => (PageRights)(entry & (Rw | Us)) | (PageRights)((~entry >> 63) << 3);
}

/// <summary>What the bits of the entries at one level mean.</summary>
internal struct EntryFormat
{
    /// <summary>The bit that makes a present entry map a page: P at the lowest level, PS or none above it.</summary>
    public ulong PageBit;

    /// <summary>What must be 0 in an entry that leads to a table.</summary>
    public ulong TableReserved;

    /// <summary>What must be 0 in an entry that maps a page.</summary>
    public ulong PageReserved;

    /// <summary>The address of the table in an entry that leads to one.</summary>
    public ulong TableMask;

    /// <summary>The address of the page in an entry that maps one.</summary>
    public ulong PageMask;

    /// <summary>Bits of the page's address from bit 32 on, which 4 MiB pages keep 19 places lower.</summary>
    public ulong HighPageMask;

    /// <summary>The lowest bit of the linear address that selects an entry: bytes that it maps, as a power of two.</summary>
    public byte Shift;

    /// <summary>Entries in a table, less one.</summary>
    public ushort IndexMask;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly uint Index(ulong linear) => (uint)(linear >> Shift) & IndexMask;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly bool IsPage(ulong entry) => (entry & PageBit) != 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly ulong Page(ulong entry) => (entry & PageMask) | ((entry & HighPageMask) << 19);
}

/// <summary>
/// One kind of page tables (AMD volume 2, 5.2 and 5.3): 32-bit without and with 4 MiB pages, PAE, long mode; those of the last two with and
/// without NX. The same tables mean the same with four levels and with five.
/// </summary>
internal unsafe struct PageTableFormat
{
    public const int Count = 8;
    public const int MostLevels = 5;

    private const int TwoLevel = 0, TwoLevelPse = 1, Pae = 2, Long = 3, WithNx = 4;

    // From level 1, the lowest, on; the first is not used.
    private readonly EntryFormat* _levels;

    public readonly int EntrySize;

    private PageTableFormat(int format, EntryFormat* levels, int physicalBits, bool gigabytePages, bool ignoresTableGlobal)
    {
        _levels = levels;
        int kind = format & Long;
        bool pae = kind >= Pae;
        int indexBits = pae ? 9 : 10;
        EntrySize = pae ? 8 : 4;
        ulong physical = (1UL << physicalBits) - 1;
        ulong address = pae ? physical & ~0xFFFUL : 0xFFFF_F000;
        ulong reserved = pae ? ~physical & 0x000F_FFFF_FFFF_F000 : 0;
        if (pae && (format & WithNx) == 0)
            reserved |= PageEntry.Nx;
        if (kind == Pae)
            reserved |= 0x7FF0_0000_0000_0000;

        for (int level = 1; level <= MostLevels; level++)
        {
            int shift = 12 + (level - 1) * indexBits;
            ulong inPage = (1UL << shift) - 1;
            bool large = level == 2 ? kind != TwoLevel : level == 3 && kind == Long && gigabytePages;
            var f = new EntryFormat
            {
                PageBit = level == 1 ? PageEntry.Present : large ? PageEntry.Ps : 0,
                TableReserved = reserved | (pae && level > 2 ? PageEntry.Ps : 0) | (kind == Long && level > 2 && !ignoresTableGlobal ? PageEntry.Global : 0),
                PageReserved = reserved,
                TableMask = address,
                PageMask = address & ~inPage,
                Shift = (byte)shift,
                IndexMask = (ushort)((1 << indexBits) - 1),
            };
            if (level > 1)
                f.PageReserved |= pae ? inPage & ~0x1FFFUL : 1UL << 21;
            if (level == 2 && !pae)
                f.HighPageMask = 0x1F_E000;
            levels[level] = f;
        }
    }

    /// <summary>Bytes that <see cref="Describe"/> writes.</summary>
    public static nuint SizeOfAll => Count * ((nuint)sizeof(PageTableFormat) + (MostLevels + 1) * (nuint)sizeof(EntryFormat));

    /// <summary>
    /// Fills in all formats of a processor, in the order of <see cref="Current"/>. Intel's ignore G in the upper entries that lead to tables, where
    /// AMD's reserve it.
    /// </summary>
    public static void Describe(PageTableFormat* formats, int physicalBits, bool gigabytePages, bool ignoresTableGlobal)
    {
        var levels = (EntryFormat*)(formats + Count);
        for (int i = 0; i < Count; i++)
            formats[i] = new PageTableFormat(i, levels + i * (MostLevels + 1), physicalBits, gigabytePages, ignoresTableGlobal);
    }

    /// <summary>The number of the format in force; paging is on.</summary>
    public static int Current(CpuState* s)
    {
        int nx = (s->Efer & Efer.Nxe) != 0 ? WithNx : 0;
        return (s->Cr4 & Cr4.Pae) == 0 ? (s->Cr4 & Cr4.Pse) != 0 ? TwoLevelPse : TwoLevel
            : s->LongMode ? Long | nx : Pae | nx;
    }

    /// <summary>A format by its name.</summary>
    public static string Name(int format)
        => (format & Long) switch { TwoLevel => "32-bit", TwoLevelPse => "32-bit PSE", Pae => "PAE", _ => "long" } + ((format & WithNx) != 0 && (format & Long) >= Pae ? " NX" : "");

    /// <summary>Levels of entries in a format, 2 to 5. The third of 3 is not a table but registers (<see cref="DirectoryPointers"/>).</summary>
    public static int Levels(CpuState* s, int format)
        => (format & Long) switch
        {
            Long => (s->Cr4 & Cr4.La57) != 0 ? 5 : 4,
            Pae => 3,
            _ => 2,
        };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly EntryFormat* Level(int level) => _levels + level;

    /// <summary>Guest-physical address of the first table, not for PAE.</summary>
    public readonly ulong Root(CpuState* s) => s->Cr3 & _levels[1].TableMask;
}
