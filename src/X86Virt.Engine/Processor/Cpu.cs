using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using X86Virt.Engine.Memory;

namespace X86Virt.Engine.Processor;

/// <summary>
/// One virtual processor: its state and everything that hangs off it. Engines execute it; handlers find it from their state pointer
/// with <see cref="Of"/> in slow paths.
/// </summary>
public sealed unsafe class Cpu : IDisposable
{
    private readonly GCHandle _self;
    private readonly Tlb _hostTlb;
    private readonly Tlb? _guestTlb;
    private readonly Cpu? _record;
    private bool _disposed;

    public Cpu(PhysicalMemory memory, IProcessorBus bus, ProcessorModel model) : this(memory, bus, model, null)
    {
    }

    /// <param name="memory">The physical address space.</param>
    /// <param name="bus">The board.</param>
    /// <param name="model">What it is.</param>
    /// <param name="records">A processor whose statistics, exceptions and breakpoints are this one's, too: a monitor's record of what runs here.</param>
    internal Cpu(PhysicalMemory memory, IProcessorBus bus, ProcessorModel model, Cpu? records)
    {
        Statistics = records?.Statistics ?? new CpuStatistics();
        ExceptionHistory = records?.ExceptionHistory ?? new ExceptionHistory();
        Breakpoints = records?.Breakpoints ?? new BreakpointSet();
        _record = records;
        Memory = memory;
        Bus = bus;
        Model = model;
        // A monitor's guest has no instructions that its own processor lacks; the monitor itself is not executed here.
        Handlers = new HandlerTable(records?.Model ?? model);
        State = (CpuState*)HostMemory.Allocate(CpuState.AllocationSize);
        _self = GCHandle.Alloc(this);
        Tlb = _hostTlb = new Tlb((TlbEntry*)((byte*)State + CpuState.TlbOffset), State->AccessGroups);
        if (model.Has(ProcessorFeature.Svm))
        {
            _guestTlb = new Tlb((TlbEntry*)((byte*)State + CpuState.TlbOffset + Tlb.SizeInBytes), State->AccessGroups);
            Svm = new SvmUnit(this) { HasExternalHost = records != null };
        }
        PageTables = (PageTableFormat*)NativeMemory.Alloc(PageTableFormat.SizeOfAll);
        PageTableFormat.Describe(PageTables, PhysicalAddressBits, HasGigabytePages, ignoresTableGlobal: model.IsIntel);
        memory.MapChanged += OnMapChanged;
        Reset();
    }

    public CpuState* State { get; }
    public PhysicalMemory Memory { get; }
    public IProcessorBus Bus { get; }
    public ProcessorModel Model { get; }

    /// <summary>The TLB in force: in guest mode (SVM) it is another one.</summary>
    public Tlb Tlb { get; private set; }

    /// <summary>Null without SVM.</summary>
    internal SvmUnit? Svm { get; }

    /// <summary>The TLB of guest mode, whether it is in force or not.</summary>
    internal Tlb GuestTlb => _guestTlb!;

    /// <summary>The TLB out of guest mode.</summary>
    internal Tlb HostTlb => _hostTlb;

    /// <summary>Null unless a guest runs with nested paging.</summary>
    internal NestedPaging? Nested { get; set; }
    public CpuStatistics Statistics { get; }

    /// <summary>Where a debugger wants execution to stop.</summary>
    public BreakpointSet Breakpoints { get; }

    /// <summary>What the TLB is refilled from; null if it is the guest's page tables themselves.</summary>
    public ShadowPaging? Shadow { get; private set; }

    /// <summary>Every format of page tables, by <see cref="PageTableFormat.Current"/>.</summary>
    internal PageTableFormat* PageTables { get; }

    /// <summary>The exceptions raised last.</summary>
    public ExceptionHistory ExceptionHistory { get; }

    /// <summary>Binds instructions to handlers.</summary>
    internal HandlerTable Handlers { get; }

    public int PhysicalAddressBits => Model.PhysicalAddressBits;
    public bool HasGigabytePages => Model.HasGigabytePages;

    /// <summary>The processor that owns a state.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Cpu Of(CpuState* s) => Unsafe.As<Cpu>(GCHandle.FromIntPtr(s->Owner).Target!);

