using System.Runtime.CompilerServices;
using X86Virt.Engine.Memory;

namespace X86Virt.Engine.Processor;

/// <summary>
/// Shadow page tables: what walks of the guest's tables found, as a radix tree of the same shape, kept coherent by traces. A slot holds
/// exactly what a walk would find at that moment without having to change anything, or nothing; so a TLB that is refilled from here holds
/// what one that is refilled by walks holds, and the guest cannot tell. Shadows of address spaces that are not in use stay until their
/// tables are evicted or the guest makes something else of its own.
/// </summary>
public sealed unsafe partial class ShadowPaging : IDisposable
{
    /// <summary>Shadow tables kept unless told otherwise; each takes 4 KiB of host memory, 8 KiB for 32-bit tables.</summary>
    public const int DefaultTables = 4096;

    /// <summary>The longest path, and as many again to choose from.</summary>
    public const int FewestTables = 16;
    public const int MostTables = ShadowSlot.MostTables;

    // So many stores without a use in between, and a page is not taken for a page table any more.
    private const int WriteLimit = 8;

    // A store to a traced table costs as much as so many refills from its shadow save.
    private const int StoreCost = 4;
    private const int UsualChurnLimit = 128;
    private const ushort RestingWalks = 512;
    private const ulong ModeBits = Cr4.Pae | Cr4.Pse | Cr4.La57 | Cr4.Smep;
    private const ulong EferBits = Efer.Nxe | Efer.Lma;
    private const int RightsCombinations = (int)PageRights.All + 1;

    private readonly Cpu _cpu;
    private readonly CpuState* _state;
    private readonly PhysicalMemory _memory;
    private readonly ShadowTables _tables;

    // What the fields behind them were derived from.
    private ulong _cr0 = ulong.MaxValue, _cr3, _cr4, _efer;

    // Levels are those that have tables: 2 with PAE, whose four directory pointers are four roots.
    private int _format, _levels;
    private ulong _space;
    private Roots _roots;
    private PermissionTable _permissions;

    // The walker is at work: stores to tables set A and D bits.
    private bool _walking;
    private bool _disposed;

    /// <summary>What rights allow (<see cref="PageWalker.Permissions"/>), by access mode and rights.</summary>
    private struct PermissionTable
    {
        public fixed byte Values[4 * RightsCombinations];
    }

    /// <summary>Where walks begin: the directory pointer, or the first table's address with P set; and the table that shadows it.</summary>
    private struct Roots
    {
        public fixed ulong Entries[DirectoryPointers.Count];
        public fixed int Tables[DirectoryPointers.Count];
        public fixed uint Generations[DirectoryPointers.Count];
    }

    internal ShadowPaging(Cpu cpu, int capacity)
    {
        if (capacity is < FewestTables or > MostTables)
            throw new ArgumentOutOfRangeException(nameof(capacity), capacity, $"Shadow paging needs {FewestTables} to {MostTables} tables.");
        _cpu = cpu;
        _state = cpu.State;
        _memory = cpu.Memory;
        _tables = new ShadowTables(cpu, capacity);
        _memory.TraceWrite += OnTraceWrite;
        _memory.MapChanged += _tables.Clear;
    }

    /// <summary>
    /// How much more stores to a table of the lowest level may cost than its uses bring in, before it is left without a shadow for
    /// <see cref="RestingWalks"/> walks.
    /// </summary>
    internal int ChurnLimit { get; set; } = UsualChurnLimit;

    /// <summary>The most shadow tables there may be.</summary>
    public int Capacity => _tables.Capacity;

    /// <summary>Shadow tables there are.</summary>
    public int Count => _tables.Count;

