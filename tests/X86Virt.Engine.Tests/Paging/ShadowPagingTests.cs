using X86Virt.Engine.Memory;
using X86Virt.Engine.Processor;
using Xunit;

namespace X86Virt.Engine.Tests.Paging;

public sealed unsafe class ShadowPagingTests
{
    private const ulong Flags = PageEntry.Present | PageEntry.Rw | PageEntry.Us;
    private const ulong Root = 0x1000, Second = 0x2000, Third = 0x3000, Table = 0x4000, OtherRoot = 0x5000;
    private const ulong Linear = 0x10_0000;
    private const int Index = 0x100;

    /// <summary>Four levels; 2 MiB behind address 0 are mapped through one table, page 0x100 of it to 0x20_0000.</summary>
    private static PagedProcessor Machine(int tables = ShadowPaging.DefaultTables)
    {
        var m = new PagedProcessor(TableKind.FourLevel, PagingKind.Shadow, tables);
        m.SetEntry(Root, 0, Second | Flags);
        m.SetEntry(OtherRoot, 0, Second | Flags);
        m.SetEntry(Second, 0, Third | Flags);
        m.SetEntry(Third, 0, Table | Flags);
        m.SetEntry(Table, Index, 0x20_0000 | Flags);
        m.SetRoot(Root);
        return m;
    }

    [Fact]
    public void AMissIsAnsweredByAWalkOnceAndByTheShadowAfterwards()
    {
        using PagedProcessor m = Machine();
        m.Access(Linear, PagePermissions.Read);
        Assert.Equal((1, 0), (m.Counts.Walks, m.Counts.Refills));
        m.Access(Linear, PagePermissions.Read);
        Assert.Equal((1, 0), (m.Counts.Walks, m.Counts.Refills));
        m.SetRoot(Root);
        Assert.Equal(0x20_0000UL, m.Access(Linear, PagePermissions.Read).Address);
        Assert.Equal((1, 1), (m.Counts.Walks, m.Counts.Refills));
        Assert.Equal(4, m.Counts.TablesMade);
        Assert.Equal(0, m.Counts.TrueFaults);
    }

    [Fact]
    public void EveryTableOfAWalkIsTraced()
    {
        using PagedProcessor m = Machine();
        m.Access(Linear, PagePermissions.Read);
        Assert.All((ulong[])[Root, Second, Third, Table], page => Assert.Equal(PageTracking.Trace, m.Memory.Tracking((int)(page >> 12))));
        Assert.Equal(PageTracking.None, m.Memory.Tracking((int)(OtherRoot >> 12)));
    }

    [Fact]
    public void AStoreToATracedTableIsSeenAtTheNextMiss()
    {
        using PagedProcessor m = Machine();
        m.Access(Linear, PagePermissions.Read);
        m.SetEntry(Table, Index, 0x30_0000 | Flags | PageEntry.Accessed);
        Assert.Equal(1, m.Counts.TraceWrites);
        Assert.Equal(0x20_0000UL, m.Access(Linear, PagePermissions.Read).Address);
        m.Cpu.FlushTlbPage(Linear);
        Assert.Equal(0x30_0000UL, m.Access(Linear, PagePermissions.Read).Address);
        Assert.Equal((1, 1), (m.Counts.Walks, m.Counts.Refills));
    }

    [Fact]
    public void TheProcessorsOwnStoresReachTracedTables()
    {
        // The table is mapped through another one and written there, before it is traced and after: the TLB had let the first store through.
        using PagedProcessor m = Machine();
        const ulong alias = 1UL << 21, otherTable = 0x6000;
        m.SetEntry(Third, 1, otherTable | Flags);
        m.SetEntry(otherTable, 0, Table | Flags);
        m.Access(alias + 0xFF8, PagePermissions.Write, value: 1);
        m.Access(Linear, PagePermissions.Read);
        m.Access(alias + Index * 8, PagePermissions.Write, value: (uint)(0x30_0000 | Flags));
        m.Cpu.FlushTlbPage(Linear);
        Assert.Equal(0x30_0000UL, m.Access(Linear, PagePermissions.Read).Address);
    }

