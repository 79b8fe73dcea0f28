using X86Virt.Engine.Memory;
using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Monitors;

/// <summary>
/// The shadow in the form that hardware walks: for each shadow table of <see cref="ShadowPaging"/> pages of entries in the monitor's memory, filled where the guest
/// faults. Tables of the guest's 32-bit format become PAE ones, two of them or four. Without paging an identity map takes their place.
/// </summary>
internal sealed unsafe class ShadowPageTables : IShadowForm, IDisposable
{
    private const int PartsPerTable = 4, EntriesPerPage = 512, LargeShift = 21, PageShift = 12;
    private const ulong AddressMask = 0x000F_FFFF_FFFF_F000;

    // A bits are the silicon's to set: they tell of uses.
    private const ulong Link = PageEntry.Present | PageEntry.Rw | PageEntry.Us;
    private const ulong Leaf = PageEntry.Present | PageEntry.Dirty;

    private readonly PhysicalMemory _guest;
    private readonly Cpu _cpu;
    private readonly ShadowPaging _shadow;
    private readonly TablePages _pages;
    private readonly WritableMappings _writable;
    private readonly NestedPageTables _identity;
    private readonly ulong _pointers, _empty;

    // For each table its pages of entries, 0 where there is none, and the entries that lead to it.
    private readonly ulong[] _parts;
    private readonly List<ulong>?[] _parents;

    // Pages of small entries that stand in for a large page that is not one thing: by the entry that leads to them.
    private readonly Dictionary<ulong, ulong> _split = [];

    public ShadowPageTables(Cpu guest, MonitorMemory memory)
    {
        _cpu = guest;
        _guest = guest.Memory;
        _shadow = guest.Shadow!;
        _pointers = memory.Allocate(1);
        _empty = memory.Allocate(1);
        _pages = new TablePages(memory);
        _identity = new NestedPageTables(_guest, memory, _pages, largestLevel: 2);
        _writable = new WritableMappings(memory, _guest.PageCount);
        _parts = new ulong[_shadow.Capacity * PartsPerTable];
        _parents = new List<ulong>?[_shadow.Capacity];
        Memory = memory;
        _shadow.Form = this;
    }

    private MonitorMemory Memory { get; }

    /// <summary>Whether an entry was taken away, or made read-only, that the TLB may still hold and the guest does not know of.</summary>
    public bool Stale { get; set; }

    /// <summary>Whether the TLB may hold a large page of the guest's in pieces.</summary>
    public bool HasPieces { get; private set; }

    /// <summary>A page is traced from now on.</summary>
    public event Action? PageTraced;

    /// <summary>The TLB is empty.</summary>
    public void Flushed()
    {
        Stale = false;
        HasPieces = _split.Count > 0;
    }

    /// <summary>What CR3 must be for the guest's address space and mode.</summary>
    public ulong Root()
    {
        if (_identity.Stale)
            (Stale, _identity.Stale) = (true, false);
        CpuState* g = _cpu.State;
        if ((g->Cr0 & Cr0.Pg) == 0)
        {
            // Stores to tables are not told of then.
            if (_shadow.Count > 0)
                _shadow.Clear();
            return IdentityPointers();
        }
        _shadow.Select();
        if (_shadow.Levels >= 4)
            return _shadow.TryGetRoot(0, out int root) ? OrEmpty(Part(root, 0)) : _empty;
        for (int i = 0; i < 4; i++)
            Point(i, _shadow.TryGetRoot(i, out int table) ? OrEmpty(Part(table, _shadow.HasQuarters ? 0 : i)) : _empty);
        return _pointers;
    }

    /// <summary>Without room for a table the guest is emulated.</summary>
    private ulong OrEmpty(ulong table) => table == 0 ? _empty : table;

    /// <summary>Sets a directory pointer. The TLB knows address spaces by CR3, which stays.</summary>
    private void Point(int index, ulong table)
    {
        ulong* pointer = At(_pointers) + index;
        Stale |= *pointer != (table | PageEntry.Present);
        *pointer = table | PageEntry.Present;
    }

    private ulong IdentityPointers()
    {
        for (int i = 0; i < 4; i++)
            Point(i, _identity.Table(level: 2, (ulong)i << 30));
        return _pointers;
    }

    /// <summary>
    /// Maps the page of a linear address, which leads to <paramref name="physical"/>, for an access that is allowed; false if the monitor must see it: there is no
    /// memory, or a store to some that may not be written, or that holds a page table with a shadow.
    /// </summary>
    public bool TryMap(ulong linear, ulong physical, PagePermissions access, AccessMode mode, bool paging)
    {
        if (!paging)
            return _identity.TryMap(linear);
        if (TryMap(linear, physical, access, mode))
            return true;
        if (_pages.IsFull)
            _shadow.Clear();
        return false;
    }

