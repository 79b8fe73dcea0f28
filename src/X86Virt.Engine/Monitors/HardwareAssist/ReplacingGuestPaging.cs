using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Monitors;

/// <summary>
/// Paging without nested paging: the silicon walks page tables of the monitor's in place of the guest's. Page faults, and whatever changes the address space or the paging
/// mode, exit.
/// </summary>
internal abstract unsafe class ReplacingGuestPaging(Cpu guest) : GuestPaging
{
    private const ulong ModesHidden = Cr4.Pcide;

    private readonly Cpu _guest = guest;

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

    /// <summary>The silicon has been told of each change.</summary>
    public override void TakeOver()
    {
    }

    public override void HandOver()
    {
    }

    /// <summary>What a page fault's error code says of the access.</summary>
    protected static PagePermissions AccessOf(PageFaultCode code) => (code & PageFaultCode.Write) != 0 ? PagePermissions.Write
        : (code & PageFaultCode.Fetch) != 0 ? PagePermissions.Fetch : PagePermissions.Read;

    protected AccessMode ModeOf(PageFaultCode code, Vmcb* v) => (code & PageFaultCode.User) != 0 ? AccessMode.User : Supervisor(_guest.State, v);

    /// <summary>SMAP holds for accesses that the processor makes on its own at level 3, too.</summary>
    private static AccessMode Supervisor(CpuState* g, Vmcb* v)
        => (g->Cr4 & Cr4.Smap) != 0 && (v->Cpl == 3 || (v->Rflags & Flags.Ac) == 0) ? AccessMode.SupervisorSmap : AccessMode.Supervisor;
}