    [Fact]
    public void ClearedAAndDBitsAreSetAgain()
    {
        using PagedProcessor m = Machine();
        m.Access(Linear, PagePermissions.Write);
        Assert.Equal(0x20_0000 | Flags | PageEntry.Accessed | PageEntry.Dirty, m.Entry(Table, Index));
        m.SetEntry(Table, Index, 0x20_0000 | Flags | PageEntry.Accessed);
        m.SetEntry(Third, 0, Table | Flags);
        m.SetRoot(Root);
        m.Access(Linear, PagePermissions.Read);
        Assert.Equal(0x20_0000 | Flags | PageEntry.Accessed, m.Entry(Table, Index));
        Assert.Equal(Table | Flags | PageEntry.Accessed, m.Entry(Third, 0));
        m.Access(Linear, PagePermissions.Write);
        Assert.Equal(0x20_0000 | Flags | PageEntry.Accessed | PageEntry.Dirty, m.Entry(Table, Index));
        Assert.Equal((3, 0), (m.Counts.Walks, m.Counts.Refills));
    }

    [Fact]
    public void AddressSpacesShareTheShadowsOfTheTablesTheyShare()
    {
        using PagedProcessor m = Machine();
        m.Access(Linear, PagePermissions.Read);
        m.SetRoot(OtherRoot);
        m.Access(Linear, PagePermissions.Read);
        Assert.Equal(5, m.Counts.TablesMade);
        Assert.Equal((0, 2), (m.Counts.SpacesFound, m.Counts.SpacesNew));
        Assert.Equal(OtherRoot | 0, m.State->Cr3);
        Assert.Equal(Second | Flags | PageEntry.Accessed, m.Entry(OtherRoot, 0));

        m.SetRoot(Root);
        m.Access(Linear, PagePermissions.Read);
        m.SetRoot(OtherRoot);
        m.Access(Linear, PagePermissions.Read);
        Assert.Equal((2, 2), (m.Counts.SpacesFound, m.Counts.SpacesNew));
        Assert.Equal((2, 2), (m.Counts.Walks, m.Counts.Refills));
    }

    [Fact]
    public void ATableReachedWithOtherRightsHasAnotherShadow()
    {
        using PagedProcessor m = Machine();
        m.SetEntry(Root, 1, Second | PageEntry.Present | PageEntry.Us);
        const ulong readOnly = Linear + (1UL << 39);
        m.Access(Linear, PagePermissions.Write);
        Assert.Null(m.Access(readOnly, PagePermissions.Read).FaultCode);
        m.SetRoot(Root);
        Assert.NotNull(m.Access(readOnly, PagePermissions.Write).FaultCode);
        Assert.Null(m.Access(Linear, PagePermissions.Write).FaultCode);
        Assert.Equal(7, m.Counts.TablesMade);
        Assert.Equal(1, m.Counts.TrueFaults);
    }

    [Fact]
    public void AnUpperEntrysChangeTakesItsSubtreeAway()
    {
        using PagedProcessor m = Machine();
        m.Access(Linear, PagePermissions.Read);
        m.SetEntry(Second, 0, 0);
        m.SetRoot(Root);
        Assert.Equal(0u, m.Access(Linear, PagePermissions.Read).FaultCode);
        Assert.Equal(1, m.Counts.TrueFaults);
        m.SetEntry(Second, 0, Third | Flags);
        Assert.Equal(0x20_0000UL, m.Access(Linear, PagePermissions.Read).Address);
        // The tables below were found again.
        Assert.Equal(4, m.Counts.TablesMade);
    }

