using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Monitors;

/// <summary>Nested paging: the guest's page tables are its own, and the monitor's below them lead to the memory that it has.</summary>
internal unsafe class NestedGuestPaging(NestedPageTables tables) : GuestPaging
{
    public NestedPageTables Tables { get; } = tables;

    public override SvmExitCode FaultExit => SvmExitCode.NestedPageFault;

    public override bool ChangesUnseen => true;

    public override void SetUp(Vmcb* v, PermissionMaps maps)
    {
        maps.AllowPat();
        v->NestedControl = 1;
    }

    public override void LoadControls(CpuState* g, Vmcb* v)
    {
        v->Cr0 = g->Cr0;
        v->Cr3 = g->Cr3;
        v->Cr4 = g->Cr4;
        v->Efer = g->Efer | Efer.Svme;
        v->GuestPat = g->Pat;
        v->NestedCr3 = Tables.Root;
    }

    public override void SaveControls(Vmcb* v, CpuState* g)
    {
        g->Cr0 = v->Cr0;
        g->Cr3 = v->Cr3;
        g->Cr4 = v->Cr4;
        // Writes of EFER exit: SVME is what it was.
        g->Efer = (v->Efer & ~Efer.Svme) | (g->Efer & Efer.Svme);
        g->Pat = v->GuestPat;
    }

    public override void Enter(Vmcb* v)
    {
        v->TlbControl = Tables.Stale ? TlbControl.FlushGuest : TlbControl.Nothing;
        Tables.Stale = false;
    }

    public override FaultOutcome Resolve(Vmcb* v, out PageFaultCode trueCode)
    {
        trueCode = PageFaultCode.None;
        // What is mapped and faults all the same is memory that may not be written.
        bool present = ((PageFaultCode)v->ExitInfo1 & PageFaultCode.Present) != 0;
        return !present && Tables.TryMap(v->ExitInfo2) ? FaultOutcome.Mapped : FaultOutcome.Emulate;
    }

    public override ulong FaultPhysical(Vmcb* v) => v->ExitInfo2;

    public override void TakeOver() => Tables.Stale = true;

    public override void HandOver()
    {
    }

    public override void Dispose() => Tables.Dispose();
}
