using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Monitors;

/// <summary>What is done for each #VMEXIT (AMD volume 2, appendix C).</summary>
internal sealed unsafe partial class HardwareAssist
{
    private const ulong PortIn = 1, PortString = 1 << 2;
    private const int PortSizeShift = 4, PortSizeMask = 7, PortShift = 16;

    // An instruction of the guest has been completed, or has faulted, since this was last cleared.
    private bool _completed;

    /// <summary>Sees to the exit; false if the guest cannot go on for now.</summary>
    private bool HandleExit()
    {
        BeginExit();
        ExitsLeft--;
        _bus.ShareTime();
        ShareTaskPriority();
        VmcbEvent inFlight = _vmcb->ExitIntInfo;
        switch (_vmcb->ExitCode)
        {
            case var code when code == _paging.Own.FaultExit:
                HandleFault(inFlight);
                break;
            case >= SvmExitCode.Exception0 and < SvmExitCode.Intr:
                PassException(inFlight);
                break;
            case SvmExitCode.Intr or SvmExitCode.VirtualIntr when _nested || HasSignal:
                HaveRecordAccept();
                break;
            case SvmExitCode.Intr:
                GiveInterrupt();
                break;
            case SvmExitCode.VirtualIntr:
                CloseInterruptWindow();
                GiveInterrupt();
                break;
            case SvmExitCode.Port when (_vmcb->ExitInfo1 & PortString) == 0 && !NeedsEmulator:
                AccessPort();
                break;
            case SvmExitCode.Cpuid when !NeedsEmulator && _vmcb->NextRip != 0:
                IdentifyProcessor();
                break;
            case SvmExitCode.Hlt when !NeedsEmulator && _vmcb->NextRip != 0:
                Complete(_vmcb->NextRip);
                Cpu.Statistics.Halts++;
                Halt();
                break;
            case SvmExitCode.Shutdown:
                _context.Save();
                if (Intercept.Has(Cpu.State, SvmExitCode.Shutdown))
                    Reflect(inFlight);
                else
                    ExceptionDelivery.Shutdown(Cpu);
                break;
            case SvmExitCode.Iret:
                // Non-maskable interrupts wait for it no longer.
                _vmcb->SetIntercept(SvmExitCode.Iret, false);
                Emulate();
                break;
            default:
                // A task gate's event is delivered anew.
                if (inFlight.IsValid && !IsSoftware(inFlight))
                    DeliverByHand(inFlight);
                else
                    Emulate();
                break;
        }
        if (_clusters != null)
            FinishCluster(_clusters);
        _bus.TakeTime();
        Exits.End();
        if (Cpu.State->Halted && Cpu.State->GuestMode)
            return TryWake();
        return !Cpu.State->Halted && !Cpu.State->ShutDown;
    }

    /// <summary>What the monitor does itself for the guest would be another's to decide, or to see: a hypervisor's, or single steps' and breakpoints'.</summary>
    private bool NeedsEmulator => IsWatched || _nested;

    /// <summary>Single steps and breakpoints on ports are the emulator's to see to.</summary>
    private bool IsWatched => (_vmcb->Rflags & Flags.Tf) != 0 || (_vmcb->Dr7 & 0xFF) != 0;

    private void ShareTaskPriority()
    {
        ulong priority = _vmcb->VirtualInterrupt.TaskPriority;
        if (Cpu.TaskPriority != priority)
            Cpu.TaskPriority = priority;
    }

    /// <summary>Counts an instruction that the monitor has taken on, and goes on behind it.</summary>
    private void Complete(ulong nextRip)
    {
        Cpu.State->Budget--;
        PassOver(nextRip);
    }

    private void PassOver(ulong nextRip)
    {
        _vmcb->Rip = nextRip;
        _vmcb->Rflags &= ~(ulong)Flags.Rf;
        _vmcb->InterruptShadow = 0;
        _completed = true;
    }

    private void Emulate()
    {
        _context.Save();
        _emulator.Execute();
        Exits.CountEmulated(1);
        _completed = true;
        _context.Load();
    }

    private void HandleFault(VmcbEvent inFlight)
    {
        // INT n, INT3 and INTO are executed again.
        bool isEvent = inFlight.IsValid && !IsSoftware(inFlight);
        switch (_paging.Current.Resolve(_vmcb, out PageFaultCode code))
        {
            case FaultOutcome.Mapped:
                if (isEvent)
                    _vmcb->EventInjection = inFlight;
                break;
            case FaultOutcome.True when !isEvent && !Intercept.Has(Cpu.State, _vmcb->ExitCode):
                if (Intercepts.Has(_vmcb->ExitCode))
                    Exits.MarkRequested();
                InjectPageFault(code);
                break;
            default:
                if (isEvent)
                    DeliverByHand(inFlight);
                else if (!TryMove())
                    Emulate();
                break;
        }
    }

