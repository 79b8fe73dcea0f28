using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Monitors;

/// <summary>
/// Paging where the guest is a hypervisor that has its own guest under nested paging, and the silicon has none: page tables from that guest's linear addresses to the host's
/// physical ones, which are used as a TLB is. What a walk of both tables has found is entered where it faults, and dropped by whatever drops it from a TLB, all of which exits.
/// </summary>
internal sealed unsafe class VirtualTlbPaging : ReplacingGuestPaging
{
    private const int Levels = 5, DirectoryLevel = 2, GigabyteShift = 30, DirectoryPointerCount = 4;
    private const ulong FourLevelMask = (1UL << 48) - 1, FiveLevelMask = (1UL << 57) - 1;

    private readonly Cpu _guest, _silicon;
    private readonly MonitorMemory _memory;
    private readonly ShadowPageTables _shadow;
    private readonly NestedPageTables _tables;
    private readonly ulong _pointers;
    private bool _isEmpty = true, _hasLarge;

    /// <param name="guest">The monitor's record of the guest's processor, with shadow paging.</param>
    /// <param name="silicon">What walks the tables.</param>
    /// <param name="memory">Where tables are put.</param>
    /// <param name="shadow">What keeps pages from being written.</param>
    public VirtualTlbPaging(Cpu guest, Cpu silicon, MonitorMemory memory, ShadowPageTables shadow) : base(guest)
    {
        _guest = guest;
        _silicon = silicon;
        _memory = memory;
        _shadow = shadow;
        _pointers = memory.Allocate(1);
        _tables = new NestedPageTables(guest.Memory, memory, new TablePages(memory), largestLevel: 1, Levels);
        guest.TranslationsDropped += OnTranslationsDropped;
        shadow.PageTraced += Clear;
    }

    public override void Enter(Vmcb* v)
    {
        ulong root = Root(_guest.State);
        // Directory pointers are in the processor, and read anew with CR3.
        if (v->Cr3 != root || _tables.Stale)
            v->Clean &= ~VmcbClean.ControlRegisters;
        v->Cr3 = root;
        v->TlbControl = _tables.Stale ? TlbControl.FlushGuest : TlbControl.Nothing;
        _tables.Stale = false;
    }

    private ulong Root(CpuState* g)
    {
        if (g->LongMode)
            return (g->Cr4 & Cr4.La57) != 0 ? _tables.Root : _tables.Table(Levels - 1, 0);
        for (int i = 0; i < DirectoryPointerCount; i++)
            ((ulong*)_memory.At(_pointers))[i] = _tables.Table(DirectoryLevel, (ulong)i << GigabyteShift) | PageEntry.Present;
        return _pointers;
    }

    public override FaultOutcome Resolve(Vmcb* v, out PageFaultCode trueCode)
    {
        var code = (PageFaultCode)v->ExitInfo1;
        ulong linear = v->ExitInfo2;
        PagePermissions access = AccessOf(code);
        AccessMode mode = ModeOf(code, v);
        PageWalkPath path;
        if (!PageWalker.Walk(_guest, linear, mode, access, true, &path, out ulong physical, out PagePermissions allowed, out trueCode))
            return (trueCode & PageFaultCode.Nested) != 0 ? FaultOutcome.Emulate : FaultOutcome.True;
        _hasLarge |= (allowed & PagePermissions.Large) != 0;
        _isEmpty = false;
        return _tables.TryMap(Place(linear), physical, Rights(&path, allowed, access, mode)) ? FaultOutcome.Mapped : FaultOutcome.Emulate;
    }

    /// <summary>What an entry may say for all access modes, by what the walk has found for one: not more than that; more is asked for where it is used.</summary>
    private ulong Rights(PageWalkPath* path, PagePermissions allowed, PagePermissions access, AccessMode mode)
    {
        PageRights rights = PageRights.All;
        // Directory pointers grant everything.
        for (int level = path->Top == 3 ? 2 : path->Top; level >= path->Last && path->Top != 0; level--)
            rights &= PageEntry.Rights(path->Entries[level]);
        ulong entry = rights.HasFlag(PageRights.User) ? PageEntry.Us : 0;
        if ((allowed & PagePermissions.Fetch) == 0 && _guest.Model.Has(ProcessorFeature.Nx))
            entry |= PageEntry.Nx;
        const PagePermissions Store = PagePermissions.Write | PagePermissions.Dirty;
        if ((allowed & Store) != Store)
            return entry;
        if (rights.HasFlag(PageRights.Write))
            return entry | PageEntry.Rw;
        // CR0.WP is set for the silicon: where it is clear for the guest, its kernel's pages that may not be written may be, but by the kernel alone.
        return access == PagePermissions.Write && mode < AccessMode.User ? (entry & ~PageEntry.Us) | PageEntry.Rw : entry;
    }

    /// <summary>A linear address as the tables know it, whose levels are those of the longest addresses.</summary>
    private ulong Place(ulong linear) => linear & ((_guest.State->Cr4 & Cr4.La57) != 0 && _guest.State->LongMode ? FiveLevelMask : FourLevelMask);

    /// <summary>What is dropped of the half of the TLB that is not the guest's guest's is of no interest.</summary>
    private void OnTranslationsDropped(ulong? linear)
    {
        if (_isEmpty || _guest.Tlb == _guest.HostTlb)
            return;
        if (linear is not { } page || _hasLarge)
        {
            Clear();
            return;
        }
        _tables.Unmap(Place(page));
        _silicon.Svm!.InvalidatePage(page, HardwareAssist.AsidOf(inGuest: true));
    }

    private void Clear()
    {
        if (_isEmpty)
            return;
        _tables.Clear();
        (_isEmpty, _hasLarge) = (true, false);
    }

    /// <summary>Where an access leads takes another walk: the interpreter makes it.</summary>
    public override ulong FaultPhysical(Vmcb* v) => 0;

    public override void Dispose()
    {
        _guest.TranslationsDropped -= OnTranslationsDropped;
        _shadow.PageTraced -= Clear;
        _tables.Dispose();
    }
}
