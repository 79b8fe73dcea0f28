using ScottPlot;
using ScottPlot.TickGenerators;

namespace X86Virt.Reports;

/// <summary>The axis of a chart's values: where a value stands on it, and its ticks.</summary>
internal sealed class ValueScale
{
    private const double Headroom = 1.12;

    private readonly bool _logarithmic, _stacked;

    public ValueScale(Chart chart)
    {
        _stacked = chart.Layout == ChartLayout.Stacked;
        _logarithmic = chart.Logarithmic && !_stacked;
        double[] values = _stacked ? Sums(chart, 1) : [.. chart.Series.SelectMany(s => s.Values)];
        double[] shown = [.. values.Where(v => double.IsFinite(v) && v > 0)];
        double largest = shown.Length == 0 ? 1 : shown.Max();
        if (_logarithmic)
        {
            double smallest = shown.Length == 0 ? 1 : shown.Min();
            Base = Math.Floor(Math.Log10(smallest) - 0.15);
            Top = Math.Max(Base + 1, Math.Log10(largest) + 0.08 * (Math.Log10(largest) - Base));
            Ticks = Decades((int)Base, (int)Math.Ceiling(Top));
        }
        else
        {
            Top = largest * Headroom;
            Base = _stacked ? -Sums(chart, -1).Max() * Headroom : 0;
            Ticks = new NumericAutomatic { LabelFormatter = ValueText.Of, TargetTickCount = 8 };
        }
    }

    /// <summary>Where bars begin and end on the axis at most.</summary>
    public double Base { get; }
    public double Top { get; }
    public ITickGenerator Ticks { get; }

    /// <summary>Whether a value has a bar: below 0 where bars are stacked, on the other side.</summary>
    public bool Shows(double value) => double.IsFinite(value) && (value > 0 || (_stacked && value < 0));

    public double Of(double value) => _logarithmic ? Math.Log10(value) : value;

    /// <summary>Of the values of one sign, for each category.</summary>
    private static double[] Sums(Chart chart, int sign)
        => [.. Enumerable.Range(0, chart.Categories.Count).Select(c => chart.Series.Sum(s => double.IsFinite(s.Values[c]) ? Math.Max(0, s.Values[c] * sign) : 0))];

    private static NumericManual Decades(int from, int to)
    {
        var ticks = new NumericManual();
        for (int decade = from; decade <= to; decade++)
        {
            ticks.AddMajor(decade, ValueText.Of(Math.Pow(10, decade)));
            for (int step = 2; step < 10; step++)
                ticks.AddMinor(decade + Math.Log10(step));
        }
        return ticks;
    }
}
