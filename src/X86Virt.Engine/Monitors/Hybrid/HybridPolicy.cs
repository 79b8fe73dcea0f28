using System.Globalization;
using X86Virt.Engine.Costs;

namespace X86Virt.Engine.Monitors;

/// <summary>
/// Decides when to change techniques: what the one in force has cost more than the other would have is added up, never below zero, and when it comes to more than
/// the change costs, twice over, the change is made. A guest that has cost so much too much may well go on so; if it does not, little more has been lost than was
/// already. All is counts times prices: the same run makes the same changes.
/// </summary>
internal class HybridPolicy
{
    /// <summary>Fields of the VMCB that are moved when the guest is: its state-save area's, once.</summary>
    private const int FieldsMoved = 50;

    /// <summary>Of what a change costs, how much must have been lost before: hysteresis.</summary>
    private const double Threshold = 2;

    /// <summary>Instructions between two looks: so few, at first, that little can be lost meanwhile; so many, where nothing is, that looking costs nothing to speak of.</summary>
    public const long ShortestWindow = 2_000, LongestWindow = 50_000;

    /// <summary>Exits between two looks under hardware assist: they are what it can lose much by, in few instructions.</summary>
    public const long Exits = 4;

    /// <summary>Instructions translated between two looks under binary translation, likewise.</summary>
    public const long Translations = 16;

    private readonly double[] _software, _hardware;
    private readonly double[] _lost = new double[EventMix.Size];
    private readonly long[] _events = new long[EventMix.Size];
    private double _loss;

    /// <param name="profile">What events cost.</param>
    public HybridPolicy(CostProfile profile)
    {
        Profile = profile;
        _software = EventMix.Prices(profile, CostTechnique.SoftwareVmm);
        _hardware = EventMix.Prices(profile, CostTechnique.HardwareVmm);
        double? Cost(string name) => profile.Constants.FirstOrDefault(c => c.Name == name)?.Cycles;
        SwitchCycles = Cost(CostProfile.TechniqueChange) ?? Cost(MonitorModel.OtherExit) + Cost(MonitorModel.VmEntry) + FieldsMoved * Cost(MonitorModel.VmcbRead) ?? 0;
    }

    public CostProfile Profile { get; }

    /// <summary>What a change is taken to cost, in cycles.</summary>
    public double SwitchCycles { get; }

    /// <summary>Instructions until the next look.</summary>
    public virtual long Window { get; private set; } = ShortestWindow;

    /// <summary>What all windows so far would have cost under either technique alone, and have cost as they were run, changes included.</summary>
    public double SoftwareCycles { get; private set; }
    public double HardwareCycles { get; private set; }
    public double Cycles { get; private set; }

    /// <summary>What events cost under either technique.</summary>
    public (double Software, double Hardware) CostOf(ReadOnlySpan<long> events)
    {
        double software = 0, hardware = 0;
        for (int e = 0; e < events.Length; e++)
        {
            software += events[e] * _software[e];
            hardware += events[e] * _hardware[e];
        }
        return (software, hardware);
    }

    /// <summary>Takes the events of a window into account; true if the technique is to be changed now.</summary>
    /// <param name="events">How many there were of each kind.</param>
    /// <param name="technique">The technique that they were run by.</param>
    /// <param name="instructions">The window's length as it was.</param>
    public virtual bool EndWindow(ReadOnlySpan<long> events, CostTechnique technique, long instructions)
    {
        (double software, double hardware) = CostOf(events);
        int sign = technique == CostTechnique.SoftwareVmm ? 1 : -1;
        double loss = sign * (software - hardware);
        for (int e = 0; e < events.Length; e++)
        {
            _lost[e] += sign * events[e] * (_software[e] - _hardware[e]);
            _events[e] += events[e];
        }
        SoftwareCycles += software;
        HardwareCycles += hardware;
        Cycles += technique == CostTechnique.SoftwareVmm ? software : hardware;
        _loss += loss;
        if (_loss <= 0)
            Forget();
        double left = (Threshold * SwitchCycles) - _loss;
        // Where something is lost, the next look is for when it would be enough.
        Window = (long)Math.Clamp(loss > 0 ? left * instructions / loss : 2.0 * Window, ShortestWindow, LongestWindow);
        return left < 0;
    }

    /// <summary>The change was made; says why.</summary>
    public HybridReason Changed()
    {
        Cycles += SwitchCycles;
        int most = 0;
        for (int e = 0; e < _lost.Length; e++)
        {
            if (_lost[e] > _lost[most])
                most = e;
        }
        var reason = new HybridReason((CostEvent)most, _events[most], _lost[most], _loss);
        Forget();
        Window = ShortestWindow;
        return reason;
    }

    private void Forget()
    {
        _loss = 0;
        Array.Clear(_lost);
        Array.Clear(_events);
    }
}

/// <summary>Why a change was made.</summary>
/// <param name="Event">The kind of event that cost most of what was lost.</param>
/// <param name="Count">How many there were.</param>
/// <param name="Cycles">What they had cost too much.</param>
/// <param name="Loss">What all had.</param>
internal readonly record struct HybridReason(CostEvent Event, long Count, double Cycles, double Loss)
{
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Event}: {Count:n0} cost {Cycles:n0} of {Loss:n0} cycles lost");
}
