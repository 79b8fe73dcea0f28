namespace X86Virt.Engine.Processor;

/// <summary>What shadow paging did.</summary>
public struct PagingCounts
{
    /// <summary>Hidden page faults: TLB misses that the shadow answered.</summary>
    public long Refills;

    /// <summary>Those of them that were the first to use what a store had put into the shadow; one that is filled by faults alone would have walked.</summary>
    public long FirstUses;

    /// <summary>Others of them, which a TLB with entries for large pages would have been spared (<see cref="LargePageTlb"/>).</summary>
    public long LargeRefills;

    /// <summary>Hidden page faults that took a walk of the guest's tables: what it found was not in the shadow, or the D bit was clear.</summary>
    public long Walks;

    /// <summary>Page faults that the guest got to see.</summary>
    public long TrueFaults;

    /// <summary>Stores to shadowed page tables. Those that set A and D bits for a walk are not among them.</summary>
    public long TraceWrites;

    /// <summary>Those of them that left an entry that is not present.</summary>
    public long TraceClears;

    public long TablesMade;

    /// <summary>Shadow tables given up for others when there were as many as there may be.</summary>
    public long TablesEvicted;

    /// <summary>Shadow tables given up because the guest wrote to its table again and again and used it little or not at all in between.</summary>
    public long TablesDropped;

    /// <summary>Those of them that were given up for a while because stores to the guest table cost more than its uses brought in.</summary>
    public long TablesRested;

    /// <summary>Changes to an address space whose shadow was still there.</summary>
    public long SpacesFound;

    /// <summary>Changes to one that had none.</summary>
    public long SpacesNew;
}
