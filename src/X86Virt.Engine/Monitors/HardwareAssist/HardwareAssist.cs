using X86Virt.Engine.Memory;
using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Monitors;

/// <summary>
/// The hardware VMM: a hypervisor against the architecture of AMD's SVM (AMD volume 2, chapter 15). It keeps a VMCB in host-physical memory, runs the guest by VMRUN
/// on virtual silicon that has SVM, and sees to every #VMEXIT. The machine's processor is its record of the guest's, exact whenever the engine does not run.
/// </summary>
internal sealed unsafe partial class HardwareAssist : ExecutionEngine
{
    private const uint Asid = 1, NestedAsid = 2;
    private const int TaskPriorityRegister = 8;

    private readonly PhysicalMemory _hostMemory;
    private readonly MonitorMemory _memory;
    private readonly HostBus _bus;
    private readonly Cpu _silicon;
    private readonly SvmUnit _svm;
    private readonly ExecutionEngine _engine;
    private readonly Vmcb* _vmcb;
    private readonly PermissionMaps _maps;
    private readonly GuestContext _context;
    private readonly InstructionEmulator _emulator;
    private readonly MemoryMoves _moves;
    private readonly PagingLevels _paging;
    private bool _disposed;

    /// <param name="guest">The machine's processor.</param>
    /// <param name="paging">Nested or Shadow.</param>
    /// <param name="shadowTables">The most shadow tables kept.</param>
    /// <param name="generation">What the silicon has.</param>
    /// <param name="createEngine">Makes the engine that executes the silicon's code.</param>
    public HardwareAssist(Cpu guest, PagingKind paging, int shadowTables, ProcessorGeneration generation, Func<Cpu, ExecutionEngine> createEngine) : base(guest)
    {
        _memory = new MonitorMemory(guest.Memory);
        _hostMemory = guest.Memory.MapBlock(_memory.GuestBase);
        _bus = new HostBus(guest);
        _silicon = new Cpu(_hostMemory, _bus, guest.Model.ForMonitor(needsPae: paging == PagingKind.Shadow, generation), guest);
        _bus.Silicon = _silicon;
        _svm = _silicon.Svm!;
        _engine = createEngine(_silicon);

        _vmcb = (Vmcb*)_memory.At(_memory.Allocate(1));
        SetUpHost(_memory.Allocate(1));
        PermissionMaps maps = _maps = new PermissionMaps(_memory);
        SetUpControls(maps);
        GuestPaging own;
        GuestPaging? nested = null;
        if (paging == PagingKind.Shadow)
        {
            guest.UsePaging(PagingKind.Shadow, shadowTables);
            var shadow = new ShadowPageTables(guest, _memory);
            own = new ShadowGuestPaging(guest, _silicon, shadow);
            if (guest.Svm != null)
                nested = new VirtualTlbPaging(guest, _silicon, _memory, shadow);
        }
        else
        {
            own = new NestedGuestPaging(new NestedPageTables(guest.Memory, _memory, new TablePages(_memory), _silicon.HasGigabytePages ? 3 : 2));
            if (guest.Svm != null)
                nested = new CombinedGuestPaging(guest, new NestedPageTables(guest.Memory, _memory, new TablePages(_memory), largestLevel: 1));
        }
        own.SetUp(_vmcb, maps);
        _paging = new PagingLevels(guest, own, nested);
        if (guest.Svm != null)
            _nestedMaps = new PermissionMaps(_memory);
        _emulator = new InstructionEmulator(guest, own);
        _moves = new MemoryMoves(guest, _silicon, _vmcb);
        _context = new GuestContext(guest, _silicon, _paging, _vmcb);
        Exits = new ExitLog(_silicon);
        Intercepts = new UserIntercepts(maps);
        guest.Silicon = _silicon;
    }

    public override string Name => "HardwareAssist";

    /// <summary>The engine that executes the silicon's code.</summary>
    public ExecutionEngine Execution => _engine;

    /// <summary>What the guest was left for.</summary>
    public ExitLog Exits { get; }

    /// <summary>The guest's own, whatever runs.</summary>
    public GuestPaging Paging => _paging.Own;

    /// <summary>Exits until an engine above this one wants to be asked.</summary>
    public long ExitsLeft { get; set; } = long.MaxValue;

