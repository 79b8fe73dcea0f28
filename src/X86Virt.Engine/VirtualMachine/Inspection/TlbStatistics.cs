using X86Virt.Engine.Processor;

namespace X86Virt.Engine;

/// <summary>What is in a TLB, and what became of its misses since the machine was made or its engine changed.</summary>
/// <param name="VMName">The machine.</param>
/// <param name="Tlb">Whose it is: the processor's; of a hypervisor's guest; with HardwareAssist the guest's in the silicon, and the monitor's, which emulates with it.</param>
/// <param name="Capacity">Entries that there is room for, all access modes together; each is of 4 KiB.</param>
public sealed record TlbStatistics(string VMName, string Tlb, int Capacity)
{
    /// <summary>Translations that it holds.</summary>
    public int Entries { get; init; }

    /// <summary>Those of them that are of 4 KiB pages.</summary>
    public int SmallEntries { get; init; }

    /// <summary>Pieces of 4 KiB of larger pages.</summary>
    public int LargeEntries { get; init; }

    /// <summary>Those that a CR3 write leaves.</summary>
    public int GlobalEntries { get; init; }

    /// <summary>Misses that were answered; lookups that hit are not counted.</summary>
    public long Misses { get; init; }

    /// <summary>Misses that shadow page tables answered without a walk; of the processor whose tables they are.</summary>
    public long Refills { get; init; }

    /// <summary>Walks of page tables, those that met a fault among them.</summary>
    public long Walks { get; init; }

    /// <summary>Walks that met a fault: the guest's, or a nested one, as each access to a device does with nested paging.</summary>
    public long Faults { get; init; }

    /// <summary>Entries that walks read; with nested paging one that could not be read because of a nested fault is among them.</summary>
    public long References { get; init; }

    /// <summary>References that a page-walk cache would have spared: one of 32 entries for each level above the last, flushed as the TLB is. A count alone; walks read every entry.</summary>
    public long WalkCacheSpared { get; init; }

    /// <summary>Walks that would have begun at the last table, behind a cached PDE.</summary>
    public long WalkCachePdeHits { get; init; }

    /// <summary>Walks that would have begun behind a cached PDPE.</summary>
    public long WalkCachePdpeHits { get; init; }

    /// <summary>Walks that would have begun behind a cached PML4E or PML5E.</summary>
    public long WalkCachePml4eHits { get; init; }

    /// <summary>Misses that entries for large pages would have spared: 32 of 2 MiB, flushed as the TLB is. A count alone; the TLB holds pieces of 4 KiB.</summary>
    public long LargePagesSpared { get; init; }

    /// <summary>Walks of nested page tables.</summary>
    public long NestedWalks { get; init; }

    /// <summary>Entries of nested page tables that they read, and entries of guest tables read through them.</summary>
    public long NestedReferences { get; init; }

    /// <summary>Guest-physical pages that the nested TLB had.</summary>
    public long NestedTlbHits { get; init; }

    /// <summary>Flushes of everything: writes of control registers and EFER, world switches, changes of the physical map.</summary>
    public long Flushes { get; init; }

    /// <summary>Flushes of all but global pages: CR3 writes with CR4.PGE.</summary>
    public long NonGlobalFlushes { get; init; }

    /// <summary>Pages flushed: INVLPG, INVPCID, INVLPGA.</summary>
    public long PageFlushes { get; init; }

    internal static TlbStatistics Of(string name, string whose, Tlb tlb, Cpu cpu, bool guest)
    {
        TlbContents held = tlb.Contents;
        PageWalkCache walks = tlb.WalkCache;
        SvmCounts? nested = guest ? cpu.Svm?.Counts : null;
        return new TlbStatistics(name, whose, Processor.Tlb.Capacity)
        {
            Entries = held.Small + held.Large, SmallEntries = held.Small, LargeEntries = held.Large, GlobalEntries = held.Global, Misses = tlb.Fills,
            Refills = guest ? 0 : cpu.Statistics.Paging.Refills, Walks = walks.Walks, Faults = walks.Faults, References = walks.References, WalkCacheSpared = walks.Spared,
            WalkCachePdeHits = walks.Hits(2), WalkCachePdpeHits = walks.Hits(3), WalkCachePml4eHits = walks.Hits(4) + walks.Hits(5),
            LargePagesSpared = walks.SparedByLargePages + (guest ? 0 : cpu.Statistics.Paging.LargeRefills), NestedWalks = nested?.NestedWalks ?? 0, NestedReferences = nested?.NestedReferences ?? 0, NestedTlbHits = nested?.NestedTlbHits ?? 0,
            Flushes = tlb.Flushes - tlb.NonGlobalFlushes, NonGlobalFlushes = tlb.NonGlobalFlushes, PageFlushes = tlb.PageFlushes,
        };
    }
}
