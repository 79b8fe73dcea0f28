namespace X86Virt.Engine.Processor;

/// <summary>VMRUN and #VMEXIT (AMD volume 2, 15.5 and 15.6).</summary>
internal sealed unsafe partial class SvmUnit
{
    private const ulong Cr0Defined = Cr0.Pe | Cr0.Mp | Cr0.Em | Cr0.Ts | Cr0.Et | Cr0.Ne | Cr0.Wp | Cr0.Am | Cr0.Nw | Cr0.Cd | Cr0.Pg;
    private const ulong Dr7AfterExit = 0x400;
    private const uint SystemFlagsDefined = Flags.Tf | Flags.If | Flags.Df | Flags.IoplMask | Flags.Nt | Flags.Vm | Flags.Ac | Flags.Vif | Flags.Vip | Flags.Id;

    /// <summary>What VMRUN saves of the host, and #VMEXIT brings back.</summary>
    private struct HostState
    {
        public SegmentRegister Es, Cs, Ss, Ds;
        public DescriptorTableRegister Gdtr, Idtr;
        public ulong Efer, Cr0, Cr3, Cr4, Rflags, Rip, Rsp, Rax, Pat, DebugCtl;
        public LastBranches LastBranches;
    }

    /// <summary>What the guest's half of the TLB depends on.</summary>
    private readonly record struct TranslationKey(uint Asid, bool Nested, ulong NestedCr3, ulong HostCr4, ulong HostEfer, ulong Cr0, ulong Cr3, ulong Cr4, ulong Efer);

    private HostState _host;

    // DebugCtl and the last-branch registers are the guest's.
    private bool _switchesBranches;
    private TranslationKey _translationKey;

    // The guest's state is in the processor though it has been left; with it the VMCB that it was entered with, and its RFLAGS then.
    private Vmcb* _lingering;
    private ulong _lingeringFlags;

    /// <summary>RFLAGS.IF of the host, which masks physical interrupts while the guest's does not.</summary>
    public bool HostAllowsInterrupts => (_host.Rflags & Flags.If) != 0;

    /// <summary>
    /// The host is not code that this processor executes: whoever calls <see cref="Enter"/> goes on behind a #VMEXIT, for which the engine returns.
    /// </summary>
    public bool HasExternalHost { get; init; }

    /// <summary>VMRUN, its checks done: the host goes on behind <paramref name="op"/> once the guest is left.</summary>
    public void Run(Op* op, Vmcb* vmcb)
    {
        Control.Complete(_cpu.State, op);
        Enter(vmcb);
    }

    /// <summary>Enters the guest of a VMCB.</summary>
    public void Enter(Vmcb* vmcb)
    {
        CpuState* s = _cpu.State;
        _vmcb = vmcb;
        Counts.Entries++;
        if (Lingers(vmcb))
        {
            Reenter(s, vmcb);
            return;
        }
        if (_lingering != null)
            RestoreHost(s);
        _lingering = null;
        SaveHost(s);
        _switchesBranches = false;
        bool valid = VmcbCheck.IsValid(_cpu, vmcb);
        ulong hostCr4 = s->Cr4, hostEfer = s->Efer;
        if (valid)
            LoadControls(s, vmcb);
        s->GuestMode = true;
        if (!valid || !LoadGuest(s, vmcb))
        {
            Refuse();
            return;
        }
        SelectTranslations(s, vmcb, hostCr4, hostEfer);
        ModeChange.Update(_cpu);
        Begin(s, vmcb);
    }

    /// <summary>Whether all that VMRUN would load, but for what it always loads, is in the processor.</summary>
    private bool Lingers(Vmcb* v)
    {
        const VmcbClean Loaded = VmcbClean.All & ~(VmcbClean.Intercepts | VmcbClean.TaskPriority | VmcbClean.Cr2);
        return _lingering == v && Capabilities.Has(SvmFeatures.CleanBits) && (v->Clean & Loaded) == Loaded && ((v->Rflags ^ _lingeringFlags) & ~((ulong)Flags.Rf | Flags.RflagsStatus)) == 0;
    }

    /// <summary>Goes on with the guest whose state lingers.</summary>
    private void Reenter(CpuState* s, Vmcb* v)
    {
        s->GuestMode = true;
        s->GlobalInterruptsOff = false;
        if ((v->Clean & VmcbClean.Intercepts) == 0)
        {
            LoadIntercepts(s, v);
            ModeChange.Update(_cpu);
        }
        _virtualInterrupt = v->VirtualInterrupt;
        s->Cr2 = v->Cr2;
        s->Rax = v->Rax;
        s->Rsp = v->Rsp;
        s->Rip = s->Code64 ? v->Rip : (uint)v->Rip;
        s->StatusFlags = Flags.FromRflags(v->Rflags);
        LoadBoundary(s, v->Rflags, (v->InterruptShadow & 1) != 0);
        if (v->TlbControl != TlbControl.Nothing)
            FlushGuestTlb();
        Begin(s, v);
    }