    /// <summary>RESET (AMD volume 2, 14.1.3): real mode at F000:FFF0. The retired-instruction counter goes on.</summary>
    public void Reset()
    {
        CpuState* s = State;
        long deadline = s->Deadline, budget = s->Budget;
        ulong lookupKey = s->LookupKey;
        ulong* lookupModes = stackalloc ulong[CodeLookup.Modes / 64];
        new Span<ulong>(s->LookupModes, CodeLookup.Modes / 64).CopyTo(new Span<ulong>(lookupModes, CodeLookup.Modes / 64));
        Attention requests = s->Attention & (Attention.Interrupt | Attention.Stop);
        bool first = s->Owner == 0;
        CollectCounts();
        NativeMemory.Clear(s, CpuState.SizeInBytes);
        if (!first)
        {
            s->Deadline = deadline;
            s->Budget = budget;
            s->LookupKey = lookupKey;
            new Span<ulong>(lookupModes, CodeLookup.Modes / 64).CopyTo(new Span<ulong>(s->LookupModes, CodeLookup.Modes / 64));
            RequestAttention(requests);
        }
        s->Owner = GCHandle.ToIntPtr(_self);
        ProcessorReset.Apply(this);
        Svm?.Reset();
        SelectTlb(guest: false);
        FlushTlb(keepGlobal: false);
        ModeChange.Update(this);
    }

    /// <summary>Moves what was counted in the state, by translated code above all, into the statistics.</summary>
    internal void CollectCounts()
    {
        CpuState* s = State;
        Statistics.Cpuids += s->CpuidCount;
        Statistics.Syscalls += s->SystemCalls.Count;
        Statistics.TimeStampReads += s->TimeStampCount;
        Statistics.ControlRegisterReads += s->ControlReadCount;
        Statistics.IndirectBranches += s->IndirectBranchCount;
        (s->CpuidCount, s->SystemCalls.Count, s->TimeStampCount, s->ControlReadCount, s->IndirectBranchCount) = (0, 0, 0, 0, 0);
    }

    /// <summary>Linear address of the next instruction.</summary>
    public ulong LinearRip => State->Code64 ? State->Rip : (uint)(CpuState.Seg(State, Segment.Cs)->Base + State->Rip);

    /// <summary>Whether a breakpoint has the engine return before the next instruction.</summary>
    internal bool StopsAtBreakpoint() => Breakpoints.Any && Breakpoints.Stops(LinearRip, State->Retired);

    /// <summary>Chooses what the TLB is refilled from, at any instruction boundary, and how many shadow tables are kept at most.</summary>
    public void UsePaging(PagingKind kind, int shadowTables = ShadowPaging.DefaultTables)
    {
        Shadow?.Dispose();
        Shadow = kind == PagingKind.Shadow ? new ShadowPaging(this, shadowTables) : null;
    }

    /// <summary>The processor that executes this one's code, where that is another (a monitor's); it is asked for attention along with this one.</summary>
    internal Cpu? Silicon { get; set; }

    /// <summary>Asks the engine to return at the next instruction boundary; callable from any thread.</summary>
    public void RequestAttention(Attention what)
    {
        Interlocked.Or(ref Unsafe.As<Attention, uint>(ref State->Attention), (uint)what);
        Silicon?.RequestAttention(what);
    }

    /// <summary>Takes back what any thread may request.</summary>
    internal void WithdrawAttention(Attention what)
    {
        Interlocked.And(ref Unsafe.As<Attention, uint>(ref State->Attention), ~(uint)what);
        Silicon?.WithdrawAttention(what);
    }

    /// <summary>Raises an NMI; callable from the thread that runs the processor.</summary>
    public void RaiseNmi()
    {
        State->NmiPending = true;
        RequestAttention(Attention.Interrupt);
    }

    /// <summary>An INIT or SMI message waits to be accepted, on a processor that has SVM; callable from the thread that runs it.</summary>
    internal void RaiseSignal(bool init)
    {
        if (init)
            State->InitPending = true;
        else
            State->SmiPending = true;
        RequestAttention(Attention.Interrupt);
    }

    /// <summary>Guest instructions that are translated at most until an engine above this one wants to be asked; of code that is translated for a monitor's sake, as <see cref="CpuStatistics.TranslatedInstructions"/> is.</summary>
    internal long TranslationsLeft { get; set; } = long.MaxValue;

    /// <summary>Kernel code was translated, so many instructions of it.</summary>
    internal void CountTranslated(int instructions)
    {
        Statistics.TranslatedInstructions += instructions;
        TranslationsLeft -= instructions;
    }

    private long _runUntil;

    /// <summary>Moves the retired-instruction count at which the engine returns to the run loop.</summary>
    public void SetDeadline(long retired)
    {
        _runUntil = retired;
        State->Budget += retired - State->Deadline;
        State->Deadline = retired;
    }

    /// <summary>Moves it to an earlier one, if it is.</summary>
    internal void BringDeadlineForward(long retired)
    {
        long until = Math.Min(_runUntil, retired);
        SetDeadline(Math.Min(State->Deadline, retired));
        _runUntil = until;
    }

