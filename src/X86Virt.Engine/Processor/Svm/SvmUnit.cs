namespace X86Virt.Engine.Processor;

/// <summary>
/// The part of a processor that has SVM: its registers, what VMRUN keeps while a guest runs, and the #VMEXIT under way (AMD volume 2, chapter 15).
/// </summary>
internal sealed unsafe partial class SvmUnit(Cpu cpu)
{
    private readonly Cpu _cpu = cpu;
    private readonly NestedPaging _nested = new(cpu);

    // What the guest runs with: its VMCB, in host memory, and what VMRUN took from it.
    private Vmcb* _vmcb;
    private ulong _portMap, _msrMap;
    private VirtualInterrupt _virtualInterrupt;
    private int _pauses;
    private long _lastPause;
    private ulong _tscOffset, _tscRatio;

    // The exit under way.
    private SvmExitCode _exitCode;
    private ulong _exitInfo1, _exitInfo2, _nextRip;
    private bool _fetches;

    /// <summary>What it can do.</summary>
    public SvmCapabilities Capabilities => _cpu.Model.Svm;

    /// <summary>Whether VMRUN takes a guest's nested paging into use; where there is none, its bit means nothing.</summary>
    public bool UsesNestedPaging(Vmcb* v) => v->HasNestedPaging && Capabilities.Has(SvmFeatures.NestedPaging);

    /// <summary>TSC_RATIO (C000_0104): 8 bits before the point and 32 behind it.</summary>
    public ulong TscRatio { get; set; } = SvmRegisters.TscRatioOne;

    /// <summary>VM_CR (C001_0114).</summary>
    public ulong VmCr { get; set; }

    /// <summary>VM_HSAVE_PA (C001_0117).</summary>
    public ulong HostSaveArea { get; set; }

    /// <summary>What SVM_KEY (C001_0118) was given.</summary>
    public ulong Key { get; set; }

    public SvmCounts Counts { get; } = new();

    public void Reset()
    {
        TscRatio = SvmRegisters.TscRatioOne;
        VmCr = HostSaveArea = Key = 0;
        _cpu.Memory.IgnoresA20Gate = false;
        _vmcb = _lingering = null;
        _cpu.Nested = null;
        ForgetGuestTranslations();
    }

    /// <summary>The time-stamp counter as the guest reads it.</summary>
    public ulong GuestTimeStamp(ulong timeStamp)
        => (_tscRatio == SvmRegisters.TscRatioOne ? timeStamp : (ulong)((UInt128)timeStamp * _tscRatio >> 32)) + _tscOffset;

    /// <summary>The guest may read the time-stamp counter, at the processor's own rate.</summary>
    public bool LeavesTimeStamp
        => _tscRatio == SvmRegisters.TscRatioOne && !Intercept.Has(_cpu.State, SvmExitCode.Rdtsc) && !Intercept.Has(_cpu.State, SvmExitCode.Rdtscp);

    /// <summary>CR8 of a guest: V_TPR, and the processor's own where it does not mask physical interrupts.</summary>
    public ulong TaskPriority
    {
        get => _virtualInterrupt.MasksPhysical ? _virtualInterrupt.TaskPriority : _cpu.Bus.TaskPriority;
        set
        {
            _virtualInterrupt.TaskPriority = value;
            if (!_virtualInterrupt.MasksPhysical)
                _cpu.Bus.TaskPriority = value;
            // A lower priority may let the virtual interrupt in.
            _cpu.RequestAttention(Attention.Interrupt);
        }
    }

    /// <summary>Has the dispatch loop leave guest mode, with RIP on <paramref name="op"/> (or where it is, for events).</summary>
    public void RaiseExit(Op* op, SvmExitCode code, ulong info1, ulong info2, ulong nextRip)
    {
        CpuState* s = _cpu.State;
        Fault.Rewind(s, op);
        (_exitCode, _exitInfo1, _exitInfo2, _fetches) = (code, Capabilities.ExitInfo1(code, info1), info2, false);
        _nextRip = Capabilities.Has(SvmFeatures.NextRip) ? nextRip : 0;
        s->Attended(Attention.Exception);
        s->Attend(Attention.VmExit);
    }

    /// <summary>Has the exit under way tell the bytes of the instruction, too.</summary>
    public void FetchForAssist() => _fetches = Capabilities.Has(SvmFeatures.DecodeAssists);

    /// <summary>#VMEXIT for the fault that the walk of nested page tables has met.</summary>
    public void RaiseNestedFault(Op* op)
    {
        RaiseExit(op, SvmExitCode.NestedPageFault, _nested.FaultCode, _nested.FaultAddress, 0);
        if ((_nested.FaultCode & (ulong)PageFaultCode.Fetch) == 0)
            FetchForAssist();
    }

    public bool InterceptsMsr(uint index, bool write)
    {
        uint number = index & 0x1FFF;
        ulong part = (index & ~0x1FFFu) switch
        {
            0 => 0,
            0xC000_0000 => 0x800,
            0xC001_0000 => 0x1000,
            _ => ulong.MaxValue,
        };
        if (part == ulong.MaxValue)
            return true;
        ulong bits = _cpu.Memory.Read(_msrMap + part + number / 4, 1);
        return (bits >> (int)(number % 4 * 2) & (write ? 2u : 1u)) != 0;
    }

    public bool InterceptsPort(ushort port, int size)
    {
        ulong at = _portMap + port / 8u;
        // Bytes are read one by one: the map may cross a page.
        ulong bits = _cpu.Memory.Read(at, 1) | _cpu.Memory.Read(at + 1, 1) << 8;
        return (bits >> (port & 7) & ((1u << size) - 1)) != 0;
    }

    /// <summary>Counts a PAUSE down (AMD volume 2, 15.14.4); one that is far behind the last starts anew.</summary>
    public bool PausedTooOften()
    {
        if (_vmcb->PauseFilterCount == 0 || !Capabilities.Has(SvmFeatures.PauseFilter))
            return true;
        long now = _cpu.State->Retired;
        if (_vmcb->PauseFilterThreshold != 0 && now - _lastPause > _vmcb->PauseFilterThreshold)
            _pauses = _vmcb->PauseFilterCount;
        _lastPause = now;
        return --_pauses < 0;
    }
}