    private void Begin(CpuState* s, Vmcb* vmcb)
    {
        InjectEvent(s, vmcb);
        if (_virtualInterrupt.Requested || s->NmiPending || s->SmiPending || s->InitPending || s->InterruptDeferred || _cpu.Bus.InterruptPending)
            _cpu.RequestAttention(Attention.Interrupt);
    }

    /// <summary>VMEXIT_INVALID: nothing but the exit is told in the VMCB.</summary>
    private void Refuse()
    {
        CpuState* s = _cpu.State;
        Counts.Count(SvmExitCode.Invalid);
        _vmcb->ExitCode = SvmExitCode.Invalid;
        _vmcb->ExitInfo1 = _vmcb->ExitInfo2 = 0;
        _vmcb->ExitIntInfo = default;
        ReturnToHost(s);
    }

    private void SaveHost(CpuState* s) => _host = new HostState
    {
        Es = *CpuState.Seg(s, Segment.Es), Cs = *CpuState.Seg(s, Segment.Cs), Ss = *CpuState.Seg(s, Segment.Ss), Ds = *CpuState.Seg(s, Segment.Ds),
        Gdtr = s->Gdtr, Idtr = s->Idtr, Efer = s->Efer, Cr0 = s->Cr0, Cr3 = s->Cr3, Cr4 = s->Cr4, Rflags = Flags.Rflags(s), Rip = s->Rip, Rsp = s->Rsp,
        Rax = s->Rax, Pat = s->Pat, DebugCtl = s->DebugCtl, LastBranches = s->LastBranches,
    };

    private void LoadControls(CpuState* s, Vmcb* v)
    {
        LoadIntercepts(s, v);
        _portMap = v->PortMap & ~0xFFFUL;
        _msrMap = v->MsrMap & ~0xFFFUL;
        _virtualInterrupt = v->VirtualInterrupt;
        _pauses = v->PauseFilterCount;
        _lastPause = s->Retired;
        _tscOffset = v->TscOffset;
        _tscRatio = TscRatio;
        if (!UsesNestedPaging(v))
            return;
        _nested.Begin(v->NestedCr3);
        _cpu.Nested = _nested;
        s->Pat = v->GuestPat;
    }

    private static void LoadIntercepts(CpuState* s, Vmcb* v)
    {
        for (int i = 0; i < Vmcb.InterceptWords; i++)
            s->Intercepts[i] = v->Intercepts[i];
    }

    /// <summary>False if the guest's directory pointers are not valid.</summary>
    private bool LoadGuest(CpuState* s, Vmcb* v)
    {
        s->Efer = v->Efer & ~Efer.Lma;
        s->Cr0 = (v->Cr0 & Cr0Defined) | Cr0.Et;
        if ((s->Efer & Efer.Lme) != 0 && (s->Cr0 & Cr0.Pg) != 0)
            s->Efer |= Efer.Lma;
        s->Cr2 = v->Cr2;
        s->Cr3 = v->Cr3;
        s->Cr4 = v->Cr4;
        *CpuState.Seg(s, Segment.Es) = Sanitized(v->Es);
        *CpuState.Seg(s, Segment.Cs) = Sanitized(v->Cs);
        *CpuState.Seg(s, Segment.Ss) = Sanitized(v->Ss);
        *CpuState.Seg(s, Segment.Ds) = Sanitized(v->Ds);
        s->Gdtr = Table(v->Gdtr);
        s->Idtr = Table(v->Idtr);
        s->Rax = v->Rax;
        s->Rsp = v->Rsp;
        bool code64 = s->LongMode && CpuState.Seg(s, Segment.Cs)->Long;
        s->Rip = code64 ? v->Rip : (uint)v->Rip;
        LoadFlags(s, v->Rflags, guestShadow: (v->InterruptShadow & 1) != 0);
        s->Cpl = !s->ProtectedMode ? (byte)0 : s->Virtual8086 ? (byte)3 : (byte)(v->Cpl & 3);
        s->Dr[6] = (v->Dr6 & DebugRegisters.Dr6Writable) | DebugRegisters.Dr6Fixed;
        _switchesBranches = (v->Virtualization & VmcbVirtualization.LastBranches) != 0 && Capabilities.Has(SvmFeatures.LbrVirtualization);
        if (_switchesBranches)
            (s->DebugCtl, s->LastBranches) = (v->DebugCtl & DebugRegisters.ControlWritable, v->LastBranches);
        LoadDr7(s, v->Dr7);
        s->GlobalInterruptsOff = false;
        s->EventInFlight = default;
        s->ForgetDerived();
        return (s->Cr0 & Cr0.Pg) == 0 || (s->Cr4 & Cr4.Pae) == 0 || s->LongMode || UsesNestedPaging(v) || DirectoryPointers.Load(_cpu, s->Cr3);
    }

