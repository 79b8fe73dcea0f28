namespace X86Virt.Engine;

/// <summary>What becomes of a guest's page table under shadow paging.</summary>
public enum ShadowTableState
{
    /// <summary>It has a shadow, and stores to it are traced.</summary>
    InUse,

    /// <summary>It is stored to so often that it has no shadow for a while; misses through it are answered by walks.</summary>
    Resting,
}

/// <summary>The shadow of one guest page table in one role, or a table that is left without one for a while.</summary>
/// <param name="VMName">The machine.</param>
/// <param name="Number">Which shadow table it is; null of one that rests.</param>
/// <param name="GuestTable">Guest-physical address of the guest's table.</param>
/// <param name="Level">5 (PML5) to 1 (page table).</param>
/// <param name="Name">PML5, PML4, PDPT, PD or PT.</param>
/// <param name="Format">Which kind of page tables it belongs to.</param>
/// <param name="Rights">What the tables above it leave: of "wux" write, user, execute.</param>
/// <param name="Entries">Slots that are not empty.</param>
/// <param name="Links">Those of them that lead to shadow tables.</param>
/// <param name="Mappings">Those that map pages.</param>
/// <param name="Dirty">Mappings that may be written without a walk: the guest's D bit is set.</param>
/// <param name="Traced">Whether stores to the guest's table are told of.</param>
/// <param name="State">Whether it is in use or rests.</param>
/// <param name="RestingWalks">How many more walks it rests for.</param>
/// <param name="StoresSinceUse">Stores to the guest's table since it was used last.</param>
/// <param name="Churn">What stores to it cost beyond what its uses brought in, in refills; when there is too much of it, it rests.</param>
/// <param name="HostTables">With HardwareAssist, the host-physical addresses of the pages that the silicon walks for it.</param>
public sealed record ShadowPageTable(
    string VMName, int? Number, ulong GuestTable, int Level, string Name, string Format, string Rights, int Entries, int Links, int Mappings, int Dirty,
    bool Traced, ShadowTableState State, int RestingWalks, int StoresSinceUse, int Churn, IReadOnlyList<ulong> HostTables);

/// <summary>A slot of a shadow table.</summary>
/// <param name="VMName">The machine.</param>
/// <param name="Table">Number of the shadow table.</param>
/// <param name="GuestTable">Guest-physical address of the guest's table.</param>
/// <param name="Level">5 (PML5) to 1 (page table).</param>
/// <param name="Index">Which slot.</param>
/// <param name="GuestEntry">The guest's entry.</param>
/// <param name="IsMapping">It maps a page; otherwise it leads to a shadow table.</param>
/// <param name="PhysicalAddress">Guest-physical address of the page.</param>
/// <param name="PageSize">Bytes in it.</param>
/// <param name="Rights">What the whole path allows: of "wux" write, user, execute.</param>
/// <param name="Dirty">It may be written without a walk.</param>
/// <param name="Global">It survives a CR3 write.</param>
/// <param name="Untried">A store to the guest's table put it here, and it has not been used since.</param>
/// <param name="NextTable">Number of the shadow table that it leads to.</param>
/// <param name="HostEntryAddress">With HardwareAssist, where the entry that the silicon walks is; null if there is none yet.</param>
/// <param name="HostEntry">That entry.</param>
public sealed record ShadowPageTableEntry(
    string VMName, int Table, ulong GuestTable, int Level, int Index, ulong GuestEntry, bool IsMapping, ulong? PhysicalAddress, ulong? PageSize, string Rights,
    bool Dirty, bool Global, bool Untried, int? NextTable, ulong? HostEntryAddress, ulong? HostEntry);
