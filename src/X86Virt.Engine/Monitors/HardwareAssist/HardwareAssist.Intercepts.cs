using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Monitors;

/// <summary>What the monitor does about exits that it needs none of, because a user asked for them.</summary>
internal sealed unsafe partial class HardwareAssist
{
    // An instruction that changes translations was executed for the guest: the silicon has not seen it.
    private bool _translationsChanged;

    /// <summary>What a user added to the monitor's own intercepts.</summary>
    public UserIntercepts Intercepts { get; }

    /// <summary>Host-physical address of the VMCB.</summary>
    public ulong VmcbAddress => (ulong)((byte*)_vmcb - _memory.At(0));

    /// <summary>The VMCB, with the guest as it is between two instructions.</summary>
    public Vmcb* CurrentVmcb
    {
        get
        {
            if (Cpu.State->GuestMode != _nested)
                SelectLevel();
            _context.Load();
            return _vmcb;
        }
    }

    /// <summary>Notes the exit, and whether it was asked for; of the faults that paging brings about only the guest's own can be.</summary>
    private void BeginExit()
    {
        bool requested = Intercepts.Match(_vmcb, (uint)_silicon.State->Rcx);
        Exits.Begin(_vmcb, requested && _vmcb->ExitCode != _paging.Own.FaultExit, _nested);
        _translationsChanged |= requested && _vmcb->ExitCode is SvmExitCode.Cr0Write or SvmExitCode.Cr0Write + 3 or SvmExitCode.Cr0Write + 4 or SvmExitCode.Invlpg or SvmExitCode.Invpcid;
    }

    private void ApplyUserIntercepts()
    {
        if (_translationsChanged)
            _vmcb->TlbControl = TlbControl.FlushGuest;
        _translationsChanged = false;
        Intercepts.Apply(_vmcb);
    }

    /// <summary>Gives the guest an exception of its own that was intercepted.</summary>
    private void PassException(VmcbEvent inFlight)
    {
        var vector = (Vector)(_vmcb->ExitCode - SvmExitCode.Exception0);
        if (inFlight.IsValid && !IsSoftware(inFlight))
        {
            DeliverByHand(inFlight);
        }
        else if (IsNestedDebug(vector))
        {
            _context.Save();
            Reflect(inFlight);
        }
        else if (HypervisorDecides(vector) || inFlight.IsValid || vector is Vector.Breakpoint or Vector.Overflow)
        {
            // INT n, INT3 and INTO are executed again, too.
            Emulate();
        }
        else if (vector == Vector.PageFault)
        {
            InjectPageFault((PageFaultCode)_vmcb->ExitInfo1);
        }
        else
        {
            Cpu.Statistics.Exceptions[(int)vector]++;
            bool hasCode = vector.HasErrorCode();
            _vmcb->EventInjection = VmcbEvent.Of(new InterruptEvent((byte)vector, EventSource.Exception, 0, hasCode, hasCode ? (uint)_vmcb->ExitInfo1 : 0));
            _completed = true;
        }
    }
}