    /// <summary>Answers a TLB miss as <see cref="PageWalker"/> would, and leaves the guest's tables as it would.</summary>
    [SkipLocalsInit]
    internal bool Translate(ulong linear, AccessMode mode, PagePermissions access, out ulong physical, out PagePermissions permissions, out PageFaultCode fault)
    {
        ref PagingCounts counts = ref _cpu.Statistics.Paging;
        fault = PageFaultCode.None;
        bool paging = (_state->Cr0 & Cr0.Pg) != 0;
        if (paging)
        {
            NoticeChanges();
            if (Refill(linear, mode, access, out physical, out permissions))
                return true;
        }

        PageWalkPath path;
        _walking = true;
        bool mapped = PageWalker.Walk(_cpu, linear, mode, access, true, &path, out physical, out permissions, out fault);
        _walking = false;
        if (!mapped)
        {
            counts.TrueFaults++;
        }
        else if (paging)
        {
            counts.Walks++;
            Insert(linear, &path);
        }
        return mapped;
    }

    /// <summary>Follows the shadow to the page; false if a walk must be made.</summary>
    private bool Refill(ulong linear, AccessMode mode, PagePermissions access, out ulong physical, out PagePermissions permissions)
    {
        physical = 0;
        permissions = PagePermissions.None;
        int root = Root(linear);
        int table = _roots.Tables[root];
        uint generation = _roots.Generations[root];
        if (table == ShadowTables.None)
            return false;
        PageTableFormat* format = _cpu.PageTables + _format;
        for (int level = _levels; ; level--)
        {
            ShadowTable* t = _tables[table];
            if (t->Generation != generation)
                return false;
            t->Referenced = true;
            t->Writes = 0;
            EntryFormat* f = format->Level(level);
            ulong* place = _tables.Slots(table) + f->Index(linear);
            ulong slot = *place;
            if ((slot & ShadowSlot.Page) != 0)
            {
                if (t->Churn > 0)
                    t->Churn--;
                physical = (slot & ShadowSlot.FrameMask) | (linear & ((1UL << f->Shift) - 1));
                permissions = PermissionsOf(slot, mode);
                if (level > 1)
                    permissions |= PagePermissions.Large;
                PagePermissions wanted = access | ((access & PagePermissions.Write) != 0 ? PagePermissions.Dirty : 0);
                if ((permissions & wanted) != wanted)
                    return false;
                ref PagingCounts counts = ref _cpu.Statistics.Paging;
                counts.Refills++;
                bool held = level > 1 && _cpu.Tlb.LargePages.Hold(linear, permissions);
                if ((slot & ShadowSlot.Untried) != 0)
                {
                    counts.FirstUses++;
                    *place = slot & ~ShadowSlot.Untried;
                }
                else if (held)
                {
                    counts.LargeRefills++;
                }
                return true;
            }
            if (slot == 0)
                return level == 2 && WalkLast(t, linear, mode, access, out physical, out permissions);
            table = ShadowSlot.Number(slot);
            generation = ShadowSlot.Generation(slot);
        }
    }

    private PagePermissions PermissionsOf(ulong slot, AccessMode mode)
    {
        var permissions = (PagePermissions)_permissions.Values[(int)mode * RightsCombinations + (int)(slot & ShadowSlot.RightsMask)];
        if ((slot & ShadowSlot.Dirty) != 0)
            permissions |= PagePermissions.Dirty;
        if ((slot & ShadowSlot.Global) != 0 && (_state->Cr4 & Cr4.Pge) != 0)
            permissions |= PagePermissions.Global;
        return permissions;
    }

