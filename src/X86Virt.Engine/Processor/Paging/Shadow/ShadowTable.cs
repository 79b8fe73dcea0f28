using System.Runtime.InteropServices;

namespace X86Virt.Engine.Processor;

/// <summary>
/// Shadow of one guest page table in one role: level, format, and the rights that the tables above it leave. A guest table that is
/// reached in several roles has as many shadows; address spaces that share it in one role share its shadow.
/// </summary>
[StructLayout(LayoutKind.Sequential, Size = 32)]
internal struct ShadowTable
{
    /// <summary>Page of the guest table, by its index in host memory; of a free one undefined.</summary>
    public int Page;

    /// <summary>The next shadow table of the same page, or the next free one; -1 at the end.</summary>
    public int Next;

    /// <summary>Goes up when the table is given up, so that links to it are known for dead.</summary>
    public uint Generation;

    /// <summary>Stores to the guest table since it was last used to translate.</summary>
    public int Writes;

    /// <summary>What stores to the guest table cost beyond what its uses brought in; of the lowest level only.</summary>
    public int Churn;

    public byte Level;

    /// <summary>Number of the format (<see cref="PageTableFormat.Current"/>).</summary>
    public byte Format;
    public PageRights Rights;
    public bool InUse;

    /// <summary>Translated through since the search for a table to evict came by.</summary>
    public bool Referenced;

    /// <summary>On the path that is being put into the shadow; must not be evicted for it.</summary>
    public bool Pinned;
}

/// <summary>
/// One slot of a shadow table. 0: nothing is known. A page: the entry as the guest has it, its A bit set, with the rights of its path.
/// Such an entry may be <see cref="Untried"/>. A link: number and generation of the shadow table that the guest's entry, its A bit set, leads to.
/// </summary>
internal static class ShadowSlot
{
    public const ulong Present = 1;
    public const ulong RightsMask = (ulong)PageRights.All;
    public const ulong Page = 0x10;
    public const ulong Dirty = 0x20;
    public const ulong Global = 0x40;

    /// <summary>A store made a page of an empty slot, and nothing has been translated through it since.</summary>
    public const ulong Untried = 0x80;
    public const ulong FrameMask = 0x000F_FFFF_FFFF_F000;
    private const int NumberShift = 12, GenerationShift = 32;
    public const int MostTables = 1 << (GenerationShift - NumberShift);

    public static ulong OfPage(ulong frame, PageRights rights, ulong entry)
        => frame | Present | Page | (ulong)rights
            | ((entry & PageEntry.Dirty) != 0 ? Dirty : 0) | ((entry & PageEntry.Global) != 0 ? Global : 0);

    public static ulong OfTable(int number, uint generation)
        => Present | (ulong)number << NumberShift | (ulong)generation << GenerationShift;

    /// <summary>Number of the table that a link leads to.</summary>
    public static int Number(ulong slot) => (int)(uint)slot >> NumberShift;

    public static uint Generation(ulong slot) => (uint)(slot >> GenerationShift);
}
