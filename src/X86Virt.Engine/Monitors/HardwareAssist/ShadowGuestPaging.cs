using X86Virt.Engine.Memory;
using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Monitors;

/// <summary>
/// Shadow paging: the silicon walks page tables of the monitor's, which say what the guest's own would lead to. Page faults, and whatever changes the address space or
/// the paging mode, exit; stores to the guest's tables fault, as those are mapped read-only, and are emulated (traces).
/// </summary>
internal sealed unsafe class ShadowGuestPaging : ReplacingGuestPaging
{
    private readonly Cpu _guest, _silicon;
    private ulong _faultPhysical;

    /// <param name="guest">The monitor's record of the guest's processor, with shadow paging.</param>
    /// <param name="silicon">What walks the tables.</param>
    /// <param name="tables">The tables.</param>
    public ShadowGuestPaging(Cpu guest, Cpu silicon, ShadowPageTables tables) : base(guest)
    {
        _guest = guest;
        _silicon = silicon;
        Tables = tables;
        guest.TranslationsDropped += OnTranslationsDropped;
    }

    public ShadowPageTables Tables { get; }

    public override void Enter(Vmcb* v)
    {
        ulong root = Tables.Root();
        // Directory pointers are in the processor, and read anew with CR3.
        if (v->Cr3 != root || Tables.Stale)
            v->Clean &= ~VmcbClean.ControlRegisters;
        v->Cr3 = root;
        v->TlbControl = Tables.Stale ? TlbControl.FlushGuest : TlbControl.Nothing;
        if (Tables.Stale)
            Tables.Flushed();
    }

    public override FaultOutcome Resolve(Vmcb* v, out PageFaultCode trueCode)
    {
        var code = (PageFaultCode)v->ExitInfo1;
        ulong linear = v->ExitInfo2;
        CpuState* g = _guest.State;
        PagePermissions access = AccessOf(code);
        AccessMode mode = ModeOf(code, v);
        ulong physical = linear;
        trueCode = PageFaultCode.None;
        bool paging = (g->Cr0 & Cr0.Pg) != 0;
        if (paging && !_guest.Shadow!.Translate(linear, mode, access, out physical, out _, out trueCode))
            return FaultOutcome.True;
        _faultPhysical = physical;
        // Without paging only stores to ROM fault in a page that is mapped.
        if (!paging && (code & PageFaultCode.Present) != 0)
            return FaultOutcome.Emulate;
        return Tables.TryMap(linear, physical, access, mode, paging) ? FaultOutcome.Mapped : FaultOutcome.Emulate;
    }

    /// <summary>The guest's INVLPG, CR3 and the like: the silicon's TLB may hold what the shadow has not any more.</summary>
    private void OnTranslationsDropped(ulong? linear)
    {
        // A large page goes as a whole, and the silicon does not know one that is in pieces.
        if (linear is { } page && !Tables.HasPieces)
            _silicon.Svm!.InvalidatePage(page, HardwareAssist.AsidOf(inGuest: _guest.Tlb != _guest.HostTlb));
        else
            Tables.Stale = true;
    }

    public override ulong FaultPhysical(Vmcb* v) => _faultPhysical;

    public override void TakeOver() => _guest.Shadow!.FormIsWalked = true;

    public override void HandOver() => _guest.Shadow!.FormIsWalked = false;

    public override void Dispose()
    {
        _guest.TranslationsDropped -= OnTranslationsDropped;
        Tables.Dispose();
    }
}
