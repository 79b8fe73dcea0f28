using System.Globalization;
using System.Text.RegularExpressions;
using System.Xml.Linq;
using X86Virt.Reports;
using Xunit;

namespace X86Virt.Engine.Tests.Reports;

/// <summary>Charts and pages, down to the bars.</summary>
public sealed class ReportTests
{
    private static readonly XNamespace s_svg = "http://www.w3.org/2000/svg";

    private static Chart Grouped => new()
    {
        Title = "Times", ValueName = "ns", Logarithmic = true, Categories = ["one", "two", "three"],
        Series = [new ChartSeries("A", [10, 100, double.NaN]), new ChartSeries("B", [1, -5, 0])],
    };

    private static Chart Stacked => new()
    {
        Title = "Sources", ValueName = "events", Layout = ChartLayout.Stacked, Categories = ["first", "second"],
        Series = [new ChartSeries("A", [30, 10]), new ChartSeries("B", [10, 10])],
    };

    /// <summary>Filled shapes of one colour, as widths and heights.</summary>
    private static (double Width, double Height)[] Bars(XElement svg, string color)
        => [.. svg.Descendants(s_svg + "rect").Where(r => string.Equals((string?)r.Attribute("fill"), color, StringComparison.OrdinalIgnoreCase))
            .Select(r => (Number(r, "width"), Number(r, "height")))];

    private static double Number(XElement element, string attribute) => double.Parse(element.Attribute(attribute)!.Value, CultureInfo.InvariantCulture);

    private static XElement Draw(Chart chart) => XElement.Parse(ChartRenderer.ToSvg(chart, "x"));

    [Fact]
    public void LogarithmicBarsAreAsHighAsTheLogarithmsAreApart()
    {
        XElement svg = Draw(Grouped);
        double[] a = [.. Bars(svg, "#0072B2").Where(b => b.Height > 15).Select(b => b.Height).Order()];
        double[] b = [.. Bars(svg, "#E69F00").Where(b => b.Height > 15).Select(b => b.Height)];
        Assert.Equal(2, a.Length);
        double decade = a[1] - a[0];
        Assert.Equal(decade, a[0] - Assert.Single(b), 1.0);
    }

    [Fact]
    public void StackedBarsAreAsWideAsTheirValues()
    {
        XElement svg = Draw(Stacked);
        double[] a = [.. Bars(svg, "#0072B2").Select(b => b.Width).Order().TakeLast(2)];
        Assert.Equal(3, a[1] / a[0], 0.05);
    }

    [Fact]
    public void StackedValuesBelowZeroAreOnTheOtherSide()
    {
        XElement svg = Draw(Stacked with { Series = [new ChartSeries("A", [30, 10]), new ChartSeries("B", [-10, 0])] });
        XElement below = Assert.Single(svg.Descendants(s_svg + "rect"), r => (string?)r.Attribute("fill") == "#E69F00" && Number(r, "width") > 25);
        double zero = svg.Descendants(s_svg + "rect").Where(r => (string?)r.Attribute("fill") == "#0072B2" && Number(r, "width") > 25).Min(r => Number(r, "x"));
        Assert.Equal(zero, Number(below, "x") + Number(below, "width"), 1.0);
    }

    [Fact]
    public void IdentifiersOfOneChartAreNotThoseOfAnother()
    {
        string svg = ChartRenderer.ToSvg(Grouped, "c7");
        string[] names = [.. XElement.Parse(svg).Descendants().Select(e => (string?)e.Attribute("id")).OfType<string>()];
        Assert.NotEmpty(names);
        Assert.All(names, n => Assert.StartsWith("c7-", n, StringComparison.Ordinal));
        Assert.All(Regex.Matches(svg, @"url\(#([^)]*)\)").Select(m => m.Groups[1].Value), n => Assert.Contains(n, names));
    }

    [Fact]
    public void ADrawingIsAPngPicture()
        => Assert.Equal([0x89, (byte)'P', (byte)'N', (byte)'G'], ChartRenderer.ToPng(Grouped)[..4]);

