using X86Virt.Engine.Monitors;
using X86Virt.Engine.Processor;

namespace X86Virt.Engine;

/// <summary>Page tables that a monitor keeps for the guest: nested ones below the guest's own, and shadows of the guest's.</summary>
public sealed partial class VirtualMachine
{
    private const int PageShift = 12, TableBits = 9;

    /// <summary>What nested page tables map, by guest-physical address; pages that are alike and follow each other are one region.</summary>
    /// <exception cref="MachineException">NoNestedPageTables.</exception>
    public IReadOnlyList<NestedRegion> ReadNestedPages() => Inspect(_ => NestedRegion.Join(Name, Nested.Pages()));

    /// <summary>The page that nested page tables map a guest-physical address by.</summary>
    /// <exception cref="MachineException">NoNestedPageTables; NestedPageNotFound.</exception>
    public NestedRegion ReadNestedPage(ulong address) => Inspect(_ =>
    {
        foreach (NestedPage page in Nested.Pages())
        {
            if (address - page.GuestAddress < page.Size)
                return NestedRegion.Of(Name, page);
        }
        throw new MachineException("NestedPageNotFound", $"Guest-physical address 0x{address:x} of machine '{Name}' is not mapped: the guest has not touched it yet, or no memory is there. Get-NestedPageTable '{Name}' shows what is mapped.");
    });

    /// <summary>Clears the D bits of nested pages, so that what the guest stores to from now on can be seen; how many were set. The guest does not notice.</summary>
    /// <exception cref="MachineException">NoNestedPageTables.</exception>
    public long ClearNestedDirty() => Inspect(_ => Nested.ClearDirty());

    /// <summary>Forgets all nested pages, so that what the guest uses from now on can be seen. The guest does not notice.</summary>
    /// <param name="largestPage">Bytes in the largest page that is mapped from now on, 4 KiB, 2 MiB or 1 GiB; as before if null.</param>
    /// <exception cref="MachineException">NoNestedPageTables.</exception>
    public void ClearNestedPages(ulong? largestPage = null) => Inspect(_ =>
    {
        NestedPageTables tables = Nested;
        if (largestPage is { } size)
            tables.LargestLevel = size < 1UL << (PageShift + TableBits) ? 1 : size < 1UL << (PageShift + 2 * TableBits) ? 2 : 3;
        tables.Clear();
    });

    /// <summary>Shadow page tables, the topmost first, and guest tables that rest.</summary>
    /// <exception cref="MachineException">NoShadowPageTables.</exception>
    public IReadOnlyList<ShadowPageTable> ReadShadowTables() => Inspect(_ => Shadow.Tables());

    /// <summary>What is in a shadow table.</summary>
    /// <exception cref="MachineException">NoShadowPageTables.</exception>
    public IReadOnlyList<ShadowPageTableEntry> ReadShadowEntries(int table) => Inspect(_ => (IReadOnlyList<ShadowPageTableEntry>)[.. Shadow.Entries(table)]);

    /// <summary>What TLBs hold, and what became of misses.</summary>
    public IReadOnlyList<TlbStatistics> ReadTlbs() => Inspect(cpu => (IReadOnlyList<TlbStatistics>)(
        _engine is HardwareAssist ? [TlbStatistics.Of(Name, "guest", cpu.Silicon!.GuestTlb, cpu.Silicon, guest: true), TlbStatistics.Of(Name, "monitor", cpu.HostTlb, cpu, guest: false)]
        : cpu.Svm != null ? [TlbStatistics.Of(Name, "processor", cpu.HostTlb, cpu, guest: false), TlbStatistics.Of(Name, "guest", cpu.GuestTlb, cpu, guest: true)]
        : [TlbStatistics.Of(Name, "processor", cpu.HostTlb, cpu, guest: false)]));

    /// <summary>The physical address space, by address: what answers, and what is known of each page.</summary>
    public IReadOnlyList<MemoryMapRegion> ReadMemoryMap() => Inspect(cpu => MemoryMapRegion.Read(cpu.Memory, FindNested()));

    private PagingKind PagingInForce => _cpu.Shadow != null ? PagingKind.Shadow : FindNested() != null ? PagingKind.Nested : PagingKind.Walk;

    private NestedPageTables? FindNested() => ((_engine as HardwareAssist)?.Paging as NestedGuestPaging)?.Tables;

    private NestedPageTables Nested => FindNested()
        ?? throw new MachineException("NoNestedPageTables", $"Machine '{Name}' has no nested page tables: it runs on {Engine} with -Paging {PagingInForce}. Stop it and use Set-VirtualMachine -Engine HardwareAssist -Paging Nested.");

    private ShadowInspector Shadow => _cpu.Shadow != null ? new ShadowInspector(Name, _cpu)
        : throw new MachineException("NoShadowPageTables", $"Machine '{Name}' has no shadow page tables: it runs on {Engine} with -Paging {PagingInForce}. Stop it and use Set-VirtualMachine -Paging Shadow.");
}
