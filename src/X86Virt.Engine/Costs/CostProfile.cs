using System.Collections.Frozen;

namespace X86Virt.Engine.Costs;

/// <summary>What events cost on one processor, under each technique.</summary>
public sealed class CostProfile
{
    /// <summary>The constant of a change of techniques, where it was measured.</summary>
    public const string TechniqueChange = "TechniqueChange";

    private readonly FrozenDictionary<(CostTechnique, CostEvent), CostTerm[]> _prices;

    /// <param name="name">What it is called.</param>
    /// <param name="processor">What it is of.</param>
    /// <param name="frequency">Cycles a second.</param>
    /// <param name="constants">All costs that prices are made of.</param>
    /// <param name="prices">What events cost under each technique.</param>
    public CostProfile(string name, string processor, double frequency, IReadOnlyList<CostConstant> constants, IReadOnlyDictionary<(CostTechnique, CostEvent), CostTerm[]> prices)
    {
        Name = name;
        Processor = processor;
        Frequency = frequency;
        Constants = constants;
        _prices = prices.ToFrozenDictionary();
        Techniques = [.. Enum.GetValues<CostTechnique>().Where(t => prices.Keys.Any(k => k.Item1 == t))];
    }

    public string Name { get; }
    public string Processor { get; }

    /// <summary>Cycles a second.</summary>
    public double Frequency { get; }

    /// <summary>All costs that prices are made of.</summary>
    public IReadOnlyList<CostConstant> Constants { get; }

    /// <summary>Those that the profile has prices for.</summary>
    public IReadOnlyList<CostTechnique> Techniques { get; }

    /// <summary>What an event costs; empty if it costs nothing, or if the profile does not know.</summary>
    public IReadOnlyList<CostTerm> Price(CostTechnique technique, CostEvent e) => _prices.GetValueOrDefault((technique, e)) ?? [];

    /// <summary>What all events of a run cost, computed from counts alone; the guest's own clock has no part in it.</summary>
    public IReadOnlyList<EventCost> Price(CostTechnique technique, EventCounts counts)
    {
        var costs = new List<EventCost>();
        bool exitsCounted = technique == CostTechnique.HardwareVmm && counts.HasExits;
        foreach (CostEvent e in Enum.GetValues<CostEvent>())
        {
            if (counts[e] == 0)
                continue;
            CostTerm[] terms = [.. Price(technique, e).Where(t => !(exitsCounted && t.AtExit))];
            if (terms.Length > 0)
                costs.Add(new EventCost(Name, technique, e, counts[e], terms, Frequency));
        }
        return costs;
    }

    public override string ToString() => Name;
}

/// <summary>What all events of one kind cost.</summary>
/// <param name="Profile">The profile's name.</param>
/// <param name="Technique">How the guest is run.</param>
/// <param name="Event">The kind.</param>
/// <param name="Count">How many.</param>
/// <param name="Terms">What one of them costs, part by part.</param>
/// <param name="Frequency">Cycles a second.</param>
public sealed record EventCost(string Profile, CostTechnique Technique, CostEvent Event, double Count, IReadOnlyList<CostTerm> Terms, double Frequency)
{
    /// <summary>What one of them costs.</summary>
    public double CyclesEach => Terms.Sum(t => t.Constant.Cycles * t.Times);

    /// <summary>What all of them cost.</summary>
    public double Cycles => Count * CyclesEach;

    /// <summary>The same in seconds.</summary>
    public double Seconds => Cycles / Frequency;

    /// <summary>What one costs, in words.</summary>
    public string Formula => string.Join(" + ", Terms.Select(t => t.Times == 1 ? t.Constant.Name : FormattableString.Invariant($"{t.Times} {t.Constant.Name}")));

    /// <summary>Where the parts are from.</summary>
    public string Source => string.Join("; ", Terms.Select(t => $"{t.Constant.Name}: {t.Constant.Source}"));
}