    /// <summary>The hypervisor's own mode: 64-bit, with paging, as nested paging takes its format from it; interrupts on, as they are to leave the guest.</summary>
    private void SetUpHost(ulong tables)
    {
        CpuState* s = _silicon.State;
        s->Cr0 = Cr0.Pe | Cr0.Pg | Cr0.Wp | Cr0.Ne | Cr0.Et;
        s->Cr3 = tables;
        s->Cr4 = Cr4.Pae;
        s->Efer = Efer.Lme | Efer.Lma | Efer.Nxe | Efer.Svme;
        const SegmentAttributes Used = SegmentAttributes.Present | SegmentAttributes.CodeOrData | SegmentAttributes.Writable | SegmentAttributes.Accessed;
        var data = new SegmentRegister { Selector = 0x10, Attributes = Used | SegmentAttributes.Big, Limit = uint.MaxValue };
        *CpuState.Seg(s, Segment.Cs) = new SegmentRegister { Selector = 8, Attributes = Used | SegmentAttributes.Code | SegmentAttributes.Long, Limit = uint.MaxValue };
        *CpuState.Seg(s, Segment.Ds) = *CpuState.Seg(s, Segment.Es) = *CpuState.Seg(s, Segment.Ss) = data;
        s->SystemFlags = Flags.If | 2;
        s->Cpl = 0;
        s->ForgetDerived();
        ModeChange.Update(_silicon);
    }

    /// <summary>The fewest intercepts that keep the guest to itself.</summary>
    private void SetUpControls(PermissionMaps maps)
    {
        Vmcb* v = _vmcb;
        v->Asid = Asid;
        v->PortMap = maps.PortMap;
        v->MsrMap = maps.MsrMap;
        v->VirtualInterrupt = new VirtualInterrupt { MasksPhysical = true };
        ReadOnlySpan<SvmExitCode> needed =
        [
            SvmExitCode.Intr, SvmExitCode.Nmi, SvmExitCode.Shutdown, SvmExitCode.Port, SvmExitCode.Msr, SvmExitCode.Hlt,
            // What would tell of the silicon, or hand it over: SVM is the guest's only as far as its processor has it.
            SvmExitCode.Cpuid, SvmExitCode.Vmrun, SvmExitCode.Vmload, SvmExitCode.Vmsave, SvmExitCode.Vmmcall, SvmExitCode.Stgi, SvmExitCode.Clgi,
            SvmExitCode.Skinit, SvmExitCode.Invlpga,
            // It would drop what caches hold of the host's memory.
            SvmExitCode.Invd,
            // The exit of an intercepted #DB, or of a fault in its delivery, does not tell it from a trap.
            SvmExitCode.Icebp,
        ];
        foreach (SvmExitCode code in needed)
            v->SetIntercept(code, true);
    }

    public override void Run()
    {
        if (!CanRun() || (MustEmulate && !EmulateMode()))
            return;
        BeginRun();
        bool goOn = true;
        while (goOn)
        {
            EnterGuest();
            _engine.Run();
            goOn = IsOutside ? HandleExit() && MayGoOn() : Freeze();
            if (goOn && MustEmulate)
            {
                if (!EmulateMode())
                    return;
                BeginRun();
            }
        }
        _context.Save();
    }

    public override bool Step()
    {
        if (!CanRun())
            return false;
        if (MustEmulate)
            return EmulateStep();
        bool executed = false, goOn = true;
        _steps = true;
        BeginRun();
        while (goOn && (!executed || _vmcb->EventInjection.IsValid))
        {
            _completed = false;
            EnterGuest();
            bool faulted = false;
            if (!executed)
            {
                executed = _engine.Step() && (_silicon.State->Attention & Attention.VmExit) == 0;
                faulted = (_silicon.State->Attention & Attention.Exception) != 0;
            }
            // The fault of the instruction is delivered along with it.
            if (!IsOutside)
                EventDelivery.Settle(_silicon);
            bool exits = IsOutside;
            goOn = exits ? HandleExit() : Freeze();
            // A hidden page fault is nothing that the guest has done; one in delivering its fault has that injected.
            executed = _completed || (executed && !(faulted && exits && !_vmcb->EventInjection.IsValid));
        }
        _steps = false;
        _context.Save();
        return executed;
    }

