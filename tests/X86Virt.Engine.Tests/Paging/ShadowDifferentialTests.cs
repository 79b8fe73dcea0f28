using X86Virt.Engine.Memory;
using X86Virt.Engine.Processor;
using Xunit;

namespace X86Virt.Engine.Tests.Paging;

/// <summary>
/// Two processors go through the same random page-table edits, control-register writes and accesses, one with a shadow and one that walks.
/// They must come to the same results, faults and memory after every step; the TLBs above are as lazy as ever, so most edits are seen late.
/// </summary>
public sealed unsafe class ShadowDifferentialTests
{
    // Page tables are made of the first pages, each level mostly of its own; what they map is any page at all, tables among them.
    private const int TablesPerLevel = 4;
    private const int TablePages = (PageTableFormat.MostLevels + 1) * TablesPerLevel;
    private const int Pages = (int)(PagedProcessor.RamSize >> 12);
    private const int Steps = 20_000;

    /// <summary>Some indices in each table, so that paths meet.</summary>
    private static readonly int[] s_indices = [0, 1, 256, 511];

    /// <summary>The seed of the run in which tables rest.</summary>
    private const int Resting = 2;

    public static TheoryData<TableKind, int, int> Runs()
    {
        var runs = new TheoryData<TableKind, int, int>();
        foreach (TableKind kind in Enum.GetValues<TableKind>())
        {
            runs.Add(kind, 1, ShadowPaging.DefaultTables);
            runs.Add(kind, Resting, ShadowPaging.DefaultTables);
            runs.Add(kind, 3, ShadowPaging.FewestTables);
        }
        return runs;
    }

    [Theory]
    [MemberData(nameof(Runs))]
    public void TheGuestCannotTellAShadowFromWalks(TableKind kind, int seed, int tables)
    {
        using var shadow = new PagedProcessor(kind, PagingKind.Shadow, tables);
        using var walk = new PagedProcessor(kind, PagingKind.Walk);
        shadow.Cpu.Shadow!.ChurnLimit = seed == Resting ? 12 : int.MaxValue;
        var random = new Random(seed * 100 + (int)kind);
        ulong[] roots = [.. Enumerable.Range(0, 4).Select(i => Root(kind, random, i))];
        for (int i = 0; i < 600; i++)
            Edit(shadow, walk, roots, random);
        Both(m => m.SetRoot(roots[0]));

        int reached = 0;
        for (int step = 0; step < Steps; step++)
        {
            switch (random.Next(40))
            {
                case < 8:
                    Edit(shadow, walk, roots, random);
                    break;
                case 8:
                    ulong root = roots[random.Next(roots.Length)];
                    Both(m => m.SetRoot(root));
                    break;
                case < 12:
                    ulong page = Linear(shadow, random);
                    Both(m => m.Cpu.FlushTlbPage(page));
                    break;
                case 12:
                    ulong bit = random.Next(4) switch { 0 => Cr4.Pge, 1 => Cr4.Smep, 2 => Cr4.Smap, _ => 0 };
                    bool wp = bit == 0;
                    Both(m => Toggle(m, bit, wp));
                    break;
                case 13 when random.Next(8) == 0:
                    // A table becomes data: stored to from end to end, by the guest's hand or a device's.
                    var bytes = new byte[random.Next(2) == 0 ? 0x1000 : 0x200];
                    if (random.Next(2) == 0)
                        random.NextBytes(bytes);
                    ulong table = Table(random, 1);
                    Both(m => m.Memory.Write(table, bytes));
                    break;
                default:
                    ulong linear = Linear(shadow, random);
                    PagePermissions access = random.Next(5) switch { 0 or 1 => PagePermissions.Write, 2 => PagePermissions.Fetch, _ => PagePermissions.Read };
                    bool user = random.Next(2) == 0;
                    uint value = random.Next(3) == 0 ? (uint)random.Next() : (uint)Entry(shadow, random, 1);
                    AccessResult expected = walk.Access(linear, access, user, value), found = shadow.Access(linear, access, user, value);
                    Assert.True(expected == found, $"step {step}: {access} at {linear:x}, user {user}: {expected} by walks, {found} by the shadow");
                    if (expected.FaultCode == null)
                        reached++;
                    break;
            }
            if (step % 16 == 0)
                SameMemory(shadow, walk, step);
        }
        SameMemory(shadow, walk, Steps);

        // The test is one only if much was mapped, and if the shadow did answer.
        Assert.True(reached > Steps / 40, $"only {reached} accesses reached memory");
        bool few = tables == ShadowPaging.FewestTables;
        Assert.True(shadow.Counts.Refills > (few || seed == Resting ? 10 : 100), $"only {shadow.Counts.Refills} refills");
        Assert.True(shadow.Counts.TraceWrites > 100, $"only {shadow.Counts.TraceWrites} stores to traced tables");
        Assert.Equal(seed == Resting, shadow.Counts.TablesRested > 2);
        Assert.Equal(default, walk.Counts);
        if (few)
            Assert.True(shadow.Counts.TablesEvicted > 10, $"only {shadow.Counts.TablesEvicted} evictions");

        void Both(Action<PagedProcessor> action)
        {
            action(shadow);
            action(walk);
        }
    }