    /// <summary>
    /// Walks the last level alone, where its table rests: the shadows above it tell what a walk would find there. False if a whole walk must be made, for a
    /// fault among others.
    /// </summary>
    private bool WalkLast(ShadowTable* above, ulong linear, AccessMode mode, PagePermissions access, out ulong physical, out PagePermissions permissions)
    {
        physical = 0;
        permissions = PagePermissions.None;
        PageTableFormat* format = _cpu.PageTables + _format;
        EntryFormat* f = format->Level(2);
        ulong link = Entry(above, (int)f->Index(linear));
        if (FormIsWalked || !Leads(f, link) || !Locate(link & f->TableMask, out int page) || !_tables.Rests(page))
            return false;
        f = format->Level(1);
        ulong address = (link & f->TableMask) + f->Index(linear) * (ulong)format->EntrySize;
        ulong entry = _memory.Read(address, format->EntrySize);
        if ((entry & PageEntry.Present) == 0 || (entry & f->PageReserved) != 0)
            return false;
        bool write = (access & PagePermissions.Write) != 0;
        ulong walked = entry | PageEntry.Accessed | (write ? PageEntry.Dirty : 0);
        permissions = PermissionsOf(ShadowSlot.OfPage(0, above->Rights & PageEntry.Rights(link) & PageEntry.Rights(entry), walked), mode);
        if ((permissions & access) != access)
            return false;
        if (walked != entry)
        {
            _walking = true;
            _memory.Write(address, format->EntrySize, walked);
            _walking = false;
        }
        physical = f->Page(entry) | (linear & 0xFFF);
        _cpu.Statistics.Paging.Walks++;
        _cpu.Tlb.WalkCache.CountLast();
        return true;
    }

    /// <summary>Finds the address space and the mode in force if a control register is not what it was.</summary>
    private void NoticeChanges()
    {
        CpuState* s = _state;
        if (s->Cr3 != _cr3 || ((s->Cr4 ^ _cr4) & ModeBits) != 0 || (s->Cr0 & Cr0.Wp) != _cr0 || ((s->Efer ^ _efer) & EferBits) != 0)
            TakeChanges(s);
    }

    private void TakeChanges(CpuState* s)
    {
        int format = PageTableFormat.Current(s);
        int levels = PageTableFormat.Levels(s, format);
        ulong space = levels == 3 ? s->Cr3 & DirectoryPointers.TableMask : _cpu.PageTables[format].Root(s);
        if (levels == 3)
            levels--;
        if ((s->Cr0 & Cr0.Wp) != _cr0 || ((s->Cr4 ^ _cr4) & Cr4.Smep) != 0)
            DerivePermissions(s);
        (_cr0, _cr3, _cr4, _efer) = (s->Cr0 & Cr0.Wp, s->Cr3, s->Cr4, s->Efer);
        if (_format == format && _levels == levels && _space == space)
            return;
        (_format, _levels, _space) = (format, levels, space);
        bool found = false;
        for (int i = 0; i < (UsesDirectoryPointers ? DirectoryPointers.Count : 1); i++)
            found |= FindRoot(i, UsesDirectoryPointers ? s->DirectoryPointers[i] : space | PageEntry.Present);
        ref PagingCounts counts = ref _cpu.Statistics.Paging;
        if (found)
            counts.SpacesFound++;
        else
            counts.SpacesNew++;
    }

    private void DerivePermissions(CpuState* s)
    {
        for (int mode = 0; mode < 4; mode++)
        {
            for (int rights = 0; rights < RightsCombinations; rights++)
                _permissions.Values[mode * RightsCombinations + rights] = (byte)PageWalker.Permissions(s, (AccessMode)mode, (PageRights)rights);
        }
    }

    private bool UsesDirectoryPointers => _levels == 2 && _cpu.PageTables[_format].EntrySize == 8;

    /// <summary>Number of the root that a linear address is translated from.</summary>
    private int Root(ulong linear)
    {
        if (!UsesDirectoryPointers)
            return 0;
        int index = (int)(linear >> 30) & (DirectoryPointers.Count - 1);
        // They may be loaded again while CR3 stays.
        if (_roots.Entries[index] != _state->DirectoryPointers[index])
            FindRoot(index, _state->DirectoryPointers[index]);
        return index;
    }

