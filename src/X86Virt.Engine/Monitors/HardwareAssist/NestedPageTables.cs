using X86Virt.Engine.Memory;
using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Monitors;

/// <summary>
/// From guest-physical to host-physical addresses: four levels of page tables in the monitor's memory, filled where the guest faults, by the largest
/// page that is one thing (AMD volume 2, 15.25). Pages of devices and of nothing stay without an entry, so that every access to them exits.
/// </summary>
internal sealed unsafe class NestedPageTables
{
    private const int IndexBits = 9, PageShift = 12, IndexMask = (1 << IndexBits) - 1;
    private const ulong AddressMask = 0x000F_FFFF_FFFF_F000, Link = PageEntry.Present | PageEntry.Rw | PageEntry.Us;
    private const ulong Walked = PageEntry.Present | PageEntry.Accessed | PageEntry.Dirty;

    private readonly PhysicalMemory _guest;
    private readonly MonitorMemory _memory;
    private readonly int _mostLevel, _levels;
    private readonly TablePages _pages;

    /// <param name="guest">The guest's physical address space.</param>
    /// <param name="memory">Where tables are put.</param>
    /// <param name="pages">The pages for them.</param>
    /// <param name="largestLevel">3 if pages of 1 GiB may be used, 2 for pages of 2 MiB at most, 1 for pages of 4 KiB.</param>
    /// <param name="levels">Of tables.</param>
    public NestedPageTables(PhysicalMemory guest, MonitorMemory memory, TablePages pages, int largestLevel, int levels = 4)
    {
        _levels = levels;
        _guest = guest;
        _memory = memory;
        _pages = pages;
        _mostLevel = largestLevel;
        LargestLevel = largestLevel;
        Root = memory.Allocate(1);
        guest.MapChanged += Clear;
    }

    /// <summary>nCR3.</summary>
    public ulong Root { get; }

    /// <summary>Level of the largest pages that are mapped from now on: 3 for 1 GiB, 2 for 2 MiB, 1 for 4 KiB; no more than the hardware has.</summary>
    public int LargestLevel
    {
        get;
        set => field = Math.Clamp(value, 1, _mostLevel);
    }

    /// <summary>Entries that map pages, made since the machine is there.</summary>
    public long PagesMapped { get; private set; }

    /// <summary>Whether entries were taken away that the TLB may still hold.</summary>
    public bool Stale { get; set; }

    /// <summary>
    /// Maps the page of a guest-physical address, read-only if it is ROM; false if there is no memory. An entry is never made twice as long as the
    /// guest's physical map stays as it is.
    /// </summary>
    public bool TryMap(ulong address)
    {
        if (!_guest.TryFindRegion(address, out MemoryRegion region) || region.Host == null)
            return false;
        // With the A20 gate shut an address stands for that below it.
        int level = _guest.A20 ? LevelFor(region, address) : 1;
        ulong host = HostAddress(region, address & _guest.AddressMask);
        ulong size = 1UL << (PageShift + (level - 1) * IndexBits);
        ulong entry = (host & ~(size - 1)) | PageEntry.Present | PageEntry.Us;
        if (region.Kind == RegionKind.Ram)
            entry |= PageEntry.Rw;
        if (level > 1)
            entry |= PageEntry.Ps;
        *MakeSlot(address, level) = entry;
        PagesMapped++;
        return true;
    }

    /// <summary>
    /// Maps a page of addresses that others translate to guest-physical ones, by an entry that may let it be written (RW), used (US) and not executed (NX) as they say;
    /// false if there is no memory, or the entry is there already: whatever faulted would do so again.
    /// </summary>
    public bool TryMap(ulong address, ulong physical, ulong rights)
    {
        if (!_guest.TryFindRegion(physical, out MemoryRegion region) || region.Host == null)
            return false;
        byte* host = region.Host + ((physical & _guest.AddressMask) - region.Start);
        // Whoever traces a page must see the stores to it.
        bool writable = region.Kind == RegionKind.Ram && (_guest.Tracking(_guest.PageIndex(host)) & PageTracking.Trace) == 0;
        ulong entry = (_memory.AddressOf(host) & AddressMask) | Walked | (writable ? rights : rights & ~PageEntry.Rw);
        ulong* slot = MakeSlot(address, 1);
        if (*slot == entry)
            return false;
        // What the TLB has is of another page.
        Stale |= (*slot & PageEntry.Present) != 0 && (*slot & AddressMask) != (entry & AddressMask);
        *slot = entry;
        PagesMapped++;
        return true;
    }

    /// <summary>Takes the entry of a page away.</summary>
    public void Unmap(ulong address)
    {
        ulong table = Root;
        for (int level = _levels; ; level--)
        {
            ulong* slot = (ulong*)_memory.At(table) + Index(address, level);
            if (level == 1)
                *slot = 0;
            if ((*slot & PageEntry.Present) == 0)
                return;
            table = *slot & AddressMask;
        }
    }

    /// <summary>The place of an entry; if there is no room for the tables that lead to it, all others are given up.</summary>
    private ulong* MakeSlot(ulong address, int level)
    {
        ulong* slot = FindSlot(address, level);
        if (slot != null)
            return slot;
        Clear();
        return FindSlot(address, level);
    }