    private void LoadFlags(CpuState* s, ulong rflags, bool guestShadow)
    {
        uint system = (uint)rflags & SystemFlagsDefined;
        // Virtual-8086 mode is one of protected legacy mode.
        if (!s->ProtectedMode || s->LongMode)
            system &= ~Flags.Vm;
        s->StatusFlags = Flags.FromRflags(rflags);
        s->SystemFlags = system | 2;
        if (!HasExternalHost)
            s->MonitorArmed = false;
        LoadBoundary(s, rflags, guestShadow);
    }

    private static void LoadBoundary(CpuState* s, ulong rflags, bool guestShadow)
    {
        s->StepArmed = false;
        DebugRegisters.ForgetTrap(s);
        InstructionBoundary.Clear(s);
        InstructionBoundary.SetResume(s, null, (rflags & Flags.Rf) != 0);
        if (guestShadow)
            s->Shadow = InterruptShadow.Sti;
    }

    private static void LoadDr7(CpuState* s, ulong value)
    {
        const ulong Enables = 0xFF;
        ulong before = s->Dr[7];
        s->Dr[7] = (value & DebugRegisters.Dr7Writable) | DebugRegisters.Dr7Fixed;
        if (((before | s->Dr[7]) & Enables) != 0)
            DebugRegisters.Changed(s);
        else
            FlagsChange.Watch(s);
    }

    private static SegmentRegister Sanitized(SegmentRegister r)
    {
        r.Attributes &= (SegmentAttributes)0xFFF;
        return r;
    }

    private static DescriptorTableRegister Table(in SegmentRegister r) => new() { Base = r.Base, Limit = r.Limit };

    private TranslationKey KeyNow(CpuState* s, uint asid, ulong hostCr4, ulong hostEfer)
    {
        const ulong Cr4Paging = Cr4.Pse | Cr4.Pae | Cr4.Pge | Cr4.La57 | Cr4.Pcide | Cr4.Smep | Cr4.Smap;
        bool nested = _cpu.Nested != null;
        return new TranslationKey(asid, nested, nested ? _vmcb->NestedCr3 : 0, hostCr4 & Cr4Paging, hostEfer & (Efer.Lma | Efer.Nxe),
            s->Cr0 & (Cr0.Pg | Cr0.Wp | Cr0.Pe), s->Cr3, s->Cr4 & Cr4Paging, s->Efer & (Efer.Lma | Efer.Nxe));
    }

    /// <summary>Takes the guest's half of the TLB into use, flushed unless it is of this guest.</summary>
    private void SelectTranslations(CpuState* s, Vmcb* v, ulong hostCr4, ulong hostEfer)
    {
        if (v->TlbControl == TlbControl.FlushAll)
            _cpu.FlushTlb(keepGlobal: false);
        _cpu.SelectTlb(guest: true);
        if (v->TlbControl == TlbControl.FlushAll || FlushesGuest(v->TlbControl) || KeyNow(s, v->Asid, hostCr4, hostEfer) != _translationKey)
            FlushGuestTlb();
    }

    private bool FlushesGuest(TlbControl control)
        => control is TlbControl.FlushGuest or TlbControl.FlushGuestNonGlobal && Capabilities.Has(SvmFeatures.FlushByAsid);

    private void FlushGuestTlb()
    {
        Counts.TlbFlushes++;
        _nested.Flush();
        _cpu.FlushTlb(keepGlobal: false);
    }

    /// <summary>Has the next VMRUN flush the guest's half.</summary>
    private void ForgetGuestTranslations() => _translationKey = default;

    /// <summary>INVLPGA: a page of an address space. Nested translations stay.</summary>
    public void InvalidatePage(ulong linear, uint asid)
    {
        bool guest = _cpu.State->GuestMode;
        if (asid == 0 && guest)
            ForgetHostPage(linear);
        else if (asid == 0 || (guest && asid == _vmcb->Asid))
            _cpu.FlushTlbPage(linear);
        else if (asid == _translationKey.Asid)
            ForgetGuestPage(linear);
    }