    private bool FindRoot(int index, ulong entry)
    {
        int table = ShadowTables.None;
        if ((entry & PageEntry.Present) != 0 && Locate(entry & _cpu.PageTables[_format].Level(_levels)->TableMask, out int page))
            table = _tables.Find(page, _levels, _format, PageRights.All);
        _roots.Entries[index] = entry;
        _roots.Tables[index] = table;
        if (table == ShadowTables.None)
            return false;
        _roots.Generations[index] = _tables[table]->Generation;
        return true;
    }

    /// <summary>The page of host memory that a guest table is in; false if it is not in memory.</summary>
    private bool Locate(ulong address, out int page)
    {
        _memory.Lookup(address, out byte* host);
        page = host == null ? 0 : _memory.PageIndex(host);
        return host != null;
    }

    /// <summary>Puts what a walk has found, and done, into the shadow: the tables on its path that have none, and the page's slot.</summary>
    private void Insert(ulong linear, PageWalkPath* path)
    {
        int root = Root(linear);
        int table = _roots.Tables[root];
        if (table == ShadowTables.None || !_tables.IsLive(table, _roots.Generations[root]))
        {
            table = FindOrMake(_roots.Entries[root] & _cpu.PageTables[_format].Level(_levels)->TableMask, _levels, PageRights.All);
            _roots.Tables[root] = table;
            if (table == ShadowTables.None)
                return;
            _roots.Generations[root] = _tables[table]->Generation;
        }

        int* pinned = stackalloc int[PageTableFormat.MostLevels];
        int pins = 0;
        PageTableFormat* format = _cpu.PageTables + _format;
        for (int level = _levels; table != ShadowTables.None; level--)
        {
            ShadowTable* t = _tables[table];
            t->Pinned = t->Referenced = true;
            t->Writes = 0;
            pinned[pins++] = table;
            int index = (int)format->Level(level)->Index(linear);
            if (level == path->Last)
            {
                Update(table, index, stored: false);
                break;
            }
            ulong* slot = _tables.Slots(table) + index;
            int next = ShadowTables.None;
            if (*slot != 0 && _tables.IsLive(ShadowSlot.Number(*slot), ShadowSlot.Generation(*slot)))
            {
                next = ShadowSlot.Number(*slot);
            }
            else
            {
                // Read again: of a path that meets one entry twice the walk has changed what it read first.
                ulong entry = Entry(t, index);
                EntryFormat* f = format->Level(level);
                if (Leads(f, entry))
                    next = FindOrMake(entry & f->TableMask, level - 1, t->Rights & PageEntry.Rights(entry));
                Set(table, index, next == ShadowTables.None ? 0 : ShadowSlot.OfTable(next, _tables[next]->Generation));
            }
            table = next;
        }
        for (int i = 0; i < pins; i++)
            _tables[pinned[i]]->Pinned = false;
    }

    private int FindOrMake(ulong address, int level, PageRights rights)
    {
        if (!Locate(address, out int page))
            return ShadowTables.None;
        if (level == 1 && !FormIsWalked && _tables.Rests(page))
            return ShadowTables.None;
        int table = _tables.Find(page, level, _format, rights);
        return table != ShadowTables.None ? table
            : _tables.Make(page, level, _format, rights, _cpu.PageTables[_format].Level(level)->IndexMask + 1);
    }

    /// <summary>The guest's entry that a slot of a table shadows.</summary>
    private ulong Entry(ShadowTable* t, int index)
    {
        byte* table = _memory.Block + ((ulong)t->Page << 12);
        return _cpu.PageTables[t->Format].EntrySize == 8 ? ((ulong*)table)[index] : ((uint*)table)[index];
    }

    /// <summary>Whether a walk goes on from an entry to a table without changing the entry.</summary>
    private static bool Leads(EntryFormat* f, ulong entry)
        => (entry & PageEntry.Present) != 0 && !f->IsPage(entry) && (entry & f->TableReserved) == 0 && (entry & PageEntry.Accessed) != 0;

