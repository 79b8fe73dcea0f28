namespace X86Virt.Engine.Processor;

/// <summary>
/// Counts walks of a TLB's misses, the entries that they read, and those that a page-walk cache would have spared them: one that keeps entries which lead to tables,
/// by level and linear address, and is flushed by whatever flushes the TLB, INVLPG included (AMD volume 2, 5.5). It only counts: walks read every entry.
/// </summary>
internal sealed unsafe class PageWalkCache
{
    /// <summary>Entries of each level; an address has its place by its lowest bits.</summary>
    public const int EntriesPerLevel = 32;

    private const int DirectoryPointerLevel = 3;

    private readonly Slot[] _slots = new Slot[(PageTableFormat.MostLevels + 1) * EntriesPerLevel];
    private readonly long[] _hits = new long[PageTableFormat.MostLevels + 1];
    private long _generation = 1;

    private struct Slot
    {
        public ulong Prefix;
        public long Generation;
    }

    /// <summary>Walks, those that met a fault among them.</summary>
    public long Walks { get; private set; }

    /// <summary>Those of them that met a fault, of the guest's or a nested one.</summary>
    public long Faults { get; private set; }

    /// <summary>Entries of the guest's tables that they read.</summary>
    public long References { get; private set; }

    /// <summary>Those of them that the cache would have had.</summary>
    public long Spared { get; private set; }

    /// <summary>Walks that entries for large pages would have spared (<see cref="LargePageTlb"/>).</summary>
    public long SparedByLargePages { get; private set; }

    /// <summary>Walks that would have begun behind an entry of a level.</summary>
    public long Hits(int level) => _hits[level];

    public void Flush() => _generation++;

    /// <summary>A walk of a last level alone.</summary>
    public void CountLast()
    {
        Walks++;
        References++;
    }

    /// <param name="format">The tables' format.</param>
    /// <param name="linear">The address that was walked for.</param>
    /// <param name="path">What was read.</param>
    /// <param name="pointersAreRegisters">The directory pointers of PAE are no references.</param>
    /// <param name="mapped">The walk met no fault.</param>
    /// <param name="spared">Entries for large pages would have spared it.</param>
    public void Count(PageTableFormat* format, ulong linear, PageWalkPath* path, bool pointersAreRegisters, bool mapped, bool spared)
    {
        int top = path->Top == DirectoryPointerLevel && pointersAreRegisters ? path->Top - 1 : path->Top;
        Walks++;
        if (!mapped)
            Faults++;
        if (spared)
            SparedByLargePages++;
        References += Math.Max(top - path->Last + 1, 0);
        bool found = false;
        for (int level = path->Last + 1; level <= top; level++)
        {
            ulong prefix = linear >> format->Level(level)->Shift;
            ref Slot slot = ref _slots[level * EntriesPerLevel + (int)(prefix & (EntriesPerLevel - 1))];
            if (slot.Generation == _generation && slot.Prefix == prefix)
            {
                if (!found)
                {
                    found = true;
                    Spared += top - level + 1;
                    _hits[level]++;
                }
                continue;
            }
            slot = new Slot { Prefix = prefix, Generation = _generation };
        }
    }
}