    private ulong HostAddress(in MemoryRegion region, ulong address) => _memory.AddressOf(region.Host + (address - region.Start));

    /// <summary>The largest page around an address that lies in one region, at an aligned host-physical address.</summary>
    private int LevelFor(in MemoryRegion region, ulong address)
    {
        for (int level = LargestLevel; level > 1; level--)
        {
            ulong size = 1UL << (PageShift + (level - 1) * IndexBits), start = address & ~(size - 1);
            if (start >= region.Start && start + size <= region.End && (HostAddress(region, start) & (size - 1)) == 0)
                return level;
        }
        return 1;
    }

    /// <summary>The place of an entry, with the tables that lead to it; null if there is no room for them.</summary>
    private ulong* FindSlot(ulong address, int last)
    {
        ulong table = Root;
        for (int level = _levels; ; level--)
        {
            ulong* slot = (ulong*)_memory.At(table) + Index(address, level);
            if (level == last)
                return slot;
            if ((*slot & PageEntry.Present) == 0)
            {
                ulong made = _pages.Allocate();
                if (made == 0)
                    return null;
                *slot = made | Link;
            }
            table = *slot & AddressMask;
        }
    }

    private static int Index(ulong address, int level) => (int)(address >> (PageShift + (level - 1) * IndexBits)) & IndexMask;

    /// <summary>Forgets all mappings, because the guest's physical map is another one or they are wanted anew.</summary>
    public void Clear()
    {
        FreeTables(Root, _levels);
        new Span<byte>(_memory.At(Root), 1 << PageShift).Clear();
        Stale = true;
    }

    private void FreeTables(ulong table, int level)
    {
        for (int i = 0; i <= IndexMask; i++)
        {
            ulong entry = Entry(table, i);
            if ((entry & PageEntry.Present) == 0 || (entry & PageEntry.Ps) != 0)
                continue;
            if (level > 2)
                FreeTables(entry & AddressMask, level - 1);
            _pages.Free(entry & AddressMask);
        }
    }

    /// <summary>Host-physical address of the table of a level that translates an address.</summary>
    public ulong Table(int level, ulong address)
    {
        ulong* slot = FindSlot(address, level + 1);
        if ((*slot & PageEntry.Present) == 0)
            *slot = _pages.Allocate() | Link;
        return *slot & AddressMask;
    }

    /// <summary>Clears the D bits of all pages, and tells how many were set. The next store to a page sets it again.</summary>
    public long ClearDirty()
    {
        long cleared = ClearDirty(Root, _levels);
        Stale |= cleared > 0;
        return cleared;
    }

    private long ClearDirty(ulong table, int level)
    {
        long cleared = 0;
        for (int i = 0; i <= IndexMask; i++)
        {
            ulong entry = Entry(table, i);
            if ((entry & PageEntry.Present) == 0)
                continue;
            if (level > 1 && (entry & PageEntry.Ps) == 0)
            {
                cleared += ClearDirty(entry & AddressMask, level - 1);
            }
            else if ((entry & PageEntry.Dirty) != 0)
            {
                ((ulong*)_memory.At(table))[i] = entry & ~PageEntry.Dirty;
                cleared++;
            }
        }
        return cleared;
    }

    /// <summary>The entries that translate a guest-physical address, from the root to the page or to one that is not present.</summary>
    public IEnumerable<(int Level, ulong EntryAddress, ulong Entry)> Walk(ulong address)
    {
        ulong table = Root;
        for (int level = _levels; ; level--)
        {
            int index = Index(address, level);
            ulong entry = Entry(table, index);
            yield return (level, table + (ulong)index * sizeof(ulong), entry);
            if (level == 1 || (entry & PageEntry.Present) == 0 || (entry & PageEntry.Ps) != 0)
                yield break;
            table = entry & AddressMask;
        }
    }

    /// <summary>Every entry that maps a page, in the order of guest-physical addresses.</summary>
    public IEnumerable<NestedPage> Pages() => Pages(Root, _levels, 0);

    private IEnumerable<NestedPage> Pages(ulong table, int level, ulong address)
    {
        for (int i = 0; i <= IndexMask; i++)
        {
            ulong entry = Entry(table, i);
            ulong start = address + ((ulong)i << (PageShift + (level - 1) * IndexBits));
            if ((entry & PageEntry.Present) == 0)
                continue;
            if (level == 1 || (entry & PageEntry.Ps) != 0)
            {
                yield return new NestedPage(start, 1UL << (PageShift + (level - 1) * IndexBits), entry & AddressMask, entry);
                continue;
            }
            foreach (NestedPage page in Pages(entry & AddressMask, level - 1, start))
                yield return page;
        }
    }

    private ulong Entry(ulong table, int index) => ((ulong*)_memory.At(table))[index];

    public void Dispose() => _guest.MapChanged -= Clear;
}

/// <summary>A mapped page.</summary>
internal readonly record struct NestedPage(ulong GuestAddress, ulong Size, ulong HostAddress, ulong Entry);
