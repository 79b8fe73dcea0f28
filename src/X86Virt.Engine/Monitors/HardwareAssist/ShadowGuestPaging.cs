using X86Virt.Engine.Memory;
using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Monitors;

/// <summary>
/// Shadow paging: the silicon walks page tables of the monitor's, which say what the guest's own would lead to. Page faults, and whatever changes the address space or
/// the paging mode, exit; stores to the guest's tables fault, as those are mapped read-only, and are emulated (traces).
/// </summary>
internal sealed unsafe class ShadowGuestPaging : GuestPaging
{
    private const ulong ModesHidden = Cr4.Pcide;

    private readonly Cpu _guest, _silicon;
    private readonly uint _asid;
    private ulong _faultPhysical;

    /// <param name="guest">The monitor's record of the guest's processor, with shadow paging.</param>
    /// <param name="silicon">What walks the tables.</param>
    /// <param name="tables">The tables.</param>
    /// <param name="asid">The guest's in the silicon's TLB.</param>
    public ShadowGuestPaging(Cpu guest, Cpu silicon, ShadowPageTables tables, uint asid)
    {
        _guest = guest;
        _silicon = silicon;
        _asid = asid;
        Tables = tables;
        guest.TranslationsDropped = OnTranslationsDropped;
    }

    public ShadowPageTables Tables { get; }

    public override SvmExitCode FaultExit => SvmExitCode.Exception0 + (ulong)Vector.PageFault;

    public override bool ChangesUnseen => false;

    public override void SetUp(Vmcb* v, PermissionMaps maps)
    {
        ReadOnlySpan<SvmExitCode> needed =
        [
            SvmExitCode.Exception0 + (ulong)Vector.PageFault, SvmExitCode.Cr0Read, SvmExitCode.Cr0Read + 3, SvmExitCode.Cr0Read + 4,
            SvmExitCode.Cr0Write, SvmExitCode.Cr0Write + 3, SvmExitCode.Cr0Write + 4, SvmExitCode.Invlpg, SvmExitCode.Invpcid, SvmExitCode.TaskSwitch,
        ];
        foreach (SvmExitCode code in needed)
            v->SetIntercept(code, true);
    }

    public override void LoadControls(CpuState* g, Vmcb* v)
    {
        // Without paging of the guest's own its addresses are translated all the same: real mode becomes paged real mode (AMD volume 2, 15.19).
        v->Cr0 = g->Cr0 | Cr0.Pg | Cr0.Wp;
        v->Cr4 = (g->Cr4 & ~ModesHidden) | Cr4.Pae;
        v->Efer = g->Efer | Efer.Svme;
        // Page faults tell of fetches then; no entry forbids them unless the guest's does.
        if (_guest.Model.Has(ProcessorFeature.Nx))
            v->Efer |= Efer.Nxe;
        if (!g->LongMode)
        {
            v->Efer &= ~(Efer.Lme | Efer.Lma);
            v->Cr4 &= ~Cr4.La57;
        }
    }

    /// <summary>All of them are the monitor's.</summary>
    public override void SaveControls(Vmcb* v, CpuState* g)
    {
    }

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
        PagePermissions access = (code & PageFaultCode.Write) != 0 ? PagePermissions.Write
            : (code & PageFaultCode.Fetch) != 0 ? PagePermissions.Fetch : PagePermissions.Read;
        AccessMode mode = (code & PageFaultCode.User) != 0 ? AccessMode.User : Supervisor(g, v);
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

    /// <summary>SMAP holds for accesses that the processor makes on its own at level 3, too.</summary>
    private static AccessMode Supervisor(CpuState* g, Vmcb* v)
        => (g->Cr4 & Cr4.Smap) != 0 && (v->Cpl == 3 || (v->Rflags & Flags.Ac) == 0) ? AccessMode.SupervisorSmap : AccessMode.Supervisor;

    /// <summary>The guest's INVLPG, CR3 and the like: the silicon's TLB may hold what the shadow has not any more.</summary>
    private void OnTranslationsDropped(ulong? linear)
    {
        // A large page goes as a whole, and the silicon does not know one that is in pieces.
        if (linear is { } page && !Tables.HasPieces)
            _silicon.Svm!.InvalidatePage(page, _asid);
        else
            Tables.Stale = true;
    }

    public override ulong FaultPhysical(Vmcb* v) => _faultPhysical;

    /// <summary>The silicon has been told of each change.</summary>
    public override void TakeOver() => _guest.Shadow!.FormIsWalked = true;

    public override void HandOver() => _guest.Shadow!.FormIsWalked = false;

    public override void Dispose()
    {
        _guest.TranslationsDropped = null;
        Tables.Dispose();
    }
}