    /// <summary>Has an engine stop earlier for an engine above it, until <see cref="LiftDeadline"/>.</summary>
    internal void LimitDeadline(long retired)
    {
        long until = State->Deadline;
        SetDeadline(Math.Min(until, retired));
        _runUntil = until;
    }

    /// <summary>The deadline as it is without a limit.</summary>
    internal void LiftDeadline() => SetDeadline(_runUntil);

    /// <summary>How pages are marked that code was taken from for this processor.</summary>
    internal PageTracking CodeTracking => _record == null ? PageTracking.Code : PageTracking.SiliconCode;

    /// <summary>Told of what is dropped from the TLB, by whoever keeps another: the linear address of a page, or null for all.</summary>
    internal Action<ulong?>? TranslationsDropped { get; set; }

    /// <summary>Drops translations (CR3, CR4, EFER and the like), all or all but global ones.</summary>
    public void FlushTlb(bool keepGlobal)
    {
        Tlb.Flush(keepGlobal);
        TranslationsDropped?.Invoke(null);
        if (keepGlobal)
            CodeLookup.InvalidateLocal(State);
        else
            InvalidateLookups();
    }

    /// <summary>Drops every translation, in guest mode and out of it.</summary>
    internal void FlushTlbs()
    {
        if (_guestTlb != null)
            (Tlb == _guestTlb ? _hostTlb : _guestTlb).Flush(keepGlobal: false);
        FlushTlb(keepGlobal: false);
    }

    /// <summary>INVLPG.</summary>
    public void FlushTlbPage(ulong linear)
    {
        TranslationsDropped?.Invoke(linear);
        if (Tlb.FlushPage(linear) || CodeLookup.MayHavePage(State, linear))
            InvalidateLookups();
    }

    /// <summary>Makes engines look code up anew: what a linear address leads to may have changed.</summary>
    internal void InvalidateLookups() => CodeLookup.Invalidate(State);

    /// <summary>Takes the host's or the guest's TLB into use; <see cref="ModeChange"/> must follow.</summary>
    internal void SelectTlb(bool guest)
    {
        Tlb = guest ? _guestTlb! : _hostTlb;
        State->Tlbs = Tlb.Of(AccessMode.Supervisor);
    }

    /// <summary>Sends every access through the slow path once, in guest mode and out of it.</summary>
    internal void CloseTlbs()
    {
        _hostTlb.CloseAll();
        _guestTlb?.CloseAll();
    }

    /// <summary>Makes stores to a page of host memory take the slow path from now on: a monitor's record of a processor and the silicon store to the same memory.</summary>
    internal void CloseWrites(byte* hostPage)
    {
        CloseOwnWrites(hostPage);
        _record?.CloseOwnWrites(hostPage);
        Silicon?.CloseOwnWrites(hostPage);
    }

    private void CloseOwnWrites(byte* hostPage)
    {
        _hostTlb.CloseWrites(hostPage);
        _guestTlb?.CloseWrites(hostPage);
    }

    /// <summary>The time-stamp counter as software reads it.</summary>
    internal ulong TimeStamp
    {
        get
        {
            ulong own = Bus.TimeStamp + State->TscOffset;
            return State->GuestMode ? Svm!.GuestTimeStamp(own) : own;
        }
    }

    /// <summary>CR8.</summary>
    internal ulong TaskPriority
    {
        get => State->GuestMode ? Svm!.TaskPriority : Bus.TaskPriority;
        set
        {
            if (State->GuestMode)
                Svm!.TaskPriority = value;
            else
                Bus.TaskPriority = value;
        }
    }

    /// <summary>Interrupts of the board are let through: RFLAGS.IF (the host's, where a guest masks only virtual ones) and GIF.</summary>
    internal bool AllowsInterrupts
        => !State->GlobalInterruptsOff
            && (State->GuestMode && Svm!.MasksPhysicalInterrupts ? Svm!.HostAllowsInterrupts : (State->SystemFlags & Flags.If) != 0);

    private void OnMapChanged()
    {
        CloseTlbs();
        InvalidateLookups();
    }

    public void Dispose()
    {
        if (_disposed)
            return;
        _disposed = true;
        Memory.MapChanged -= OnMapChanged;
        Shadow?.Dispose();
        _hostTlb.Dispose();
        _guestTlb?.Dispose();
        NativeMemory.Free(PageTables);
        Handlers.Dispose();
        _self.Free();
        HostMemory.Free((byte*)State, CpuState.AllocationSize);
    }
}
