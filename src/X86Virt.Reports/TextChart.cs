using System.Text;

namespace X86Virt.Reports;

/// <summary>Charts as lines of text: a bar of characters for each value.</summary>
public static class TextChart
{
    private const int LeastBar = 10;

    // One letter for each series of a stacked bar, as colours are not to be had everywhere.
    private const string Fillings = "#=+:%o*-~x@.";

    /// <param name="chart">The chart.</param>
    /// <param name="width">Characters in a line at most, where names leave room for that.</param>
    public static IEnumerable<string> Lines(Chart chart, int width)
    {
        yield return $"{chart.Title} ({chart.ValueName}{(IsLogarithmic(chart) ? ", logarithmic" : "")})";
        foreach (string line in chart.Layout == ChartLayout.Stacked ? StackedLines(chart, width) : PlainLines(chart, width))
            yield return line;
    }

    private static bool IsLogarithmic(Chart chart) => chart.Logarithmic && chart.Layout != ChartLayout.Stacked;

    private static IEnumerable<string> PlainLines(Chart chart, int width)
    {
        int names = chart.Categories.Max(c => c.Length), series = chart.Series.Count == 1 ? 0 : chart.Series.Max(s => s.Name.Length) + 1;
        double[] shown = [.. chart.Series.SelectMany(s => s.Values).Where(v => double.IsFinite(v) && v > 0)];
        double largest = shown.DefaultIfEmpty(1).Max(), smallest = shown.DefaultIfEmpty(1).Min();
        int room = Math.Max(LeastBar, width - names - series - 12);
        for (int c = 0; c < chart.Categories.Count; c++)
        {
            for (int s = 0; s < chart.Series.Count; s++)
            {
                double value = chart.Series[s].Values[c];
                string bar = new('#', double.IsFinite(value) && value > 0 ? Length(value) : 0);
                string name = chart.Series.Count == 1 ? "" : ' ' + chart.Series[s].Name.PadRight(series - 1);
                yield return $"{(s == 0 ? chart.Categories[c] : "").PadRight(names)}{name} |{bar} {(double.IsNaN(value) ? "-" : ValueText.Of(value))}";
            }
        }

        // The shortest logarithmic bar has a length, too: a tenth of the smallest value has none.
        int Length(double value) => IsLogarithmic(chart)
            ? (int)Math.Round(room * Math.Log10(value / smallest * 10) / Math.Log10(largest / smallest * 10))
            : (int)Math.Round(room * value / largest);
    }

    private static IEnumerable<string> StackedLines(Chart chart, int width)
    {
        int names = chart.Categories.Max(c => c.Length);
        double[] sums = [.. Enumerable.Range(0, chart.Categories.Count).Select(c => chart.Series.Sum(s => ValueOf(s, c)))];
        double largest = sums.DefaultIfEmpty(0).Max();
        int room = Math.Max(LeastBar, width - names - 12);
        for (int c = 0; c < chart.Categories.Count; c++)
        {
            var bar = new StringBuilder();
            double sum = 0;
            for (int s = 0; s < chart.Series.Count; s++)
            {
                sum += ValueOf(chart.Series[s], c);
                int end = largest > 0 ? (int)Math.Round(room * sum / largest) : 0;
                bar.Append(Fillings[s % Fillings.Length], end - bar.Length);
            }
            yield return $"{chart.Categories[c].PadRight(names)} |{bar} {ValueText.Of(sums[c])}";
        }
        yield return string.Join("  ", chart.Series.Select((s, i) => $"{Fillings[i % Fillings.Length]} {s.Name}"));
    }

    /// <summary>What is below 0 has no place in a bar of text.</summary>
    private static double ValueOf(ChartSeries series, int category) => double.IsFinite(series.Values[category]) ? Math.Max(0, series.Values[category]) : 0;
}
