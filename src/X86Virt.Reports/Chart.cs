namespace X86Virt.Reports;

/// <summary>How the bars of several series stand to each other.</summary>
public enum ChartLayout
{
    /// <summary>Side by side, upright; for many categories with short names.</summary>
    Grouped,

    /// <summary>On top of each other, lying; for shares of a whole.</summary>
    Stacked,
}

/// <summary>The values of one colour, one for each category; NaN where there is none.</summary>
public sealed record ChartSeries(string Name, IReadOnlyList<double> Values);

/// <summary>A bar chart. A single series is drawn lying, its values written at the bars.</summary>
public sealed record Chart
{
    public required string Title { get; init; }

    /// <summary>What the values are, with their unit.</summary>
    public required string ValueName { get; init; }
    public required IReadOnlyList<string> Categories { get; init; }
    public required IReadOnlyList<ChartSeries> Series { get; init; }
    public ChartLayout Layout { get; init; }

    /// <summary>Draws logarithms; values of 0 and less have no bar. Stacked bars are always linear.</summary>
    public bool Logarithmic { get; init; }

    /// <summary>Series come in twos of one colour, the second of them pale.</summary>
    public bool Paired { get; init; }

    /// <summary>The part of <see cref="Title"/> and the values that a reader needs who cannot see the chart.</summary>
    public string Description => $"{Title}. Bar chart of {ValueName}: {Series.Count} series, {Categories.Count} categories.";
}
