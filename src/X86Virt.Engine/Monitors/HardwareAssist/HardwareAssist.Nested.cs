using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Monitors;

/// <summary>
/// A guest that is a hypervisor. Its SVM is that of the record: every instruction of SVM exits and is executed there, and VMRUN leaves the record in guest mode, with the state of
/// the guest's guest, which the silicon runs next with the intercepts of both. Whatever leaves that guest is put to the record again: an instruction is executed there, an event
/// delivered, and if the hypervisor intercepts it, #VMEXIT is the record's, into the hypervisor's own VMCB.
/// </summary>
internal sealed unsafe partial class HardwareAssist
{
    private readonly PermissionMaps? _nestedMaps;
    private readonly uint[] _monitorsIntercepts = new uint[Vmcb.InterceptWords];

    // The silicon is set up for a guest of the guest's.
    private bool _nested;

    /// <summary>Of the guest in the silicon's TLB, or of a guest of its own.</summary>
    internal static uint AsidOf(bool inGuest) => inGuest ? NestedAsid : Asid;

    /// <summary>Sets the silicon up for whom the record holds.</summary>
    private void SelectLevel()
    {
        _nested = Cpu.State->GuestMode;
        CloseInterruptWindow();
        _vmcb->Clean = VmcbClean.None;
        _vmcb->Asid = AsidOf(_nested);
        _vmcb->MsrMap = (_nested ? _nestedMaps! : _maps).MsrMap;
        bool scales = _nested && !Cpu.Svm!.GuestHasOwnRate;
        _vmcb->SetIntercept(SvmExitCode.Rdtsc, scales);
        _vmcb->SetIntercept(SvmExitCode.Rdtscp, scales);
        if (_nested)
            _nestedMaps!.Combine(_maps, Cpu);
    }

    /// <summary>What depends on the record's SVM in entering the guest or its guest.</summary>
    private void PrepareHypervisor()
    {
        CpuState* g = Cpu.State;
        _vmcb->SetIntercept(SvmExitCode.Iret, g->NmiBlocked);
        // The silicon's SVME is always set: it checks the privilege level of an instruction that the guest does not have.
        _vmcb->SetIntercept(SvmExitCode.Exception0 + (ulong)Vector.GeneralProtection, LacksSvm);
        if (_nested)
        {
            if (_bus.Known || Cpu.Svm!.IsVirtualReady)
                OpenInterruptWindow(_bus.Known);
            else
                CloseInterruptWindow();
            ApplyNestedIntercepts();
        }
        else if (g->GlobalInterruptsOff)
        {
            CloseInterruptWindow();
        }
    }

    private bool LacksSvm => Cpu.Svm != null && (Cpu.State->Efer & Efer.Svme) == 0;

    /// <summary>The hypervisor's intercepts are in the VMCB while VMRUN reads it, as a user's are.</summary>
    private void ApplyNestedIntercepts()
    {
        for (int i = 0; i < Vmcb.InterceptWords; i++)
        {
            _monitorsIntercepts[i] = _vmcb->Intercepts[i];
            _vmcb->Intercepts[i] |= Cpu.State->Intercepts[i];
        }
    }

    private void WithdrawNestedIntercepts()
    {
        for (int i = 0; i < Vmcb.InterceptWords; i++)
            _vmcb->Intercepts[i] = _monitorsIntercepts[i];
    }

    /// <summary>An exception that is to be raised on the record, by executing the instruction once more: the hypervisor's, or one of an instruction that the guest may not have.</summary>
    private bool HypervisorDecides(Vector vector) => Intercept.Has(Cpu.State, _vmcb->ExitCode) || (vector == Vector.GeneralProtection && LacksSvm);

    /// <summary>A #DB that the hypervisor intercepts: it may be a trap, and DR6 and DR7 tell of it already.</summary>
    private bool IsNestedDebug(Vector vector) => vector == Vector.Debug && Intercept.Has(Cpu.State, _vmcb->ExitCode);

    /// <summary>The record leaves guest mode for the reason that the silicon has left it for, of which nothing more is to be told: the hypervisor is next.</summary>
    private void Reflect(VmcbEvent inFlight)
    {
        Intercept.Exit(Cpu.State, null, _vmcb->ExitCode, 0, 0);
        Cpu.State->EventInFlight = inFlight;
        EventDelivery.Settle(Cpu);
        _context.Load();
    }

    /// <summary>An INIT or SMI waits for the record.</summary>
    private bool HasSignal => (Cpu.State->InitPending || Cpu.State->SmiPending) && !Cpu.State->GlobalInterruptsOff;

    /// <summary>
    /// An NMI, an interrupt or a virtual interrupt may be due for a guest of the guest's, or an INIT or SMI for either: the record accepts it, or leaves guest mode for it. A physical
    /// interrupt that waits for that guest's IF has the silicon tell when it is set.
    /// </summary>
    private void HaveRecordAccept()
    {
        CpuState* g = Cpu.State;
        _context.Save();
        Cpu.RequestAttention(Attention.Interrupt);
        EventDelivery.Service(Cpu);
        _bus.Known = g->GuestMode && !Cpu.Svm!.MasksPhysicalInterrupts && Cpu.Bus.InterruptPending;
        _context.Load();
    }

    /// <summary>Wakes a guest of the guest's, or a hypervisor that an INIT or SMI waits for, that has halted the processor, if there is something for it.</summary>
    private bool TryWake()
    {
        Cpu.RequestAttention(Attention.Interrupt);
        bool woken = EventDelivery.Service(Cpu);
        _context.Load();
        return woken;
    }
}
