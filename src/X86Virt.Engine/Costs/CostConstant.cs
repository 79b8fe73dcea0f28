namespace X86Virt.Engine.Costs;

/// <summary>Where a cost is from.</summary>
public enum CostBasis
{
    /// <summary>A figure that was published, or the difference of two.</summary>
    Published,

    /// <summary>Chosen so that the model gives one row of a published table.</summary>
    Calibrated,

    /// <summary>Measured on this host.</summary>
    Measured,
}

/// <summary>What one thing costs.</summary>
/// <param name="Name">Its name in the profile.</param>
/// <param name="Meaning">What it is the cost of.</param>
/// <param name="Cycles">Cycles, or whatever the profile's frequency counts.</param>
/// <param name="Unit">What it is for one of: event, instruction, access.</param>
/// <param name="Basis">Where it is from, in a word.</param>
/// <param name="Source">Where it is from: the publication and table, or how it was calibrated or measured.</param>
public sealed record CostConstant(string Name, string Meaning, double Cycles, string Unit, CostBasis Basis, string Source)
{
    /// <summary>The row of the nanobenchmark table that it was taken from or calibrated on; null if none.</summary>
    public string? Row { get; init; }

    /// <summary>That row's column.</summary>
    public CostTechnique Technique { get; init; }
}

/// <summary>A part of what an event costs: a constant, so many times.</summary>
/// <param name="Constant">The constant.</param>
/// <param name="Times">How often.</param>
/// <param name="AtExit">A part of an exit: where exits were counted themselves, it is left to them.</param>
public readonly record struct CostTerm(CostConstant Constant, double Times, bool AtExit = false);