    /// <summary>A plain load or store goes to where the fault has told that it leads.</summary>
    private bool TryMove()
    {
        const ulong NotOperand = (ulong)PageFaultCode.Fetch | NestedPaging.TableBit;
        ulong code = _vmcb->ExitInfo1;
        bool checksAlignment = _vmcb->Cpl == 3 && (_vmcb->Rflags & Flags.Ac) != 0;
        if ((code & NotOperand) != 0 || checksAlignment || NeedsEmulator
            || !_moves.TryExecute(_paging.Own.FaultPhysical(_vmcb), (code & (ulong)PageFaultCode.Write) != 0, out int length))
            return false;
        PassOver(_vmcb->Rip + (ulong)length);
        // The device may have been the local APIC, whose task priority is CR8.
        _vmcb->VirtualInterrupt.TaskPriority = Cpu.Bus.TaskPriority;
        return true;
    }

    private void InjectPageFault(PageFaultCode code)
    {
        _vmcb->Cr2 = _vmcb->ExitInfo2;
        Cpu.Statistics.Exceptions[(int)Vector.PageFault]++;
        Cpu.ExceptionHistory.Add(new ExceptionRecord(Vector.PageFault, (uint)code, _vmcb->Cs.Selector, _vmcb->Rip, _vmcb->Cr2, Cpu.State->Retired));
        _vmcb->EventInjection = VmcbEvent.Of(new InterruptEvent((byte)Vector.PageFault, EventSource.Exception, 0, HasErrorCode: true, (uint)code));
        _completed = true;
    }

    /// <summary>Delivers an event that the silicon could not; what faults in doing so is combined with it as the architecture wants it.</summary>
    private void DeliverByHand(VmcbEvent e)
    {
        _context.Save();
        _emulator.Deliver(e);
        _completed = true;
        _context.Load();
    }

    private static bool IsSoftware(VmcbEvent e)
        => e.Type == VmcbEventType.SoftwareInterrupt || (e.Type == VmcbEventType.Exception && (Vector)e.Vector is Vector.Breakpoint or Vector.Overflow);

    private void AccessPort()
    {
        ulong info = _vmcb->ExitInfo1;
        var port = (ushort)(info >> PortShift);
        int size = (int)(info >> PortSizeShift) & PortSizeMask;
        Complete(_vmcb->ExitInfo2);
        Cpu.Statistics.Ports[port]++;
        ulong mask = size == sizeof(uint) ? uint.MaxValue : (1UL << (size * 8)) - 1;
        if ((info & PortIn) == 0)
        {
            Cpu.Statistics.PortWrites++;
            Cpu.Bus.WritePort(port, size, (uint)(_vmcb->Rax & mask));
            return;
        }
        Cpu.Statistics.PortReads++;
        ulong value = Cpu.Bus.ReadPort(port, size) & mask;
        _vmcb->Rax = size == sizeof(uint) ? value : (_vmcb->Rax & ~mask) | value;
    }

    private void IdentifyProcessor()
    {
        CpuState* g = Cpu.State, s = _silicon.State;
        // What CPUID tells depends on them.
        _paging.Own.SaveControls(_vmcb, g);
        g->Xcr0 = s->Xcr0;
        Cpu.Statistics.Cpuids++;
        (uint eax, uint ebx, uint ecx, uint edx) = CpuidLeaves.Read(Cpu, (uint)_vmcb->Rax, (uint)s->Rcx);
        (_vmcb->Rax, s->Rbx, s->Rcx, s->Rdx) = (eax, ebx, ecx, edx);
        Complete(_vmcb->NextRip);
    }

    /// <summary>Injects what the guest's board or an NMI wants delivered, now that no shadow stands in the way, or waits until IF lets it through.</summary>
    private void GiveInterrupt()
    {
        CpuState* g = Cpu.State;
        if (g->NmiPending && !g->NmiBlocked)
        {
            (g->NmiPending, g->NmiBlocked) = (false, true);
            _vmcb->SetIntercept(SvmExitCode.Iret, true);
            Cpu.Statistics.Nmis++;
            _vmcb->EventInjection = VmcbEvent.Of(new InterruptEvent((byte)Vector.Nmi, EventSource.Nmi, 0));
        }
        else if (Cpu.Bus.InterruptPending)
        {
            if ((_vmcb->Rflags & Flags.If) == 0)
            {
                OpenInterruptWindow();
                return;
            }
            Cpu.Statistics.Interrupts++;
            _vmcb->EventInjection = VmcbEvent.Of(new InterruptEvent(Cpu.Bus.AcknowledgeInterrupt(), EventSource.External, 0));
        }
    }

    /// <summary>Has the guest exit as soon as it would take an interrupt.</summary>
    /// <param name="known">It is one of the board's, which need not tell of it again.</param>
    private void OpenInterruptWindow(bool known = true)
    {
        _bus.Known = known;
        _vmcb->VirtualInterrupt.RequestWindow();
        _vmcb->SetIntercept(SvmExitCode.VirtualIntr, true);
    }

    private void CloseInterruptWindow()
    {
        _bus.Known = false;
        _vmcb->VirtualInterrupt.Requested = false;
        _vmcb->SetIntercept(SvmExitCode.VirtualIntr, false);
    }
}