    [Fact]
    public void APageThatIsNoTableAnyMoreLosesItsTrace()
    {
        using PagedProcessor m = Machine();
        m.Access(Linear, PagePermissions.Read);
        for (int i = 0; i < 100; i++)
            m.SetEntry(Table, i, 0);
        Assert.Equal(PageTracking.None, m.Memory.Tracking((int)(Table >> 12)));
        Assert.Equal(1, m.Counts.TablesDropped);
        Assert.InRange(m.Counts.TraceWrites, 2, 20);
        // And is traced again when it is walked again.
        m.SetRoot(Root);
        Assert.Equal(0x20_0000UL, m.Access(Linear, PagePermissions.Read).Address);
        Assert.Equal(PageTracking.Trace, m.Memory.Tracking((int)(Table >> 12)));
    }

    [Fact]
    public void ATableWhoseStoresCostMoreThanItsUsesBringInRestsForAWhile()
    {
        using PagedProcessor m = Machine();
        StoreAndUse(m);
        Assert.Equal(1, m.Counts.TablesRested);
        Assert.Equal(PageTracking.None, m.Memory.Tracking((int)(Table >> 12)));
        Assert.InRange(m.Counts.TraceWrites, 20, 60);
        for (int i = 0; i < 1000; i++)
        {
            m.Cpu.FlushTlbPage(Linear);
            m.Access(Linear, PagePermissions.Read);
        }
        Assert.Equal(PageTracking.Trace, m.Memory.Tracking((int)(Table >> 12)));
    }

    [Fact]
    public void NoTableRestsWhileHardwareWalksAnotherForm()
    {
        using PagedProcessor m = Machine();
        m.Cpu.Shadow!.Form = new SeenForm();
        StoreAndUse(m);
        Assert.Equal((0, 99), (m.Counts.TablesRested, m.Counts.TraceWrites));
        // Its shadow is all that is used again.
        m.Cpu.Shadow.FormIsWalked = false;
        StoreAndUse(m);
        Assert.Equal(1, m.Counts.TablesRested);
        long walks = m.Counts.Walks;
        m.Cpu.Shadow.FormIsWalked = true;
        m.Cpu.FlushTlbPage(Linear);
        m.Access(Linear, PagePermissions.Read);
        m.Cpu.FlushTlbPage(Linear);
        m.Access(Linear, PagePermissions.Read);
        Assert.Equal(walks + 1, m.Counts.Walks);
    }

    private static void StoreAndUse(PagedProcessor m)
    {
        for (int i = 0; i < 100; i++)
        {
            m.SetEntry(Table, Index, (0x20_0000 + ((ulong)i << 12)) | Flags | PageEntry.Accessed);
            m.Cpu.FlushTlbPage(Linear);
            Assert.Equal(0x20_0000 + ((ulong)i << 12), m.Access(Linear, PagePermissions.Read).Address);
        }
    }

    private sealed class SeenForm : IShadowForm
    {
        public void Changed(int table, int index)
        {
        }

        public void Released(int table)
        {
        }

        public bool TakeUse(int table) => false;

        public void Traced(int page)
        {
        }
    }

    [Fact]
    public void TablesInUseKeepTheirTraceHoweverOftenTheyAreWritten()
    {
        using PagedProcessor m = Machine();
        m.Cpu.Shadow!.ChurnLimit = int.MaxValue;
        StoreAndUse(m);
        Assert.Equal((1, 99), (m.Counts.Walks, m.Counts.Refills));
        Assert.Equal(0, m.Counts.TablesDropped);
    }

    [Fact]
    public void TheFirstUseOfAnEntryThatAStoreMadePresentIsCounted()
    {
        using PagedProcessor m = Machine();
        m.Access(Linear, PagePermissions.Read);
        ulong next = Linear + 0x1000;
        m.SetEntry(Table, Index + 1, 0x30_0000 | Flags | PageEntry.Accessed);
        Assert.Equal((1, 0), (m.Counts.TraceWrites, m.Counts.TraceClears));
        Assert.Equal(0x30_0000UL, m.Access(next, PagePermissions.Read).Address);
        Assert.Equal((1, 1, 1), (m.Counts.Walks, m.Counts.Refills, m.Counts.FirstUses));

        // Changed while it is present, it stays known.
        m.SetEntry(Table, Index + 1, 0x20_0000 | Flags | PageEntry.Accessed);
        m.Cpu.FlushTlbPage(next);
        Assert.Equal(0x20_0000UL, m.Access(next, PagePermissions.Read).Address);
        Assert.Equal((2, 1), (m.Counts.Refills, m.Counts.FirstUses));

        m.SetEntry(Table, Index + 1, 0);
        m.SetEntry(Table, Index + 1, 0x30_0000 | Flags | PageEntry.Accessed);
        m.Cpu.FlushTlbPage(next);
        m.Access(next, PagePermissions.Read);
        Assert.Equal((4, 1, 2), (m.Counts.TraceWrites, m.Counts.TraceClears, m.Counts.FirstUses));
    }