    private void ForgetGuestPage(ulong linear)
    {
        if (_lingering != null)
        {
            _cpu.FlushTlbPage(linear);
            return;
        }
        _cpu.SelectTlb(guest: true);
        _cpu.FlushTlbPage(linear);
        _cpu.SelectTlb(guest: false);
        ModeChange.Update(_cpu);
    }

    private void ForgetHostPage(ulong linear)
    {
        _cpu.SelectTlb(guest: false);
        _cpu.FlushTlbPage(linear);
        _cpu.SelectTlb(guest: true);
        ModeChange.Update(_cpu);
    }

    /// <summary>EVENTINJ: the event is delivered before the guest's first instruction; no intercept asks after it, but after faults in doing so.</summary>
    private void InjectEvent(CpuState* s, Vmcb* v)
    {
        VmcbEvent e = v->EventInjection;
        if (!e.IsValid)
            return;
        bool trap = e.Type == VmcbEventType.Exception && (Vector)e.Vector is Vector.Breakpoint or Vector.Overflow;
        bool software = e.Type == VmcbEventType.SoftwareInterrupt || trap;
        // What a software event returns to is told by nRIP.
        ulong returnRip = software && v->NextRip != 0 && Capabilities.Has(SvmFeatures.NextRip) ? v->NextRip : s->Rip;
        EventSource source = e.Type switch
        {
            VmcbEventType.Exception => trap ? EventSource.SoftwareException : EventSource.Exception,
            VmcbEventType.SoftwareInterrupt => EventSource.Software,
            VmcbEventType.Nmi => EventSource.Nmi,
            _ => EventSource.External,
        };
        byte vector = e.Type == VmcbEventType.Nmi ? (byte)Vector.Nmi : e.Vector;
        bool hasCode = e.Type == VmcbEventType.Exception && e.HasErrorCode;
        bool resume = e.Type == VmcbEventType.Exception && !trap && (Vector)e.Vector is not (Vector.Debug or Vector.DoubleFault or Vector.MachineCheck);
        InterruptDelivery.Deliver(s, null, new InterruptEvent(vector, source, returnRip, hasCode, e.ErrorCode, resume));
    }

    /// <summary>The #VMEXIT that <see cref="RaiseExit"/> asked for. False if the host cannot go on in the engine: it is not there, or the processor has shut down.</summary>
    public bool Leave()
    {
        CpuState* s = _cpu.State;
        s->Attended(Attention.VmExit);
        Counts.Count(_exitCode);
        Vmcb* v = _vmcb;
        v->FetchedCount = 0;
        if (_fetches)
            Fetch(s, v);
        SaveGuest(s, v);
        v->ExitCode = _exitCode;
        v->ExitInfo1 = _exitInfo1;
        v->ExitInfo2 = _exitInfo2;
        v->NextRip = _nextRip;
        v->ExitIntInfo = s->EventInFlight;
        v->EventInjection = default;
        _translationKey = KeyNow(s, v->Asid, _host.Cr4, _host.Efer);
        return ReturnToHost(s) && !HasExternalHost;
    }

    /// <summary>Has an external host back between two instructions without a #VMEXIT: time stands still for the guest.</summary>
    public void Freeze()
    {
        CpuState* s = _cpu.State;
        SaveGuest(s, _vmcb);
        // It has been delivered, and is not to be again.
        _vmcb->EventInjection = default;
        _translationKey = KeyNow(s, _vmcb->Asid, _host.Cr4, _host.Efer);
        ReturnToHost(s);
    }

    private void SaveGuest(CpuState* s, Vmcb* v)
    {
        v->Es = *CpuState.Seg(s, Segment.Es);
        v->Cs = *CpuState.Seg(s, Segment.Cs);
        v->Ss = *CpuState.Seg(s, Segment.Ss);
        v->Ds = *CpuState.Seg(s, Segment.Ds);
        v->Gdtr.Base = s->Gdtr.Base;
        v->Gdtr.Limit = s->Gdtr.Limit;
        v->Idtr.Base = s->Idtr.Base;
        v->Idtr.Limit = s->Idtr.Limit;
        v->Cpl = s->Cpl;
        v->Efer = s->Efer;
        v->Cr0 = s->Cr0;
        v->Cr2 = s->Cr2;
        v->Cr3 = s->Cr3;
        v->Cr4 = s->Cr4;
        v->Dr6 = s->Dr[6];
        v->Dr7 = s->Dr[7];
        v->Rflags = Flags.Rflags(s);
        v->Rip = s->Rip;
        v->Rsp = s->Rsp;
        v->Rax = s->Rax;
        if (_cpu.Nested != null)
            v->GuestPat = s->Pat;
        if (_switchesBranches)
            (v->DebugCtl, v->LastBranches) = (s->DebugCtl, s->LastBranches);
        v->VirtualInterrupt = _virtualInterrupt;
        v->InterruptShadow = InstructionBoundary.Shadow(s) != InterruptShadow.None ? 1u : 0;
    }

