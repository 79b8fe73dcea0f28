using X86Virt.Engine.Memory;
using X86Virt.Engine.Platform;
using X86Virt.Engine.Processor;
using Xunit;

namespace X86Virt.Engine.Tests.Paging;

/// <summary>What a TLB holds and counts, and the model of a page-walk cache.</summary>
public sealed unsafe class TlbStatisticsTests
{
    private const ulong Flags = PageEntry.Present | PageEntry.Rw | PageEntry.Us;
    private const ulong Root = 0x1000, Second = 0x2000, Third = 0x3000, Table = 0x4000, Other = 0x5000;

    /// <summary>Four levels: two tables of 4 KiB pages, then a page of 2 MiB.</summary>
    private static PagedProcessor Machine()
    {
        var m = new PagedProcessor(TableKind.FourLevel, PagingKind.Walk);
        m.SetEntry(Root, 0, Second | Flags);
        m.SetEntry(Second, 0, Third | Flags);
        m.SetEntry(Third, 0, Table | Flags);
        m.SetEntry(Third, 1, Other | Flags);
        m.SetEntry(Third, 2, 0x20_0000 | Flags | PageEntry.Ps);
        for (int i = 0; i < 8; i++)
        {
            m.SetEntry(Table, i, 0x10_0000 | Flags);
            m.SetEntry(Other, i, 0x10_0000 | Flags);
        }
        m.SetRoot(Root);
        return m;
    }

    private static (long Walks, long References, long Spared) Counts(PagedProcessor m)
        => (m.Cpu.Tlb.WalkCache.Walks, m.Cpu.Tlb.WalkCache.References, m.Cpu.Tlb.WalkCache.Spared);

    [Fact]
    public void AWalkCacheSparesWhatEarlierWalksHaveRead()
    {
        using PagedProcessor m = Machine();
        m.Access(0, PagePermissions.Read);
        Assert.Equal((1, 4, 0), Counts(m));
        m.Access(0x1000, PagePermissions.Read);
        Assert.Equal((2, 8, 3), Counts(m));
        // Another page table: the PDPE is cached, its PDE is not.
        m.Access(0x20_0000, PagePermissions.Read);
        Assert.Equal((3, 12, 5), Counts(m));
        // A large page: the PDE maps it.
        m.Access(0x40_0000, PagePermissions.Read);
        Assert.Equal((4, 15, 7), Counts(m));
        m.Access(0x40_0000, PagePermissions.Read);
        Assert.Equal(4, m.Cpu.Tlb.WalkCache.Walks);
        Assert.Equal([1, 2, 0], new[] { 2, 3, 4 }.Select(m.Cpu.Tlb.WalkCache.Hits));
    }

    /// <summary>The walk that sets the D bit is made whatever is held.</summary>
    [Fact]
    public void EntriesForLargePagesSpareWalksOfTheirOtherPieces()
    {
        using PagedProcessor m = Machine();
        m.Access(0x40_0000, PagePermissions.Read);
        m.Access(0x1000, PagePermissions.Read);
        Assert.Equal(0, m.Cpu.Tlb.WalkCache.SparedByLargePages);
        m.Access(0x40_1000, PagePermissions.Read);
        Assert.Equal(1, m.Cpu.Tlb.WalkCache.SparedByLargePages);
        m.Access(0x40_2000, PagePermissions.Write);
        Assert.Equal(1, m.Cpu.Tlb.WalkCache.SparedByLargePages);
        m.Access(0x40_3000, PagePermissions.Write);
        Assert.Equal(2, m.Cpu.Tlb.WalkCache.SparedByLargePages);
        m.Cpu.FlushTlbPage(0x40_7000);
        m.Access(0x40_4000, PagePermissions.Read);
        Assert.Equal(2, m.Cpu.Tlb.WalkCache.SparedByLargePages);
        m.SetRoot(Root);
        m.Access(0x40_5000, PagePermissions.Read);
        Assert.Equal((2, 7), (m.Cpu.Tlb.WalkCache.SparedByLargePages, m.Cpu.Tlb.WalkCache.Walks));
    }

