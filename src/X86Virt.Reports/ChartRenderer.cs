using System.Text.RegularExpressions;
using ScottPlot;
using ScottPlot.Plottables;
using ScottPlot.TickGenerators;
using SkiaSharp;

namespace X86Virt.Reports;

/// <summary>Draws charts with ScottPlot.</summary>
public static partial class ChartRenderer
{
    private const int Width = 1100, UprightHeight = 460, RowHeight = 30, LyingFrame = 130, CharacterWidth = 8, LegendRow = 22, LabelDistance = 5, RotatedLabels = 62;
    private const double GroupWidth = 0.84, LyingBarWidth = 0.7, Paleness = 0.6;

    /// <summary>Colours of Okabe and Ito, which people who are colour-blind can tell apart.</summary>
    private static readonly Color[] s_colors = Color.FromHex(["#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#F0E442", "#7F7F7F", "#000000"]);

    /// <summary>In the order in which they are looked for.</summary>
    private static readonly string[] s_fonts = ["DejaVu Sans", "Segoe UI", "Helvetica", "Liberation Sans", "Noto Sans", "Arial"];

    static ChartRenderer() => SkiaLibraries.Resolve();

    /// <summary>An svg element that can stand in an HTML page with others: its identifiers begin with <paramref name="prefix"/>.</summary>
    public static string ToSvg(Chart chart, string prefix)
    {
        string svg = Draw(chart).GetSvgXml(Width, HeightOf(chart));
        svg = svg[svg.IndexOf("<svg", StringComparison.Ordinal)..];
        svg = Identifier().Replace(svg, $"${{before}}{prefix}-${{name}}");
        // The reader's machine may not have this one's font.
        svg = FontFamily().Replace(svg, "font-family=\"${name}, sans-serif\"");
        return $"<svg role=\"img\" viewBox=\"0 0 {Width} {HeightOf(chart)}\"{svg["<svg".Length..]}";
    }

    public static byte[] ToPng(Chart chart) => Draw(chart).GetImage(Width, HeightOf(chart)).GetImageBytes(ImageFormat.Png);

    [GeneratedRegex("(?<before>\\bid=\"|url\\(#|href=\"#)(?<name>[\\w-]+)")]
    private static partial Regex Identifier();

    [GeneratedRegex("font-family=\"(?<name>[^\"]*)\"")]
    private static partial Regex FontFamily();

    private static string Font()
    {
        string[] installed = [.. SKFontManager.Default.FontFamilies];
        return s_fonts.Concat(installed).FirstOrDefault(installed.Contains)
            ?? throw new InvalidOperationException("The charts cannot be lettered: this machine has no fonts. Install some, such as Debian's package fonts-dejavu-core.");
    }

    private static bool IsLying(Chart chart) => chart.Layout == ChartLayout.Stacked || chart.Series.Count == 1;

    private static int HeightOf(Chart chart) => IsLying(chart) ? LyingFrame + Math.Max(RowHeight * Math.Max(2, chart.Categories.Count), chart.Layout == ChartLayout.Stacked ? LegendRow * chart.Series.Count : 0) : UprightHeight;

    private static Plot Draw(Chart chart)
    {
        var plot = new Plot();
        plot.Title(chart.Title, 16);
        var scale = new ValueScale(chart);
        if (IsLying(chart))
            DrawLying(plot, chart, scale);
        else
            DrawGrouped(plot, chart, scale);
        plot.Font.Set(Font());
        plot.Legend.ShadowColor = Colors.Transparent;
        plot.Legend.OutlineColor = Colors.Transparent;
        plot.Axes.Frame(false);
        plot.Axes.Left.FrameLineStyle.IsVisible = plot.Axes.Bottom.FrameLineStyle.IsVisible = true;
        plot.Axes.Left.Label.FontSize = plot.Axes.Bottom.Label.FontSize = 13;
        plot.Axes.Left.Label.Bold = plot.Axes.Bottom.Label.Bold = false;
        return plot;
    }