    /// <summary>Makes a slot what the guest's entry makes of it now. A table that has no shadow yet is left to the next walk.</summary>
    private void Update(int table, int index, bool stored)
    {
        ShadowTable* t = _tables[table];
        ulong slot = _tables.Slots(table)[index];
        EntryFormat* f = _cpu.PageTables[t->Format].Level(t->Level);
        ulong entry = Entry(t, index);
        bool known = (entry & PageEntry.Present) != 0 && (entry & PageEntry.Accessed) != 0;
        if (known && f->IsPage(entry))
        {
            ulong untried = stored && (slot == 0 || (slot & ShadowSlot.Untried) != 0) ? ShadowSlot.Untried : 0;
            Set(table, index, (entry & f->PageReserved) == 0 ? ShadowSlot.OfPage(f->Page(entry), t->Rights & PageEntry.Rights(entry), entry) | untried : 0);
        }
        else if (!known || slot == 0 || (slot & ShadowSlot.Page) != 0 || !IsShadowOf(slot, t, f, entry))
        {
            Set(table, index, 0);
        }
    }

    private void Set(int table, int index, ulong value)
    {
        ulong* slot = _tables.Slots(table) + index;
        if (*slot == value)
            return;
        bool replaced = *slot != 0;
        *slot = value;
        if (replaced)
            _tables.Form?.Changed(table, index);
    }

    /// <summary>Whether a link leads to the shadow of the table that an entry leads to.</summary>
    private bool IsShadowOf(ulong link, ShadowTable* t, EntryFormat* f, ulong entry)
    {
        int number = ShadowSlot.Number(link);
        if (!Leads(f, entry) || !_tables.IsLive(number, ShadowSlot.Generation(link)) || !Locate(entry & f->TableMask, out int page))
            return false;
        ShadowTable* child = _tables[number];
        return child->Page == page && child->Rights == (t->Rights & PageEntry.Rights(entry));
    }

    private void OnTraceWrite(int page, int offset, int length)
    {
        if (!_walking)
            CountStore(page, offset);
        int next;
        for (int table = _tables.First(page); table != ShadowTables.None; table = next)
        {
            ShadowTable* t = _tables[table];
            next = t->Next;
            if (!_walking && (IsUnused(table, t) || IsChurned(t)))
            {
                _tables.Release(table);
                _cpu.Statistics.Paging.TablesDropped++;
                continue;
            }
            int size = _cpu.PageTables[t->Format].EntrySize;
            for (int index = offset / size; index <= (offset + length - 1) / size; index++)
                Update(table, index, stored: !_walking);
        }
    }

    private void CountStore(int page, int offset)
    {
        ref PagingCounts counts = ref _cpu.Statistics.Paging;
        counts.TraceWrites++;
        int first = _tables.First(page);
        if (first == ShadowTables.None)
            return;
        ShadowTable* t = _tables[first];
        if ((Entry(t, offset / _cpu.PageTables[t->Format].EntrySize) & PageEntry.Present) == 0)
            counts.TraceClears++;
    }

    /// <summary>Counts a store; true if there were too many since the table was last used.</summary>
    private bool IsUnused(int table, ShadowTable* t)
    {
        if (++t->Writes <= WriteLimit)
            return false;
        // Uses by hardware are seen in its own form alone.
        if (!FormIsWalked || !_tables.Form!.TakeUse(table))
            return true;
        t->Writes = 0;
        return false;
    }

    /// <summary>Charges a store; true if the table is better left without a shadow for a while.</summary>
    private bool IsChurned(ShadowTable* t)
    {
        if (FormIsWalked || t->Level > 1 || (t->Churn += StoreCost) <= ChurnLimit)
            return false;
        _tables.Rest(t->Page, RestingWalks);
        _cpu.Statistics.Paging.TablesRested++;
        return true;
    }

    public void Dispose()
    {
        if (_disposed)
            return;
        _disposed = true;
        _memory.TraceWrite -= OnTraceWrite;
        _memory.MapChanged -= _tables.Clear;
        _tables.Dispose();
    }
}