    private bool TryMap(ulong linear, ulong physical, PagePermissions access, AccessMode mode)
    {
        if (!_guest.TryFindRegion(physical, out MemoryRegion region) || region.Host == null)
            return false;
        bool write = (access & PagePermissions.Write) != 0;
        byte* host = region.Host + ((physical & _guest.AddressMask) - region.Start);
        bool traced = (_guest.Tracking(_guest.PageIndex(host)) & PageTracking.Trace) != 0;
        if (write && (traced || region.Kind != RegionKind.Ram))
            return false;
        Span<ShadowPaging.Step> path = stackalloc ShadowPaging.Step[PageTableFormat.MostLevels];
        int steps = _shadow.Follow(linear, path);
        if (steps == 0)
            return false;
        for (int i = 0; i < steps - 1; i++)
        {
            if (!LinkTo(path[i], path[i + 1].Table, linear))
                return false;
        }
        ShadowPaging.Step last = path[steps - 1];
        var rights = (PageRights)(last.Slot & ShadowSlot.RightsMask);
        ulong flags = Leaf | (rights.HasFlag(PageRights.User) ? PageEntry.Us : 0) | (rights.HasFlag(PageRights.Execute) ? 0 : PageEntry.Nx);
        bool writable = region.Kind == RegionKind.Ram && !traced && (last.Slot & ShadowSlot.Dirty) != 0;
        if (writable && rights.HasFlag(PageRights.Write))
            flags |= PageEntry.Rw;
        // CR0.WP is set for the silicon: where it is clear for the guest, its kernel's pages that may not be written may be, but by the kernel alone.
        else if (write && writable && mode < AccessMode.User)
            flags = (flags & ~PageEntry.Us) | PageEntry.Rw;
        return Put(last, linear, physical, region, flags);
    }

    /// <summary>Makes the entry of a slot lead to a table.</summary>
    private bool LinkTo(in ShadowPaging.Step step, int table, ulong linear)
    {
        bool narrow = _shadow.Format->EntrySize == 4;
        for (int half = 0; half < (narrow ? 2 : 1); half++)
        {
            ulong child = Part(table, half), entry = EntryOf(step.Table, narrow ? step.Index * 2 + half : step.Index);
            if (child == 0 || entry == 0)
                return false;
            if ((*At(entry) & ~PageEntry.Accessed) == (child | Link))
                continue;
            Remove(entry);
            *At(entry) = child | Link;
            List<ulong> parents = _parents[table] ??= [];
            if (!parents.Contains(entry))
                parents.Add(entry);
        }
        return true;
    }

    /// <summary>Maps a page, or of a large one that part which is asked for.</summary>
    private bool Put(in ShadowPaging.Step step, ulong linear, ulong physical, in MemoryRegion region, ulong flags)
    {
        EntryFormat* f = _shadow.Format->Level(step.Level);
        ulong host = Memory.AddressOf(region.Host + ((physical & _guest.AddressMask) - region.Start));
        ulong entry;
        if (step.Level == 1)
        {
            entry = EntryOf(step.Table, step.Index);
            return entry != 0 && Write(entry, (host & ~0xFFFUL) | flags);
        }
        // 4 MiB pages are two of 2 MiB.
        bool narrow = _shadow.Format->EntrySize == 4;
        entry = EntryOf(step.Table, narrow ? step.Index * 2 + (int)(linear >> LargeShift & 1) : step.Index);
        if (entry == 0)
            return false;
        for (int shift = narrow ? LargeShift : f->Shift; shift > LargeShift; shift -= 9)
        {
            // Pages of 1 GiB are split at once.
            ulong table = SplitTable(entry);
            if (table == 0)
                return false;
            entry = table + (linear >> (shift - 9) & (EntriesPerPage - 1)) * sizeof(ulong);
        }
        if (IsOneThing(physical, region))
            return Write(entry, (host & ~((1UL << LargeShift) - 1)) | flags | PageEntry.Ps);
        ulong small = SplitTable(entry);
        return small != 0 && Write(small + (linear >> PageShift & (EntriesPerPage - 1)) * sizeof(ulong), (host & ~0xFFFUL) | flags);
    }

    /// <summary>Whether the 2 MiB around an address are memory of one kind, aligned alike in host-physical memory, without a page table in them that has a shadow.</summary>
    private bool IsOneThing(ulong physical, in MemoryRegion region)
    {
        const ulong Size = 1UL << LargeShift;
        ulong start = physical & ~(Size - 1);
        if (!_guest.A20 || start < region.Start || start + Size > region.End)
            return false;
        byte* host = region.Host + (start - region.Start);
        if ((Memory.AddressOf(host) & (Size - 1)) != 0)
            return false;
        int first = _guest.PageIndex(host);
        for (int page = first; page < first + EntriesPerPage; page++)
        {
            if ((_guest.Tracking(page) & PageTracking.Trace) != 0)
                return false;
        }
        return true;
    }