    private static void DrawGrouped(Plot plot, Chart chart, ValueScale scale)
    {
        double width = GroupWidth / chart.Series.Count;
        for (int s = 0; s < chart.Series.Count; s++)
        {
            double offset = (s - (chart.Series.Count - 1) / 2.0) * width;
            AddBars(plot, chart, s, scale, c => c + offset, _ => scale.Base, width, horizontal: false);
        }
        plot.Axes.Bottom.TickGenerator = new NumericManual([.. Enumerable.Range(0, chart.Categories.Count).Select(i => (double)i)], [.. chart.Categories]);
        plot.Axes.Bottom.MajorTickStyle.Length = 0;
        plot.Axes.Bottom.TickLabelStyle.OffsetY = LabelDistance;
        if (chart.Categories.Max(c => c.Length) * CharacterWidth > (double)Width / chart.Categories.Count)
        {
            plot.Axes.Bottom.TickLabelStyle.Rotation = -35;
            plot.Axes.Bottom.TickLabelStyle.Alignment = Alignment.MiddleRight;
            plot.Axes.Bottom.TickLabelStyle.OffsetY = 6;
            plot.Axes.Bottom.MinimumSize = RotatedLabels;
        }
        plot.Axes.Left.TickGenerator = scale.Ticks;
        plot.YLabel(chart.ValueName);
        plot.Grid.XAxisStyle.IsVisible = false;
        plot.Axes.SetLimits(-0.6, chart.Categories.Count - 0.4, scale.Base, scale.Top);
        plot.ShowLegend(Edge.Bottom).Legend.Orientation = Orientation.Horizontal;
    }

    private static void DrawLying(Plot plot, Chart chart, ValueScale scale)
    {
        int rows = chart.Categories.Count;
        // Values below 0 are stacked on the other side.
        double[] above = new double[rows], below = new double[rows];
        for (int s = 0; s < chart.Series.Count; s++)
        {
            ChartSeries series = chart.Series[s];
            double[] starts = [.. Enumerable.Range(0, rows).Select(c => series.Values[c] < 0 ? below[c] : above[c])];
            BarPlot bars = AddBars(plot, chart, s, scale, c => rows - 1 - c, c => chart.Layout == ChartLayout.Stacked ? starts[c] : scale.Base, LyingBarWidth, horizontal: true);
            if (chart.Layout != ChartLayout.Stacked)
                LabelValues(bars, series);
            for (int c = 0; c < rows; c++)
                (series.Values[c] < 0 ? below : above)[c] += double.IsFinite(series.Values[c]) ? series.Values[c] : 0;
        }
        plot.Axes.Left.TickGenerator = new NumericManual([.. Enumerable.Range(0, rows).Select(i => (double)(rows - 1 - i))], [.. chart.Categories]);
        plot.Axes.Left.MajorTickStyle.Length = 0;
        plot.Axes.Bottom.TickGenerator = scale.Ticks;
        plot.XLabel(chart.ValueName);
        plot.Grid.YAxisStyle.IsVisible = false;
        plot.Axes.SetLimits(scale.Base, scale.Top, -0.6, rows - 0.4);
        if (chart.Layout == ChartLayout.Stacked)
            plot.ShowLegend(Edge.Right);
    }

    private static BarPlot AddBars(Plot plot, Chart chart, int series, ValueScale scale, Func<int, double> position, Func<int, double> start, double width, bool horizontal)
    {
        Color color = ColorOf(chart, series);
        var bars = new List<Bar>();
        for (int c = 0; c < chart.Categories.Count; c++)
        {
            double value = chart.Series[series].Values[c];
            if (scale.Shows(value))
                bars.Add(new Bar { Position = position(c), ValueBase = start(c), Value = chart.Layout == ChartLayout.Stacked ? start(c) + value : scale.Of(value), Size = width, FillColor = color, LineWidth = 0 });
        }
        BarPlot drawn = plot.Add.Bars(bars);
        drawn.Horizontal = horizontal;
        drawn.LegendText = chart.Series.Count > 1 ? chart.Series[series].Name : "";
        return drawn;
    }

    private static Color ColorOf(Chart chart, int series)
    {
        if (!chart.Paired)
            return s_colors[series % s_colors.Length];
        Color color = s_colors[series / 2 % s_colors.Length];
        return series % 2 == 0 ? color : color.Lighten(Paleness);
    }

    private static void LabelValues(BarPlot bars, ChartSeries series)
    {
        double[] shown = [.. series.Values];
        int rows = shown.Length;
        foreach (Bar bar in bars.Bars)
            bar.Label = ValueText.Of(shown[rows - 1 - (int)Math.Round(bar.Position)]);
        bars.ValueLabelStyle.FontSize = 12;
        bars.ValueLabelStyle.FontName = Font();
    }
}
