using System.Globalization;
using X86Virt.Engine;
using X86Virt.Engine.Costs;
using X86Virt.Reports;

namespace X86Virt.PowerShell;

/// <summary>Predicted figures beside published ones.</summary>
internal static class PredictionSection
{
    private static readonly string[] s_sides = ["published", "predicted"];

    /// <summary>The nanobenchmark table: the paper's figure 4.</summary>
    public static ReportSection Of(IReadOnlyList<NanobenchmarkPrediction> table)
    {
        string[] operations = [.. table.Select(p => p.Operation).Distinct()];
        CostTechnique[] techniques = [.. table.Select(p => p.Technique).Distinct().Order()];
        return new ReportSection
        {
            Title = "Nanobenchmarks, predicted and published",
            Paragraphs = ["Cycles of one operation by the cost model, from counts, beside those measured by Adams and Agesen on a Pentium 4 672. The scale is logarithmic."],
            Charts =
            [
                new Chart
                {
                    Title = "Nanobenchmarks, predicted and published",
                    ValueName = "cycles",
                    Logarithmic = true,
                    Paired = true,
                    Categories = operations,
                    Series =
                    [
                        .. techniques.SelectMany(t => s_sides.Select((side, i) => new ChartSeries($"{NameOf(t)}, {side}",
                            [.. operations.Select(o => table.FirstOrDefault(p => p.Operation == o && p.Technique == t) is { } p ? (i == 0 ? p.Published : p.Predicted) ?? double.NaN : double.NaN)]))),
                    ],
                },
            ],
            Tables =
            [
                new ReportTable("Cycles", [new("Operation"), new("Technique"), new("Predicted", true), new("Published", true), new("Ratio", true), new("Kind")],
                    [.. table.Select(p => new[] { p.Operation, $"{p.Technique}", Whole(p.Predicted), Whole(p.Published), Ratio(p.Ratio), $"{p.Kind}" })]),
            ],
        };
    }

    /// <summary>A macrobenchmark: bars side by side for each row, or stacked where the rows are parts of a sum.</summary>
    public static ReportSection Of(IReadOnlyList<MacrobenchmarkPrediction> results)
    {
        string name = results[0].Benchmark;
        return new ReportSection
        {
            Title = $"{char.ToUpperInvariant(name[0])}{name[1..]}, predicted and published",
            Paragraphs = [.. results.Select(p => p.Note).Distinct().Select(n => $"{char.ToUpperInvariant(n[0])}{n[1..]}.")],
            Charts = [name == BootOverheadPrediction.Name ? Stacked(results) : SideBySide(results)],
            Tables =
            [
                new ReportTable("Seconds", [new(name == BootOverheadPrediction.Name ? "Source" : "Profile"), new("Technique"), new("Predicted", true), new("Published", true), new("Ratio", true), new("Kind")],
                    [.. results.Select(p => new[] { NameOf(p.Row), $"{p.Technique}", Seconds(p.Predicted), p.Published is { } published ? Seconds(published) : "", Ratio(p.Ratio), $"{p.Kind}" })]),
            ],
        };
    }

    private static Chart SideBySide(IReadOnlyList<MacrobenchmarkPrediction> results) => new()
    {
        Title = $"{results[0].Benchmark}, predicted and published",
        ValueName = "seconds",
        Paired = true,
        Categories = [.. results.Select(p => $"{p.Row} {NameOf(p.Technique)}")],
        Series = [new ChartSeries(s_sides[0], [.. results.Select(p => p.Published ?? double.NaN)]), new ChartSeries(s_sides[1], [.. results.Select(p => p.Predicted)])],
    };

    private static Chart Stacked(IReadOnlyList<MacrobenchmarkPrediction> results)
    {
        var bars = new List<(string Name, Func<string, double> Of)>();
        foreach (IGrouping<(CostTechnique Technique, string Note), MacrobenchmarkPrediction> column in results.GroupBy(p => (p.Technique, p.Note)))
        {
            MacrobenchmarkPrediction[] rows = [.. column];
            if (rows.Any(p => p.Published != null))
                bars.Add(($"{NameOf(column.Key.Technique)}, published", row => rows.First(p => p.Row == row).Published ?? 0));
            bars.Add(($"{NameOf(column.Key.Technique)}, predicted", row => rows.First(p => p.Row == row).Predicted));
        }
        return new Chart
        {
            Title = "Overhead of a boot and halt by source",
            ValueName = "seconds more than the bare processor",
            Layout = ChartLayout.Stacked,
            Categories = [.. bars.Select(b => b.Name)],
            Series = [.. results.Select(p => p.Row).Distinct().Where(r => r != BootOverheadPrediction.All).Select(r => new ChartSeries(NameOf(r), [.. bars.Select(b => b.Of(r))]))],
        };
    }

    /// <summary>Short, as charts have little room.</summary>
    private static string NameOf(CostTechnique technique) => technique switch
    {
        CostTechnique.Native => "native",
        CostTechnique.SoftwareVmm => "software",
        _ => "hardware",
    };

    private static string NameOf(string row) => Enum.TryParse(row, out OverheadSource source) ? MeasurementSection.NameOf(source) : row;

    private static string Whole(double? value) => value?.ToString("N0", CultureInfo.InvariantCulture) ?? "";

    private static string Seconds(double value) => value.ToString("0.000", CultureInfo.InvariantCulture);

    private static string Ratio(double? value) => value?.ToString("0.00", CultureInfo.InvariantCulture) ?? "";
}
