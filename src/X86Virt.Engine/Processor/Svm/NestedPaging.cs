namespace X86Virt.Engine.Processor;

/// <summary>
/// From guest-physical to host-physical addresses through the page tables of nCR3, in the host's format, as user accesses (AMD volume 2, 15.25).
/// A fault is kept for the #VMEXIT.
/// </summary>
internal sealed unsafe class NestedPaging(Cpu cpu)
{
    private const int TlbEntries = 512, LargeTlbEntries = 16;
    private const int PageShift = 12, LargeShift = 21;
    private const ulong FinalBit = 1UL << 32;

    /// <summary>In EXITINFO1: the fault was in reading a page table of the guest's.</summary>
    public const ulong TableBit = 1UL << 33;

    private const int DirectoryPointerLevel = 3;

    private readonly Cpu _cpu = cpu;
    private readonly Translation[] _tlb = new Translation[TlbEntries], _largeTlb = new Translation[LargeTlbEntries];
    private PageTableFormat* _format;
    private int _levels;
    private ulong _root;
    private bool _long, _reportsFetches;

    /// <summary>A guest-physical page of 4 KiB or 2 MiB with what its nested entries allow; number 0 is none.</summary>
    private struct Translation
    {
        public ulong PageNumberPlusOne;
        public ulong HostPage;
        public PagePermissions Permissions;
    }

    /// <summary>EXITINFO1 of the last fault.</summary>
    public ulong FaultCode { get; private set; }

    /// <summary>EXITINFO2 of the last fault: the guest-physical address.</summary>
    public ulong FaultAddress { get; private set; }

    /// <summary>Takes the host's paging mode, which must still be in force.</summary>
    public void Begin(ulong nestedCr3)
    {
        CpuState* s = _cpu.State;
        int number = PageTableFormat.Current(s);
        _format = _cpu.PageTables + number;
        _levels = PageTableFormat.Levels(s, number);
        _long = s->LongMode;
        _reportsFetches = ((s->Cr4 & Cr4.Pae) != 0 && (s->Efer & Efer.Nxe) != 0) || (s->Cr4 & Cr4.Smep) != 0;
        _root = _levels == DirectoryPointerLevel ? nestedCr3 & DirectoryPointers.TableMask : nestedCr3 & _format->Level(1)->TableMask;
    }

    /// <summary>How often the nested TLB was flushed, for whoever keeps translations of its own.</summary>
    public long Flushes { get; private set; }

    public void Flush()
    {
        Flushes++;
        Array.Clear(_tlb);
        Array.Clear(_largeTlb);
    }

    /// <summary>The host-physical address of an entry of a guest page table: read as if it were written, since A and D bits may be (15.25.5).</summary>
    public bool TranslateTable(ulong guest, bool update, out ulong host)
    {
        _cpu.Svm!.Counts.NestedReferences++;
        return Translate(guest, PagePermissions.Read | PagePermissions.Write, TableBit, update, out host, out _);
    }

    /// <summary>The host-physical address of what the guest accesses, and all that its nested entries allow.</summary>
    public bool TranslatePage(ulong guest, PagePermissions access, bool update, out ulong host, out PagePermissions permissions)
        => Translate(guest, access, FinalBit, update, out host, out permissions);

    private bool Translate(ulong guest, PagePermissions access, ulong kind, bool update, out ulong host, out PagePermissions permissions)
    {
        PagePermissions wanted = access | ((access & PagePermissions.Write) != 0 ? PagePermissions.Dirty : 0);
        ref Translation small = ref _tlb[(int)(guest >> PageShift) & (TlbEntries - 1)];
        if (Has(in small, guest, PageShift, wanted, out host, out permissions))
            return true;
        ref Translation large = ref _largeTlb[(int)(guest >> LargeShift) & (LargeTlbEntries - 1)];
        if (Has(in large, guest, LargeShift, wanted, out host, out permissions))
            return true;
        if (!Walk(guest, access, kind, update, out host, out permissions))
            return false;
        if (!update)
            return true;
        if ((permissions & PagePermissions.Large) != 0)
            large = Of(guest, LargeShift, host, permissions);
        else
            small = Of(guest, PageShift, host, permissions);
        return true;
    }