    [Fact]
    public void APageIsWellFormedAndEscapesAllText()
    {
        const string Markup = "</pre><script>alert(1)</script>&\u001b[1m\"'";
        string page = HtmlReport.Of(new Report
        {
            Title = Markup,
            Sections =
            [
                new ReportSection
                {
                    Title = Markup, Paragraphs = [Markup], Charts = [Grouped with { Title = Markup, Categories = [Markup, "b", "c"] }, Stacked],
                    Tables = [new ReportTable(Markup, [new(Markup), new("n", true)], [[Markup, "1"]])], Texts = [new ReportText(Markup, Markup)],
                },
            ],
            Host = [new(Markup, Markup)],
            Commands = [Markup],
        });
        XDocument document = XDocument.Parse(page);
        Assert.DoesNotContain(document.Descendants(), e => e.Name.LocalName == "script");
        Assert.Equal(2, document.Descendants(s_svg + "svg").Count());
        Assert.Equal(Markup.Replace('\u001b', '\u241b'), document.Descendants("details").Single().Element("pre")!.Value);
        Assert.Contains(document.Descendants("td"), d => d.Value.Contains("alert(1)", StringComparison.Ordinal));
        Assert.DoesNotContain("://", Regex.Replace(page, "xmlns(:xlink)?=\"[^\"]*\"", ""), StringComparison.Ordinal);
    }

    [Fact]
    public void TextHasABarForEachValue()
        => Assert.Equal(
            [
                "Times (ns, logarithmic)",
                "one   A |##################### 10",
                "      B |########## 1",
                "two   A |############################### 100",
                "      B | -5",
                "three A | -",
                "      B | 0",
            ], TextChart.Lines(Grouped, 50));

    [Fact]
    public void StackedTextHasAFillingForEachSeries()
        => Assert.Equal(
            [
                "Sources (events)",
                "first  |########################======== 40",
                "second |########======== 20",
                "# A  = B",
            ], TextChart.Lines(Stacked, 50));

    [Theory]
    [InlineData(40)]
    [InlineData(60)]
    public void TextFitsTheWidth(int width)
    {
        string name = new('n', 90);
        Chart plain = Grouped with { Title = string.Join(' ', Enumerable.Repeat("words", 30)), Categories = [name, "b", "c"] };
        Chart stacked = Stacked with { Categories = [name, "b"], Series = [.. Enumerable.Range(0, 9).Select(i => new ChartSeries($"series {i}", [1000.5, 2000]))] };
        foreach (Chart chart in new[] { plain, stacked, plain with { Series = [new ChartSeries(name, [1, 2, 3]), new ChartSeries("s", [4, 5, 6])] } })
        {
            string[] lines = [.. TextChart.Lines(chart, width)];
            Assert.All(lines, l => Assert.InRange(l.Length, 1, width));
            Assert.Contains(lines, l => l.Contains('…', StringComparison.Ordinal));
            Assert.Contains(lines, l => l.Contains("|#", StringComparison.Ordinal));
        }
    }

    [Fact]
    public void APairOfSeriesHasOneColourAndAPaleOne()
    {
        XElement svg = Draw(Grouped with { Paired = true });
        Assert.NotEmpty(Bars(svg, "#0072B2"));
        Assert.Empty(Bars(svg, "#E69F00"));
        Assert.NotEmpty(Bars(svg, "#99C6E0"));
    }

    [Theory]
    [InlineData(0, "0")]
    [InlineData(0.0004, "4e-4")]
    [InlineData(0.5, "0.5")]
    [InlineData(1.005, "1.01")]
    [InlineData(12.34, "12.3")]
    [InlineData(999.6, "1000")]
    [InlineData(9999, "9999")]
    [InlineData(13600, "13.6 k")]
    [InlineData(999600, "1 M")]
    [InlineData(2530000, "2.53 M")]
    [InlineData(1408254879, "1.41 G")]
    [InlineData(-56.2, "-56.2")]
    [InlineData(double.NaN, "")]
    public void NumbersHaveThreeDigitsThatMatter(double value, string text) => Assert.Equal(text, ValueText.Of(value));
}