    /// <summary>The bytes at RIP, as many as can be read without a fault (15.8.4).</summary>
    private void Fetch(CpuState* s, Vmcb* v)
    {
        const int Most = 15;
        for (int i = 0; i < Most;)
        {
            ulong linear = s->Code64 ? s->Rip + (ulong)i : (uint)(CpuState.Seg(s, Segment.Cs)->Base + s->Rip + (ulong)i);
            if (!TryTranslateFetch(s, linear, out ulong physical))
                return;
            int end = Math.Min(Most, i + 0x1000 - (int)(linear & 0xFFF));
            _cpu.Memory.Read(physical, new Span<byte>(v->FetchedBytes + i, end - i));
            v->FetchedCount = (byte)(i = end);
        }
    }

    /// <summary>By the TLB, in which the instruction still is most of the time.</summary>
    private bool TryTranslateFetch(CpuState* s, ulong linear, out ulong physical)
    {
        TlbTranslation* t = _cpu.Tlb.Find(s->AccessMode, linear);
        if (t != null && (t->Permissions & PagePermissions.Fetch) != 0)
        {
            physical = t->PhysicalPage | (linear & 0xFFF);
            return true;
        }
        return PageWalker.Walk(_cpu, linear, s->AccessMode, PagePermissions.Fetch, update: false, out physical, out _, out _);
    }

    /// <summary>
    /// The host's state, with GIF clear. An external host needs none of it before the processor enters another guest.
    /// </summary>
    private bool ReturnToHost(CpuState* s)
    {
        // The hypervisor may keep code or page tables of its own in the page.
        _cpu.Memory.NotifyWrite((byte*)_vmcb, Vmcb.UsedSize);
        s->GuestMode = false;
        s->GlobalInterruptsOff = true;
        s->EventInFlight = default;
        s->ForgetDerived();
        s->Halted = false;
        s->Attended(Attention.Halt);
        if (HasExternalHost)
        {
            _lingering = _vmcb;
            _lingeringFlags = _vmcb->Rflags;
            _vmcb = null;
            return true;
        }
        _vmcb = null;
        return RestoreHost(s);
    }

    private bool RestoreHost(CpuState* s)
    {
        for (int i = 0; i < Vmcb.InterceptWords; i++)
            s->Intercepts[i] = 0;
        if (_cpu.Nested != null)
            s->Pat = _host.Pat;
        _cpu.Nested = null;

        *CpuState.Seg(s, Segment.Es) = _host.Es;
        *CpuState.Seg(s, Segment.Cs) = _host.Cs;
        *CpuState.Seg(s, Segment.Ss) = _host.Ss;
        *CpuState.Seg(s, Segment.Ds) = _host.Ds;
        s->Gdtr = _host.Gdtr;
        s->Idtr = _host.Idtr;
        s->Efer = _host.Efer;
        s->Cr0 = _host.Cr0 | Cr0.Pe;
        s->Cr3 = _host.Cr3;
        s->Cr4 = _host.Cr4;
        s->Rip = _host.Rip;
        s->Rsp = _host.Rsp;
        s->Rax = _host.Rax;
        s->Cpl = 0;
        LoadFlags(s, _host.Rflags & ~(ulong)Flags.Vm, guestShadow: false);
        if (_switchesBranches)
            (s->DebugCtl, s->LastBranches) = (_host.DebugCtl, _host.LastBranches);
        LoadDr7(s, Dr7AfterExit);
        // The trap behind a VMRUN that is single-stepped comes now that it has completed (15.5.1); it is no branch.
        if ((_host.Rflags & Flags.Tf) != 0 && (s->DebugCtl & DebugRegisters.BranchSingleStep) == 0)
            DebugRegisters.Trap(s, DebugRegisters.SingleStep);
        _cpu.SelectTlb(guest: false);
        ModeChange.Update(_cpu);
        bool pae = (s->Cr0 & Cr0.Pg) != 0 && (s->Cr4 & Cr4.Pae) != 0 && !s->LongMode;
        if (!pae || DirectoryPointers.Load(_cpu, s->Cr3))
            return true;
        ExceptionDelivery.Shutdown(_cpu);
        return false;
    }
}
