using System.Text;

namespace X86Virt.Reports;

/// <summary>Charts as lines of text: a bar of characters for each value.</summary>
public static class TextChart
{
    // What a line has besides names and a bar: the bar's mark, blanks and the value.
    private const int LeastBar = 10, Frame = 12;

    // One letter for each series of a stacked bar, as colours are not to be had everywhere.
    private const string Fillings = "#=+:%o*-~x@.";

    /// <param name="chart">The chart.</param>
    /// <param name="width">Characters in a line at most; names are cut where they leave no room for bars.</param>
    public static IEnumerable<string> Lines(Chart chart, int width)
    {
        foreach (string line in Wrap($"{chart.Title} ({chart.ValueName}{(IsLogarithmic(chart) ? ", logarithmic" : "")})".Split(' '), " ", width))
            yield return line;
        foreach (string line in chart.Layout == ChartLayout.Stacked ? StackedLines(chart, width) : PlainLines(chart, width))
            yield return line;
    }

    private static bool IsLogarithmic(Chart chart) => chart.Logarithmic && chart.Layout != ChartLayout.Stacked;

    private static IEnumerable<string> PlainLines(Chart chart, int width)
    {
        int series = chart.Series.Count == 1 ? 0 : Math.Min(chart.Series.Max(s => s.Name.Length), (width - Frame - LeastBar) / 2) + 1;
        int names = Math.Min(chart.Categories.Max(c => c.Length), width - Frame - LeastBar - series);
        double[] shown = [.. chart.Series.SelectMany(s => s.Values).Where(v => double.IsFinite(v) && v > 0)];
        double largest = shown.DefaultIfEmpty(1).Max(), smallest = shown.DefaultIfEmpty(1).Min();
        int room = width - names - series - Frame;
        for (int c = 0; c < chart.Categories.Count; c++)
        {
            for (int s = 0; s < chart.Series.Count; s++)
            {
                double value = chart.Series[s].Values[c];
                string bar = new('#', double.IsFinite(value) && value > 0 ? Length(value) : 0);
                string name = chart.Series.Count == 1 ? "" : ' ' + Fit(chart.Series[s].Name, series - 1);
                yield return $"{Fit(s == 0 ? chart.Categories[c] : "", names)}{name} |{bar} {(double.IsNaN(value) ? "-" : ValueText.Of(value))}";
            }
        }

        // The shortest logarithmic bar has a length, too: a tenth of the smallest value has none.
        int Length(double value) => IsLogarithmic(chart)
            ? (int)Math.Round(room * Math.Log10(value / smallest * 10) / Math.Log10(largest / smallest * 10))
            : (int)Math.Round(room * value / largest);
    }

    private static IEnumerable<string> StackedLines(Chart chart, int width)
    {
        int names = Math.Min(chart.Categories.Max(c => c.Length), width - Frame - LeastBar);
        double[] sums = [.. Enumerable.Range(0, chart.Categories.Count).Select(c => chart.Series.Sum(s => ValueOf(s, c)))];
        double largest = sums.DefaultIfEmpty(0).Max();
        int room = width - names - Frame;
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
            yield return $"{Fit(chart.Categories[c], names)} |{bar} {ValueText.Of(sums[c])}";
        }
        foreach (string line in Wrap(chart.Series.Select((s, i) => $"{Fillings[i % Fillings.Length]} {s.Name}"), "  ", width))
            yield return line;
    }

    /// <summary>A name in so many characters.</summary>
    private static string Fit(string name, int length) => name.Length <= length ? name.PadRight(length) : name[..(length - 1)] + '…';

    /// <summary>Parts in as few lines as they fit in.</summary>
    private static IEnumerable<string> Wrap(IEnumerable<string> parts, string between, int width)
    {
        string line = "";
        foreach (string part in parts)
        {
            if (line.Length > 0 && line.Length + between.Length + part.Length > width)
            {
                yield return line;
                line = "";
            }
            line += line.Length > 0 ? between + part : part;
        }
        yield return line;
    }

    /// <summary>What is below 0 has no place in a bar of text.</summary>
    private static double ValueOf(ChartSeries series, int category) => double.IsFinite(series.Values[category]) ? Math.Max(0, series.Values[category]) : 0;
}