    /// <summary>The page of smaller entries that an entry leads to in place of mapping a page; 0 if there is no room.</summary>
    private ulong SplitTable(ulong entry)
    {
        if (_split.TryGetValue(entry, out ulong table))
            return table;
        table = _pages.Allocate();
        if (table == 0)
            return 0;
        Remove(entry);
        HasPieces = true;
        _split[entry] = table;
        *At(entry) = table | Link;
        return table;
    }

    /// <summary>False if the entry says so already: whatever faulted would do so again.</summary>
    private bool Write(ulong entry, ulong value)
    {
        if ((*At(entry) & ~PageEntry.Accessed) == value)
            return false;
        Remove(entry);
        *At(entry) = value;
        if ((value & PageEntry.Rw) != 0)
            _writable.Add(GuestPage(value), (value & PageEntry.Ps) != 0, entry);
        return true;
    }

    /// <summary>The page of the guest's memory that an entry maps.</summary>
    private int GuestPage(ulong entry) => (int)(((entry & AddressMask) - Memory.GuestBase) >> PageShift);

    /// <summary>Empties an entry, with the smaller ones in its place.</summary>
    private void Remove(ulong entry)
    {
        if (*At(entry) == 0)
            return;
        if (_split.Count > 0 && _split.Remove(entry, out ulong table))
        {
            // Those of 1 GiB have others below them.
            for (int i = 0; i < EntriesPerPage; i++)
                Remove(table + (ulong)i * sizeof(ulong));
            _pages.Free(table);
        }
        *At(entry) = 0;
    }

    /// <summary>A page of entries of a table; 0 if there is no room.</summary>
    private ulong Part(int table, int number)
    {
        ref ulong part = ref _parts[table * PartsPerTable + number];
        if (part == 0)
            part = _pages.Allocate();
        return part;
    }

    /// <summary>Host-physical address of an entry of a table; 0 if there is no room for it.</summary>
    private ulong EntryOf(int table, int index)
    {
        ulong part = Part(table, index / EntriesPerPage);
        return part == 0 ? 0 : part + (ulong)(index % EntriesPerPage) * sizeof(ulong);
    }

    /// <summary>The pages of entries that a table has.</summary>
    public IReadOnlyList<ulong> PagesOf(int table) => [.. _parts.AsSpan(table * PartsPerTable, PartsPerTable).ToArray().Where(p => p != 0)];

    /// <summary>The entry that stands for a slot, or the first of two; false if there is none.</summary>
    public bool TryReadEntry(int table, int index, out ulong address, out ulong entry)
    {
        if (_shadow.IsNarrow(table) && _shadow.LevelOf(table) > 1)
            index *= 2;
        ulong part = _parts[table * PartsPerTable + index / EntriesPerPage];
        address = part == 0 ? 0 : part + (ulong)(index % EntriesPerPage) * sizeof(ulong);
        entry = part == 0 ? 0 : *At(address);
        return entry != 0;
    }

    private ulong* At(ulong entry) => (ulong*)Memory.At(entry);

    public void Changed(int table, int index)
    {
        bool narrow = _shadow.IsNarrow(table), upper = narrow && _shadow.LevelOf(table) > 1;
        for (int i = upper ? index * 2 : index; i <= (upper ? index * 2 + 1 : index); i++)
        {
            ulong part = _parts[table * PartsPerTable + i / EntriesPerPage];
            if (part != 0)
                Remove(part + (ulong)(i % EntriesPerPage) * sizeof(ulong));
        }
    }

    public void Released(int table)
    {
        Span<ulong> parts = _parts.AsSpan(table * PartsPerTable, PartsPerTable);
        if (_parents[table] is { } parents)
        {
            foreach (ulong entry in parents)
            {
                if (parts.Contains(*At(entry) & AddressMask) && !_split.ContainsKey(entry))
                    *At(entry) = 0;
            }
            parents.Clear();
        }
        foreach (ref ulong part in parts)
        {
            if (part == 0)
                continue;
            for (int i = 0; i < EntriesPerPage; i++)
                Remove(part + (ulong)i * sizeof(ulong));
            _pages.Free(part);
            part = 0;
        }
    }

    public bool TakeUse(int table)
    {
        bool used = false;
        foreach (ulong part in _parts.AsSpan(table * PartsPerTable, PartsPerTable))
        {
            if (part == 0)
                continue;
            foreach (ref ulong entry in new Span<ulong>(At(part), EntriesPerPage))
            {
                used |= (entry & PageEntry.Accessed) != 0;
                entry &= ~PageEntry.Accessed;
            }
        }
        return used;
    }

    public void Traced(int page)
    {
        Stale = true;
        _writable.Protect(page, _pages);
        PageTraced?.Invoke();
    }

    public void Dispose()
    {
        _shadow.Form = null;
        _identity.Dispose();
        _writable.Dispose();
    }
}