    [Fact]
    public void GlobalLargePagesStayOverAChangeOfAddressSpaces()
    {
        using PagedProcessor m = Machine();
        m.State->Cr4 |= Cr4.Pge;
        m.SetEntry(Third, 2, 0x20_0000 | Flags | PageEntry.Ps | PageEntry.Global);
        m.SetEntry(Third, 3, 0x20_0000 | Flags | PageEntry.Ps);
        m.Access(0x40_0000, PagePermissions.Read);
        m.Access(0x60_0000, PagePermissions.Read);
        m.SetRoot(Root);
        m.Access(0x60_1000, PagePermissions.Read);
        Assert.Equal(0, m.Cpu.Tlb.WalkCache.SparedByLargePages);
        m.Access(0x40_1000, PagePermissions.Read);
        Assert.Equal(1, m.Cpu.Tlb.WalkCache.SparedByLargePages);
    }

    [Fact]
    public void RefillsThatTheyWouldSpareAreCountedApart()
    {
        using PagedProcessor m = Machine();
        m.Cpu.UsePaging(PagingKind.Shadow);
        m.Access(0x40_0000, PagePermissions.Read);
        m.SetRoot(Root);
        m.Access(0x40_0000, PagePermissions.Read);
        m.Access(0x40_1000, PagePermissions.Read);
        m.Access(0x40_2000, PagePermissions.Read);
        Assert.Equal((3, 2), (m.Counts.Refills, m.Counts.LargeRefills));
        MachineStatistics statistics = MachineStatistics.Of(m.Cpu, new PortBus(), log: null);
        Assert.Equal([1, 2], statistics.Exits.Where(e => e.Kind == ExitKind.HiddenPageFault && e.Detail.StartsWith("refill", StringComparison.Ordinal)).Select(e => e.Count));
    }

    [Fact]
    public void WhateverFlushesTheTlbFlushesTheWalkCache()
    {
        using PagedProcessor m = Machine();
        m.Access(0, PagePermissions.Read);
        m.Cpu.FlushTlbPage(0x7000);
        m.Access(0x1000, PagePermissions.Read);
        Assert.Equal((2, 8, 0), Counts(m));
        m.SetRoot(Root);
        m.Access(0x2000, PagePermissions.Read);
        Assert.Equal((3, 12, 0), Counts(m));
        Assert.Equal(1, m.Cpu.Tlb.PageFlushes);
    }

    /// <summary>The directory pointers of PAE are in the processor.</summary>
    [Fact]
    public void DirectoryPointersAreNoReferences()
    {
        using var m = new PagedProcessor(TableKind.Pae, PagingKind.Walk);
        m.SetEntry(Root, 0, Second | PageEntry.Present);
        m.SetEntry(Second, 0, Table | Flags);
        m.SetEntry(Table, 0, 0x10_0000 | Flags);
        m.SetEntry(Table, 1, 0x10_0000 | Flags);
        m.SetRoot(Root);
        m.Access(0, PagePermissions.Read);
        m.Access(0x1000, PagePermissions.Read);
        Assert.Equal((2, 4, 1), Counts(m));
    }

    [Fact]
    public void FaultsAreWalksAndInspectionIsNone()
    {
        using PagedProcessor m = Machine();
        m.Access(0x60_0000, PagePermissions.Read);
        Assert.Equal((1, 3, 0), Counts(m));
        Assert.Equal(1, m.Cpu.Tlb.WalkCache.Faults);
        AddressResolver.Resolve(m.Cpu, 0);
        Assert.Equal((1, 3, 0), Counts(m));
    }

    [Fact]
    public void ContentsAreThoseOfTheLastFlushOn()
    {
        using PagedProcessor m = Machine();
        m.Access(0, PagePermissions.Read);
        m.Access(0x1000, PagePermissions.Read);
        m.Access(0x40_0000, PagePermissions.Read);
        Assert.Equal(new TlbContents(2, 1, 0), m.Cpu.Tlb.Contents);
        m.Cpu.FlushTlbPage(0);
        Assert.Equal(new TlbContents(1, 1, 0), m.Cpu.Tlb.Contents);
        m.SetRoot(Root);
        Assert.Equal(default, m.Cpu.Tlb.Contents);
    }
}