    /// <summary>The guest was run by another engine meanwhile, and is to be by this one: what the silicon's TLB has may be outdated.</summary>
    public void TakeOver()
    {
        _paging.TakeOver();
        _context.Load();
    }

    /// <summary>The guest is to be run by another engine, on the machine's processor.</summary>
    public void HandOver()
    {
        _paging.HandOver();
        if (_paging.Own.ChangesUnseen)
            Cpu.FlushTlbs();
        Cpu.RequestAttention(Attention.Interrupt);
    }

    /// <summary>Moves what the silicon has counted into the statistics.</summary>
    public void CollectCounts() => _silicon.CollectCounts();

    public override void ForgetCode() => _engine.ForgetCode();

    /// <summary>A halted guest waits for what wakes it; one that has shut down, for a reset.</summary>
    private bool CanRun()
    {
        CpuState* g = Cpu.State;
        if (g->ShutDown)
            return false;
        _bus.TakeTime();
        Cpu.WithdrawAttention(Attention.Interrupt);
        if (!g->Halted)
            return true;
        if (g->GuestMode || HasSignal)
            return TryWake();
        if (!(g->NmiPending && !g->NmiBlocked && !g->GlobalInterruptsOff) && !(Cpu.Bus.InterruptPending && Cpu.AllowsInterrupts))
            return false;
        g->Halted = false;
        g->Attended(Attention.Halt);
        return true;
    }

    private void BeginRun()
    {
        // There may be another interrupt, or none, since the guest was left.
        SelectLevel();
        // Whoever else executed the guest may have left it in an NMI's handler.
        _vmcb->SetIntercept(SvmExitCode.Iret, Cpu.State->NmiBlocked);
        _context.Load();
    }

    private bool IsOutside => !_silicon.State->GuestMode;

    private void EnterGuest()
    {
        if (Cpu.State->GuestMode != _nested)
            SelectLevel();
        _paging.Current.Enter(_vmcb);
        // An interrupt may wait for the guest to lower its priority.
        _vmcb->SetIntercept(SvmExitCode.Cr0Write + TaskPriorityRegister, _vmcb->VirtualInterrupt.TaskPriority != 0 || _nested);
        if (Cpu.Svm != null)
            PrepareHypervisor();
        ApplyUserIntercepts();
        if (_vmcb->TlbControl == TlbControl.FlushGuest && !_svm.Capabilities.Has(SvmFeatures.FlushByAsid))
            _vmcb->TlbControl = TlbControl.FlushAll;
        _svm.Enter(_vmcb);
        _vmcb->Clean = VmcbClean.All;
        Intercepts.Withdraw(_vmcb);
        if (_nested)
            WithdrawNestedIntercepts();
        if (IsOutside)
            throw new InvalidOperationException("The silicon has refused the monitor's VMCB.");
    }

    /// <summary>The deadline has come, or somebody wants the machine to hold still; false.</summary>
    private bool Freeze()
    {
        CpuState* s = _silicon.State;
        bool waits = s->Halted;
        _svm.Freeze();
        _bus.ShareTime();
        // MWAIT is the guest's own.
        if (waits)
            Halt();
        return false;
    }

    /// <summary>Whether the guest can be entered again at once. An event to be injected goes first: it belongs to the exit.</summary>
    private bool MayGoOn()
    {
        CpuState* g = Cpu.State;
        return !g->Halted && !g->ShutDown && (_vmcb->EventInjection.IsValid || (_silicon.State->Budget > 0 && ExitsLeft > 0 && (_silicon.State->Attention & Attention.Stop) == 0));
    }

    private void Halt()
    {
        Cpu.State->Halted = true;
        Cpu.State->Attend(Attention.Halt);
    }

    protected override void Dispose(bool disposing)
    {
        if (!_disposed)
        {
            _disposed = true;
            Cpu.Silicon = null;
            _engine.Dispose();
            _emulator.Dispose();
            _clusters?.Dispose();
            _paging.Dispose();
            _silicon.Dispose();
            _hostMemory.Dispose();
        }
        base.Dispose(disposing);
    }
}