    private static ulong Root(TableKind kind, Random random, int i)
        => (ulong)((kind switch { <= TableKind.TwoLevelPse => 2, <= TableKind.PaeNoNx => 3, TableKind.FiveLevel => 5, _ => 4 }) * TablesPerLevel + i) << 12 | (kind is TableKind.Pae or TableKind.PaeNoNx ? (ulong)random.Next(3) << 5 : 0);

    /// <summary>A page for tables of a level; now and then one of another level.</summary>
    private static ulong Table(Random random, int level)
        => (ulong)(random.Next(12) == 0 ? random.Next(TablePages) : level * TablesPerLevel + random.Next(TablesPerLevel)) << 12;

    private static void Toggle(PagedProcessor m, ulong cr4Bit, bool wp)
    {
        m.State->Cr4 ^= cr4Bit;
        if (wp)
            m.State->Cr0 ^= Cr0.Wp;
        m.Cpu.FlushTlb(keepGlobal: false);
    }

    /// <summary>An entry that may be anything, but leads mostly to a table where a table belongs.</summary>
    private static ulong Entry(PagedProcessor m, Random random, int level)
    {
        if (random.Next(12) == 0)
            return 0;
        ulong entry = (level > 1 ? Table(random, level - 1) : (ulong)random.Next(random.Next(8) == 0 ? TablePages : Pages) << 12) | PageEntry.Present;
        foreach ((ulong bit, int percent) in (ReadOnlySpan<(ulong, int)>)
            [(PageEntry.Rw, 85), (PageEntry.Us, 85), (PageEntry.Accessed, 50), (PageEntry.Dirty, 40), (PageEntry.Global, level > 2 ? 0 : 20), (PageEntry.Ps, level == 2 ? 15 : 1), (PageEntry.Nx, 5)])
        {
            if (random.Next(100) < percent)
                entry |= bit;
        }
        bool pae = m.EntrySize == 8;
        if (pae && m.Levels == 3 && level == 3 && random.Next(20) != 0)
            entry &= ~(0x1E6UL | PageEntry.Nx);
        if (m.Kind is TableKind.FourLevelNoNx or TableKind.PaeNoNx && random.Next(20) != 0)
            entry &= ~PageEntry.Nx;
        if ((entry & PageEntry.Ps) != 0 && level > 1)
            entry &= ~((1UL << (pae ? 21 : 22)) - 0x2000);
        if (random.Next(50) == 0)
            entry |= 1UL << (pae ? 45 : 21);
        return pae ? entry : (uint)entry;
    }

    /// <summary>Changes one entry of a table, or one bit of it.</summary>
    private static void Edit(PagedProcessor a, PagedProcessor b, ulong[] roots, Random random)
    {
        int level = random.Next(1, a.Levels + 1);
        int index = s_indices[random.Next(s_indices.Length)];
        if (level == 3 && a.Levels == 3)
            index &= 3;
        ulong table = Table(random, level);
        if (level == a.Levels)
            table = roots[random.Next(roots.Length)];
        ulong old = a.Entry(table, index);
        ulong entry = random.Next(8) switch
        {
            0 => old & ~PageEntry.Accessed,
            1 => old & ~PageEntry.Dirty,
            2 => old ^ PageEntry.Rw,
            3 => old ^ PageEntry.Us,
            4 when old != 0 => old ^ PageEntry.Present,
            _ => Entry(a, random, level),
        };
        a.SetEntry(table, index, entry);
        b.SetEntry(table, index, entry);
    }

    private static ulong Linear(PagedProcessor m, Random random)
    {
        ulong linear = (ulong)random.Next(0x3FE) * 4;
        for (int level = 1; level <= m.Levels; level++)
        {
            int index = s_indices[random.Next(s_indices.Length)] & (m.Levels == 3 && level == 3 ? 3 : 0x3FF);
            linear |= (ulong)index << m.Shift(level);
        }
        int unused = m.Kind == TableKind.FiveLevel ? 7 : 16;
        return m.IsLong ? (ulong)((long)(linear << unused) >> unused) : (uint)linear;
    }

    private static void SameMemory(PagedProcessor a, PagedProcessor b, int step)
    {
        var x = new ReadOnlySpan<byte>(a.Memory.Block, (int)PagedProcessor.RamSize);
        var y = new ReadOnlySpan<byte>(b.Memory.Block, (int)PagedProcessor.RamSize);
        int at = x.CommonPrefixLength(y);
        Assert.True(at == x.Length, $"step {step}: memory differs at {at:x}");
    }
}