    private bool Has(in Translation t, ulong guest, int shift, PagePermissions wanted, out ulong host, out PagePermissions permissions)
    {
        permissions = t.Permissions;
        host = t.HostPage | (guest & ((1UL << shift) - 1));
        if (t.PageNumberPlusOne != (guest >> shift) + 1 || (t.Permissions & wanted) != wanted)
            return false;
        _cpu.Svm!.Counts.NestedTlbHits++;
        return true;
    }

    private static Translation Of(ulong guest, int shift, ulong host, PagePermissions permissions)
        => new() { PageNumberPlusOne = (guest >> shift) + 1, HostPage = host & ~((1UL << shift) - 1), Permissions = permissions };

    private bool Walk(ulong guest, PagePermissions access, ulong kind, bool update, out ulong host, out PagePermissions permissions)
    {
        _cpu.Svm!.Counts.NestedWalks++;
        host = 0;
        permissions = PagePermissions.None;
        ulong* addresses = stackalloc ulong[PageTableFormat.MostLevels + 1];
        ulong* entries = stackalloc ulong[PageTableFormat.MostLevels + 1];
        if (!_long && guest >> 32 != 0)
            return Fail(guest, access, kind, PageFaultCode.None);
        ulong table = _root;
        PageRights rights = PageRights.All;
        for (int level = _levels; ; level--)
        {
            EntryFormat* f = _format->Level(level);
            bool pointer = _levels == DirectoryPointerLevel && level == DirectoryPointerLevel;
            uint index = pointer ? (uint)(guest >> 30) & (DirectoryPointers.Count - 1) : f->Index(guest);
            addresses[level] = table + index * (ulong)_format->EntrySize;
            ulong entry = entries[level] = _cpu.Memory.Read(addresses[level], _format->EntrySize);
            _cpu.Svm!.Counts.NestedReferences++;
            if ((entry & PageEntry.Present) == 0)
                return Fail(guest, access, kind, PageFaultCode.None);
            bool page = f->IsPage(entry);
            if ((entry & (page ? f->PageReserved : f->TableReserved)) != 0)
                return Fail(guest, access, kind, PageFaultCode.Present | PageFaultCode.Reserved);
            if (!pointer)
                rights &= PageEntry.Rights(entry);
            if (!page)
            {
                table = entry & f->TableMask;
                continue;
            }
            permissions = PageWalker.Permissions(_cpu.State, AccessMode.User, rights);
            if ((permissions & access) != access)
                return Fail(guest, access, kind, PageFaultCode.Present);
            bool write = (access & PagePermissions.Write) != 0;
            if (write || (entry & PageEntry.Dirty) != 0)
                permissions |= PagePermissions.Dirty;
            if (level > 1)
                permissions |= PagePermissions.Large;
            host = f->Page(entry) | (guest & ((1UL << f->Shift) - 1));
            if (update)
                SetAccessedDirty(addresses, entries, level, write);
            return true;
        }
    }

    private void SetAccessedDirty(ulong* addresses, ulong* entries, int last, bool write)
    {
        for (int level = _levels == DirectoryPointerLevel ? _levels - 1 : _levels; level >= last; level--)
        {
            ulong wanted = entries[level] | PageEntry.Accessed | (write && level == last ? PageEntry.Dirty : 0);
            if (wanted != entries[level])
                _cpu.Memory.Write(addresses[level], _format->EntrySize, wanted);
        }
    }

    private bool Fail(ulong guest, PagePermissions access, ulong kind, PageFaultCode why)
    {
        PageFaultCode code = why | PageFaultCode.User;
        if ((access & PagePermissions.Write) != 0)
            code |= PageFaultCode.Write;
        if ((access & PagePermissions.Fetch) != 0 && _reportsFetches)
            code |= PageFaultCode.Fetch;
        FaultCode = (ulong)code | kind;
        FaultAddress = guest;
        return false;
    }
}
