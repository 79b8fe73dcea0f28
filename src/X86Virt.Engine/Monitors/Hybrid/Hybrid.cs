using X86Virt.Engine.Costs;
using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Monitors;

/// <summary>
/// Moves a running guest between binary translation and hardware assist, by what each costs (<see cref="HybridPolicy"/>). Both work on the machine's processor: the
/// one executes it, for the other it is the record that it loads the silicon from and saves it to. A change is made between two instructions, and what either has of
/// translations and page tables stays for when it is its turn again.
/// </summary>
internal sealed unsafe class Hybrid : ExecutionEngine
{
    /// <summary>Changes that are remembered.</summary>
    private const int MostRemembered = 4096;

    /// <summary>Changes before a guest is run, an even number.</summary>
    private const int WarmUps = 4;

    private readonly HybridPolicy _policy;
    private readonly HostClock _clock = new();
    private readonly long[] _before = new long[EventMix.Size], _now = new long[EventMix.Size], _events = new long[EventMix.Size];
    private readonly Queue<Change> _changes = new();
    private long _windowEnd, _windowStart, _switches, _ticks;
    private bool _disposed;

    private readonly record struct Change(long Number, long Retired, CostTechnique From, HybridReason Reason, long Ticks);

    /// <param name="guest">The machine's processor.</param>
    /// <param name="hardware">The hardware VMM, on that processor.</param>
    /// <param name="software">The software VMM, likewise.</param>
    /// <param name="policy">When to look at what the guest costs, and when to change.</param>
    public Hybrid(Cpu guest, HardwareAssist hardware, ExecutionEngine software, HybridPolicy policy) : base(guest)
    {
        Hardware = hardware;
        Software = software;
        _policy = policy;
        _windowStart = guest.State->Retired;
        LimitWindow();
        // .NET compiles what a change takes at the first one and has its calls of interfaces ready at the second, for which no guest is to wait.
        for (int i = 0; i < WarmUps; i++)
            Move();
    }

    public override string Name => "Hybrid";
    public HardwareAssist Hardware { get; }
    public ExecutionEngine Software { get; }
    public CostTechnique Technique { get; private set; } = CostTechnique.SoftwareVmm;
    private long SoftwareInstructions { get; set; }
    private long HardwareInstructions { get; set; }
    private ExecutionEngine Active => Technique == CostTechnique.SoftwareVmm ? Software : Hardware;

    public override void Run()
    {
        CpuState* s = Cpu.State;
        bool ended;
        do
        {
            Cpu.LimitDeadline(_windowEnd);
            Active.Run();
            Cpu.LiftDeadline();
            ended = TryEndWindow();
        }
        while (ended && s->Budget > 0 && Cpu.Breakpoints.Reached == null);
    }

    public override bool Step()
    {
        bool executed = Active.Step();
        TryEndWindow();
        return executed;
    }

    /// <summary>At the end of a window: what did it cost, and is the other technique to be taken?</summary>
    private bool TryEndWindow()
    {
        long retired = Cpu.State->Retired;
        if (retired < _windowEnd && Hardware.ExitsLeft > 0 && Cpu.TranslationsLeft > 0)
            return false;
        CountWindow(_now, _events);
        _now.CopyTo(_before);
        long instructions = retired - _windowStart;
        if (Technique == CostTechnique.SoftwareVmm)
            SoftwareInstructions += instructions;
        else
            HardwareInstructions += instructions;
        if (_policy.EndWindow(_events, Technique, instructions))
            ChangeTechnique();
        _windowStart = retired;
        LimitWindow();
        return true;
    }

    private void LimitWindow()
    {
        _windowEnd = _windowStart + _policy.Window;
        Hardware.ExitsLeft = HybridPolicy.Exits;
        Cpu.TranslationsLeft = HybridPolicy.Translations;
    }

    /// <summary>What has been counted of each event, and how much of it since the window began.</summary>
    private void CountWindow(Span<long> totals, Span<long> events)
    {
        Cpu.CollectCounts();
        Hardware.CollectCounts();
        EventMix.Read(Cpu.Statistics, Cpu.State->Retired, totals);
        for (int e = 0; e < totals.Length; e++)
            events[e] = totals[e] - _before[e];
    }

    private void ChangeTechnique()
    {
        long started = _clock.Now;
        CostTechnique from = Technique;
        Move();
        HybridReason reason = _policy.Changed();
        long ticks = _clock.Now - started;
        _ticks += ticks;
        if (_changes.Count == MostRemembered)
            _changes.Dequeue();
        _changes.Enqueue(new Change(++_switches, Cpu.State->Retired, from, reason, ticks));
    }

    private void Move()
    {
        Technique = Other(Technique);
        if (Technique == CostTechnique.HardwareVmm)
            Hardware.TakeOver();
        else
            Hardware.HandOver();
    }

    /// <summary>The last changes, the oldest first.</summary>
    public IReadOnlyList<HybridSwitch> History(string machine)
        => [.. _changes.Select(c => new HybridSwitch(machine, c.Number, c.Retired, c.From, Other(c.From), c.Reason.Loss, c.Reason.ToString(), c.Ticks * _clock.NanosecondsPerTick))];

    /// <summary>What the run has come to so far, the window that has not ended included.</summary>
    public HybridSummary Summary(string machine)
    {
        Span<long> totals = stackalloc long[EventMix.Size], events = stackalloc long[EventMix.Size];
        CountWindow(totals, events);
        (double software, double hardware) = _policy.CostOf(events);
        long instructions = Cpu.State->Retired - _windowStart;
        bool translates = Technique == CostTechnique.SoftwareVmm;
        return new(machine, _policy.Profile.Name, Technique, _switches, SoftwareInstructions + (translates ? instructions : 0), HardwareInstructions + (translates ? 0 : instructions),
            _policy.Cycles + (translates ? software : hardware), _policy.SoftwareCycles + software, _policy.HardwareCycles + hardware,
            _switches == 0 ? 0 : _ticks * _clock.NanosecondsPerTick / _switches);
    }

    private static CostTechnique Other(CostTechnique technique) => technique == CostTechnique.SoftwareVmm ? CostTechnique.HardwareVmm : CostTechnique.SoftwareVmm;

    public override void ForgetCode()
    {
        Software.ForgetCode();
        Hardware.ForgetCode();
    }

    protected override void Dispose(bool disposing)
    {
        if (!_disposed)
        {
            _disposed = true;
            Software.Dispose();
            Hardware.Dispose();
        }
        base.Dispose(disposing);
    }
}