    [Fact]
    public void CodeAndTablesOnOnePageAreBothTracked()
    {
        using PagedProcessor m = Machine();
        int page = (int)(Table >> 12);
        m.Memory.Track(page, PageTracking.Code);
        int stores = 0;
        m.Memory.CodeWrite += (_, _, _) => stores++;
        m.Access(Linear, PagePermissions.Read);
        Assert.Equal(PageTracking.Code | PageTracking.Trace, m.Memory.Tracking(page));
        stores = 0;
        m.SetEntry(Table, 5, 0);
        Assert.Equal((1, 1), (stores, m.Counts.TraceWrites));
        m.Cpu.UsePaging(PagingKind.Walk);
        Assert.Equal(PageTracking.Code, m.Memory.Tracking(page));
    }

    [Fact]
    public void NoMoreTablesThanAllowedAreKept()
    {
        using PagedProcessor m = Machine(ShadowPaging.FewestTables);
        for (ulong i = 0; i < 100; i++)
        {
            m.SetEntry(0x10_0000 + (i << 12), 0, (0x20_0000 + (i << 12)) | Flags);
            m.SetEntry(Third, (int)i + 1, (0x10_0000 + (i << 12)) | Flags);
        }
        for (int round = 0; round < 3; round++)
        {
            for (ulong i = 0; i < 100; i++)
            {
                Assert.Equal(0x20_0000 + (i << 12), m.Access((i + 1) << 21, PagePermissions.Read).Address);
                Assert.InRange(m.Cpu.Shadow!.Count, 1, ShadowPaging.FewestTables);
            }
            m.SetRoot(Root);
        }
        Assert.Equal(m.Counts.TablesMade - ShadowPaging.FewestTables, m.Counts.TablesEvicted);
        int traced = Enumerable.Range(0, (int)(PagedProcessor.RamSize >> 12)).Count(page => m.Memory.Tracking(page) != PageTracking.None);
        Assert.InRange(traced, 1, ShadowPaging.FewestTables);
    }

    [Fact]
    public void RemappedMemoryLeavesNoShadow()
    {
        using PagedProcessor m = Machine();
        m.Access(Linear, PagePermissions.Read);
        m.Memory.MapRam(Table, 0x1000, 0x8000);
        Assert.Equal(0, m.Cpu.Shadow!.Count);
        m.SetRoot(Root);
        Assert.NotNull(m.Access(Linear, PagePermissions.Read).FaultCode);
    }

    [Fact]
    public void LargePagesAreDroppedWhole()
    {
        using PagedProcessor m = Machine();
        m.SetEntry(Third, 1, 0x20_0000 | Flags | PageEntry.Ps);
        ulong large = 1UL << 21;
        m.Access(large, PagePermissions.Read);
        m.SetRoot(Root);
        Assert.Equal(0x20_3000UL, m.Access(large + 0x3000, PagePermissions.Read).Address);
        Assert.Equal((1, 1), (m.Counts.Walks, m.Counts.Refills));
        m.SetEntry(Third, 1, Flags | PageEntry.Ps | PageEntry.Accessed);
        m.Cpu.FlushTlbPage(large);
        Assert.Equal(0x3000UL, m.Access(large + 0x3000, PagePermissions.Read).Address);
    }
}
