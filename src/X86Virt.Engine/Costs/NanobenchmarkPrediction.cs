namespace X86Virt.Engine.Costs;

/// <summary>What a predicted figure owes to the figure that it is compared with.</summary>
public enum PredictionKind
{
    /// <summary>Nothing: it follows from counts and from other figures.</summary>
    Prediction,

    /// <summary>A constant of the software was calibrated on it.</summary>
    Calibrated,

    /// <summary>It is a figure of the bare processor that the profile takes as it is.</summary>
    Input,
}

/// <summary>One figure of the nanobenchmark table as the model gives it, beside the published one.</summary>
/// <param name="Operation">The operation of the nanobenchmark kernel.</param>
/// <param name="Technique">The column.</param>
/// <param name="Predicted">Cycles by the model.</param>
/// <param name="Published">Cycles as measured by Adams and Agesen; null if none were published for the profile's processor.</param>
/// <param name="Kind">What the one owes to the other.</param>
/// <param name="Costs">What the prediction is the sum of.</param>
public sealed record NanobenchmarkPrediction(string Operation, CostTechnique Technique, double Predicted, double? Published, PredictionKind Kind, IReadOnlyList<EventCost> Costs)
{
    /// <summary>The command that predicts it again.</summary>
    public string Command { get; init; } = "";

    /// <summary>Predicted by published.</summary>
    public double? Ratio => Predicted / Published;

    /// <summary>How many times too much or too little, whichever it is.</summary>
    public double? Factor => Ratio is { } ratio ? Math.Max(ratio, 1 / ratio) : null;

    /// <summary>The row of an operation in one column, from the counts of one iteration beyond those of its base loop.</summary>
    public static NanobenchmarkPrediction Of(CostProfile profile, string operation, CostTechnique technique, EventCounts counts)
    {
        IReadOnlyList<EventCost> costs = profile.Price(technique, counts);
        CostConstant[] ofRow = [.. costs.SelectMany(c => c.Terms).Select(t => t.Constant).Where(c => c.Row == operation && c.Technique == technique)];
        PredictionKind kind = ofRow.Any(c => c.Basis == CostBasis.Calibrated) ? PredictionKind.Calibrated : ofRow.Length > 0 ? PredictionKind.Input : PredictionKind.Prediction;
        double? published = profile.Name == CostProfiles.Pentium4.Name ? PublishedNanobenchmarks.Find(operation)?.Of(technique) : null;
        return new NanobenchmarkPrediction(operation, technique, costs.Sum(c => c.Cycles), published, kind, costs);
    }
}

/// <summary>A row of the published table, in cycles of a Pentium 4 672 at 3.8 GHz.</summary>
public sealed record PublishedNanobenchmark(string Operation, double Native, double SoftwareVmm, double HardwareVmm)
{
    public double Of(CostTechnique technique) => technique switch
    {
        CostTechnique.Native => Native,
        CostTechnique.SoftwareVmm => SoftwareVmm,
        _ => HardwareVmm,
    };
}

/// <summary>Adams and Agesen, ASPLOS 2006: the nanobenchmarks with their raw data. For comparison; no result is made of them.</summary>
public static class PublishedNanobenchmarks
{
    /// <summary>By the operations of our kernel; ptesame, pteclear and pteset are the paper's ptemod with an unchanged value, present to not present, and back.</summary>
    public static IReadOnlyList<PublishedNanobenchmark> All { get; } =
    [
        new("syscall", 242, 2308, 246),
        new("in", 3209, 216, 15826),
        new("cr8wr", 150, 35, 177),
        new("callret", 11, 51, 11),
        new("pgfault", 1093, 3927, 11242),
        new("divzero", 889, 3223, 1014),
        new("ptesame", 1, 391, 12733),
        new("pteclear", 4, 17, 9154),
        new("pteset", 5, 2121, 17020),
    ];

    public static PublishedNanobenchmark? Find(string operation) => All.FirstOrDefault(r => r.Operation == operation);
}
