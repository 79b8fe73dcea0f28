using System.Globalization;
using X86Virt.Engine.Processor;
using X86Virt.Reports;

namespace X86Virt.PowerShell;

/// <summary>Results of the nanobenchmarks: the paper's figure 4, in this host's time.</summary>
internal static class NanobenchmarkSection
{
    public static ReportSection Of(IReadOnlyList<NanobenchmarkResult> results)
    {
        string[] operations = [.. results.Select(r => r.Operation).Distinct()];
        string[] configurations = [.. results.Select(NameOf).Distinct()];
        Dictionary<(string, string), NanobenchmarkResult> byCell = [];
        foreach (NanobenchmarkResult result in results)
            byCell[(result.Operation, NameOf(result))] = result;
        return new ReportSection
        {
            Title = "Nanobenchmarks",
            Paragraphs = ["Host time of one iteration of a loop with one sensitive operation in it, the loop itself included (empty). Lower is better; the scale is logarithmic."],
            Charts =
            [
                new Chart
                {
                    Title = "Nanobenchmarks",
                    ValueName = "nanoseconds an operation",
                    Logarithmic = true,
                    Categories = operations,
                    Series = [.. configurations.Select(c => new ChartSeries(c, [.. operations.Select(o => byCell.GetValueOrDefault((o, c))?.Nanoseconds ?? double.NaN)]))],
                },
            ],
            Tables = [Times(operations, configurations, byCell), Counts(results)],
        };
    }

    private static string NameOf(NanobenchmarkResult result) => GuestText.Configuration(result.Engine, result.Paging)
        + (result.Generation is { } g and not ProcessorGeneration.Current ? $" {g}" : "") + (result.Bits == 64 ? "" : $", {result.Bits}-bit");

    private static ReportTable Times(string[] operations, string[] configurations, Dictionary<(string, string), NanobenchmarkResult> byCell) => new("Nanoseconds an operation",
        [new("Operation"), .. configurations.Select(c => new ReportColumn(c, true))],
        [.. operations.Select(o => (string[])[o, .. configurations.Select(c => ValueText.Of(byCell.GetValueOrDefault((o, c))?.Nanoseconds ?? double.NaN))])]);

    private static ReportTable Counts(IEnumerable<NanobenchmarkResult> results) => new("Counted in one iteration",
        [new("Operation"), new("Configuration"), new("Instructions", true), new("Modelled cycles", true), new("Exits", true), new("Callouts", true), new("Trace writes", true), new("Hidden faults", true), new("Spread, ns", true), new("All events")],
        [.. results.Select(r => new[]
        {
            r.Operation, NameOf(r), Few(r.Instructions), r.ModelledCycles is { } cycles ? Few(cycles) : "", Few(r.Exits), Few(r.Callouts), Few(r.TraceWrites), Few(r.HiddenFaults), ValueText.Of(r.Spread),
            string.Join(", ", r.Events.Where(e => e.PerIteration >= 0.0005).Select(e => $"{e.Kind} {e.Detail}".Trim() + " " + Few(e.PerIteration))),
        })]);

    private static string Few(double value) => value.ToString("0.###", CultureInfo.InvariantCulture);
}
