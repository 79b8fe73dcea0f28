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
    private bool _disposed;

    public Cpu(PhysicalMemory memory, IProcessorBus bus, ProcessorModel model)
    {
        Memory = memory;
        Bus = bus;
        Model = model;
        Handlers = new HandlerTable(model);
        State = (CpuState*)HostMemory.Allocate(CpuState.AllocationSize);
        _self = GCHandle.Alloc(this);
        Tlb = new Tlb((TlbEntry*)((byte*)State + CpuState.TlbOffset));
        PageTables = (PageTableFormat*)NativeMemory.Alloc(PageTableFormat.SizeOfAll);
        PageTableFormat.Describe(PageTables, PhysicalAddressBits, HasGigabytePages);
        memory.MapChanged += OnMapChanged;
        Reset();
    }

    public CpuState* State { get; }
    public PhysicalMemory Memory { get; }
    public IProcessorBus Bus { get; }
    public ProcessorModel Model { get; }
    public Tlb Tlb { get; }
    public CpuStatistics Statistics { get; } = new();

    /// <summary>Where a debugger wants execution to stop.</summary>
    public BreakpointSet Breakpoints { get; } = new();

    /// <summary>What the TLB is refilled from; null if it is the guest's page tables themselves.</summary>
    public ShadowPaging? Shadow { get; private set; }

    /// <summary>Every format of page tables, by <see cref="PageTableFormat.Current"/>.</summary>
    internal PageTableFormat* PageTables { get; }

    /// <summary>The exceptions raised last.</summary>
    public ExceptionHistory ExceptionHistory { get; } = new();

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
        ulong lookupKey = s->LookupKey, lookupModes = s->LookupModes[0], moreLookupModes = s->LookupModes[1];
        Attention requests = s->Attention & (Attention.Interrupt | Attention.Stop);
        bool first = s->Owner == 0;
        Statistics.Cpuids += s->CpuidCount;
        NativeMemory.Clear(s, CpuState.SizeInBytes);
        if (!first)
        {
            s->Deadline = deadline;
            s->Budget = budget;
            (s->LookupKey, s->LookupModes[0], s->LookupModes[1]) = (lookupKey, lookupModes, moreLookupModes);
            RequestAttention(requests);
        }
        s->Owner = GCHandle.ToIntPtr(_self);
        ProcessorReset.Apply(this);
        FlushTlb(keepGlobal: false);
        ModeChange.Update(this);
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

    /// <summary>Asks the engine to return at the next instruction boundary; callable from any thread.</summary>
    public void RequestAttention(Attention what) => Interlocked.Or(ref Unsafe.As<Attention, uint>(ref State->Attention), (uint)what);

    /// <summary>Takes back what any thread may request.</summary>
    internal void WithdrawAttention(Attention what) => Interlocked.And(ref Unsafe.As<Attention, uint>(ref State->Attention), ~(uint)what);

    /// <summary>Raises an NMI; callable from the thread that runs the processor.</summary>
    public void RaiseNmi()
    {
        State->NmiPending = true;
        RequestAttention(Attention.Interrupt);
    }

    /// <summary>Moves the retired-instruction count at which the engine returns to the run loop.</summary>
    public void SetDeadline(long retired)
    {
        State->Budget += retired - State->Deadline;
        State->Deadline = retired;
    }

    /// <summary>Drops translations (CR3, CR4, EFER and the like), all or all but global ones.</summary>
    public void FlushTlb(bool keepGlobal)
    {
        Tlb.Flush(keepGlobal);
        InvalidateLookups();
    }

    /// <summary>INVLPG.</summary>
    public void FlushTlbPage(ulong linear)
    {
        if (Tlb.FlushPage(linear) || CodeLookup.MayHavePage(State, linear))
            InvalidateLookups();
    }

    /// <summary>Makes engines look code up anew: what a linear address leads to may have changed.</summary>
    internal void InvalidateLookups() => CodeLookup.Invalidate(State);

    private void OnMapChanged()
    {
        Tlb.CloseAll();
        InvalidateLookups();
    }

    public void Dispose()
    {
        if (_disposed)
            return;
        _disposed = true;
        Memory.MapChanged -= OnMapChanged;
        Shadow?.Dispose();
        Tlb.Dispose();
        NativeMemory.Free(PageTables);
        Handlers.Dispose();
        _self.Free();
        HostMemory.Free((byte*)State, CpuState.AllocationSize);
    }
}
