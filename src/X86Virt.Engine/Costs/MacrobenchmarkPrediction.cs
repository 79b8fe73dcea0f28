namespace X86Virt.Engine.Costs;

/// <summary>One figure of a macrobenchmark as the model gives it, in seconds, beside the published one.</summary>
/// <param name="Benchmark">The benchmark.</param>
/// <param name="Row">What of it: a processor, or a source of overhead.</param>
/// <param name="Technique">The column.</param>
/// <param name="Predicted">Seconds by the model.</param>
/// <param name="Published">Seconds as measured by Adams and Agesen; null if none were published.</param>
/// <param name="Kind">What the one owes to the other.</param>
/// <param name="Note">What to know before comparing the two.</param>
public sealed record MacrobenchmarkPrediction(
    string Benchmark, string Row, CostTechnique Technique, double Predicted, double? Published, PredictionKind Kind, string Note)
{
    /// <summary>Predicted by published; null where nothing, or next to nothing, was published.</summary>
    public double? Ratio => Published > 0 ? Predicted / Published : null;

    /// <summary>How many times too much or too little, whichever it is.</summary>
    public double? Factor => Ratio is { } ratio and > 0 ? Math.Max(ratio, 1 / ratio) : null;

    /// <summary>What the prediction is the sum of, where it is one of events.</summary>
    public IReadOnlyList<EventCost> Costs { get; init; } = [];

    /// <summary>The command that predicts it again.</summary>
    public string Command { get; init; } = "";
}

/// <summary>forkwait of Adams and Agesen (ASPLOS 2006, section 6.2): published times, and what the model makes of a run of ours.</summary>
public static class ForkWaitPrediction
{
    /// <summary>What results are called.</summary>
    public const string Name = "forkwait";

    /// <summary>Forks that the published times are of.</summary>
    public const int PublishedForks = 40_000;

    /// <summary>
    /// The working set with which the model gives the published time of the Pentium 4's hardware VMM: so many pages that parent and child both write to. That column is what they decide most
    /// of, as nearly all of it are exits, and what today's kernel does for a page, which 2006's did in fewer instructions, least. The other figures owe nothing to theirs.
    /// </summary>
    public const int CalibratedPages = 101;

    private static readonly Dictionary<string, PublishedNanobenchmark> s_published = new()
    {
        [CostProfiles.Pentium4.Name] = new(Name, 6.02, 36.95, 106.4),
        [CostProfiles.Core2.Name] = new(Name, 2.62, 18.43, 38.89),
    };

    /// <summary>The time of the paper's forks, from the counts of some; refills of the TLB, which hardware assist does not count, apart.</summary>
    public static MacrobenchmarkPrediction Of(CostProfile profile, CostTechnique technique, EventCounts counts, long forks, int pages)
    {
        EventCost[] costs = [.. profile.Price(technique, counts).Where(c => c.Event != CostEvent.TlbMiss).Select(c => c with { Count = c.Count / forks * PublishedForks })];
        bool calibrated = technique == CostTechnique.HardwareVmm && pages == CalibratedPages && profile.Name == CostProfiles.Pentium4.Name;
        string note = calibrated ? $"the working set of {pages} pages is calibrated on this figure"
            : technique == CostTechnique.Native && profile.Name == CostProfiles.Core2.Name ? $"a working set of {pages} pages; what this figure is to the Pentium 4's, the profile's factor is calibrated on"
            : $"a working set of {pages} pages";
        return new MacrobenchmarkPrediction(Name, profile.Name, technique, costs.Sum(c => c.Seconds), s_published.GetValueOrDefault(profile.Name)?.Of(technique),
            calibrated ? PredictionKind.Calibrated : PredictionKind.Prediction, note) { Costs = costs };
    }
}

/// <summary>The sources of overhead in a boot and halt: Adams and Agesen's figure 5, and what the model makes of a boot of ours.</summary>
public static class BootOverheadPrediction
{
    /// <summary>What results are called.</summary>
    public const string Name = "boot and halt";

    /// <summary>What the sum of all sources is called.</summary>
    public const string All = "All";

    private const string Note = "published: 64-bit Windows XP, read off the plot, where 0 stands for next to nothing";

    /// <summary>Seconds of a software and of a hardware VMM on the Pentium 4.</summary>
    private static readonly Dictionary<OverheadSource, (double Software, double Hardware)> s_published = new()
    {
        [OverheadSource.SystemCall] = (0.6, 0),
        [OverheadSource.InputOutput] = (0, 8.1),
        [OverheadSource.TaskPriority] = (0, 0),
        [OverheadSource.CallReturn] = (0.45, 0),
        [OverheadSource.PageFault] = (0, 0),
        [OverheadSource.PageTableWrite] = (0.1, 3.5),
        [OverheadSource.Translation] = (0.6, 0),
    };

    /// <summary>A row for each source and one for all of them. Published figures are those of shadow paging.</summary>
    /// <param name="profile">The profile.</param>
    /// <param name="technique">The column.</param>
    /// <param name="counts">Counts of a whole boot.</param>
    /// <param name="guest">What was booted.</param>
    /// <param name="shadowed">Whether the boot had shadow page tables.</param>
    public static IEnumerable<MacrobenchmarkPrediction> Of(CostProfile profile, CostTechnique technique, EventCounts counts, string guest, bool shadowed)
    {
        IReadOnlyList<ModelledOverhead> modelled = ModelledOverhead.Of(profile, technique, counts);
        bool published = shadowed && profile.Name == CostProfiles.Pentium4.Name;
        string note = published ? $"{Note}; predicted: {guest}" : guest;
        MacrobenchmarkPrediction Row(string row, double predicted, double? seconds) => new(Name, row, technique, predicted, published ? seconds : null, PredictionKind.Prediction, note);
        foreach (ModelledOverhead overhead in modelled)
            yield return Row($"{overhead.Source}", overhead.Seconds, s_published.TryGetValue(overhead.Source, out (double, double) seconds) ? Column(seconds) : null);
        yield return Row(All, modelled.Sum(o => o.Seconds), s_published.Values.Sum(Column));

        double Column((double Software, double Hardware) seconds) => technique == CostTechnique.SoftwareVmm ? seconds.Software : seconds.Hardware;
    }
}
