using System.Globalization;
using System.Management.Automation;
using X86Virt.Engine;
using X86Virt.Engine.Costs;
using X86Virt.Reports;

namespace X86Virt.PowerShell;

/// <summary>Puts results of any kind together to a report.</summary>
internal sealed class ReportBuilder
{
    private const int MostBars = 20;

    private readonly List<NanobenchmarkResult> _nanobenchmarks = [];
    private readonly List<EngineMeasurement> _measurements = [];
    private readonly List<NanobenchmarkPrediction> _predictions = [];
    private readonly List<MacrobenchmarkPrediction> _macrobenchmarks = [];
    private readonly List<ExitCount> _exits = [];
    private readonly List<VmExitStatistics> _reasons = [];
    private readonly List<PSObject> _others = [];

    public bool IsEmpty => _nanobenchmarks.Count + _measurements.Count + _predictions.Count + _macrobenchmarks.Count + _exits.Count + _reasons.Count + _others.Count == 0;

    public void Add(PSObject result)
    {
        switch (result.BaseObject)
        {
            case NanobenchmarkResult nanobenchmark:
                _nanobenchmarks.Add(nanobenchmark);
                break;
            case EngineMeasurement measurement:
                _measurements.Add(measurement);
                break;
            case NanobenchmarkPrediction prediction:
                _predictions.Add(prediction);
                break;
            case MacrobenchmarkPrediction prediction:
                _macrobenchmarks.Add(prediction);
                break;
            case ExitCount exit:
                _exits.Add(exit);
                break;
            case VmExitStatistics reason:
                _reasons.Add(reason);
                break;
            default:
                _others.Add(result);
                break;
        }
    }

    public Report Build(string title)
    {
        var sections = new List<ReportSection>();
        if (_nanobenchmarks.Count > 0)
            sections.Add(NanobenchmarkSection.Of(_nanobenchmarks));
        if (_predictions.Count > 0)
            sections.Add(PredictionSection.Of(_predictions));
        sections.AddRange(_macrobenchmarks.GroupBy(p => p.Benchmark).Select(g => PredictionSection.Of([.. g])));
        sections.AddRange(_measurements.GroupBy(m => GuestText.Of(m.Configuration)).Select(g => MeasurementSection.Of(g.Key, [.. g])));
        if (_exits.Count > 0)
            sections.Add(ExitSection());
        if (_reasons.Count > 0)
            sections.Add(ReasonSection());
        sections.AddRange(_others.GroupBy(o => o.TypeNames[0]).Select(g => OtherSection([.. g])));
        return new Report
        {
            Title = title,
            Sections = sections,
            Host = HostDescription.Read(),
            Commands = [.. _nanobenchmarks.Select(n => n.Command).Concat(_predictions.Select(p => p.Command)).Concat(_macrobenchmarks.Select(p => p.Command)).Concat(_measurements.Select(m => m.Command)).Where(c => c.Length > 0).Distinct()],
        };
    }

    private ReportSection ExitSection() => new()
    {
        Title = "Exits",
        Charts = [ExitChart("Most frequent exits", _exits)],
        Tables = [ExitTable("All exits", _exits)],
    };

    private ReportSection ReasonSection()
    {
        VmExitStatistics[] shown = [.. _reasons.OrderByDescending(r => r.HostTime)];
        return new ReportSection
        {
            Title = "Exits of hardware assist",
            Charts =
            [
                new Chart
                {
                    Title = "Host time of exits by reason",
                    ValueName = "milliseconds, from the exit until the guest can go on",
                    Categories = [.. shown.Take(MostBars).Select(r => r.Reason)],
                    Series = [new ChartSeries("ms", [.. shown.Take(MostBars).Select(r => r.HostTime.TotalMilliseconds)])],
                },
            ],
            Tables =
            [
                new ReportTable("Exits by reason",
                    [new("Reason"), new("Count", true), new("Share", true), new("Host time, ms", true), new("Mean, ns", true), new("50 %, ns", true), new("90 %, ns", true), new("99 %, ns", true)],
                    [.. shown.Select(r => new[]
                    {
                        r.Reason, Number(r.Count), r.Share.ToString("0.0 %", CultureInfo.InvariantCulture), ValueText.Of(r.HostTime.TotalMilliseconds),
                        ValueText.Of(r.MeanNanoseconds), ValueText.Of(r.Percentile50), ValueText.Of(r.Percentile90), ValueText.Of(r.Percentile99),
                    })]),
            ],
        };
    }

    private static Chart ExitChart(string title, IEnumerable<ExitCount> exits)
    {
        ExitCount[] shown = [.. exits.OrderByDescending(e => e.Count).Take(MostBars)];
        return new Chart
        {
            Title = title,
            ValueName = "count",
            Logarithmic = true,
            Categories = [.. shown.Select(e => $"{e.Kind} {e.Detail}".Trim())],
            Series = [new ChartSeries("count", [.. shown.Select(e => (double)e.Count)])],
        };
    }

    private static ReportTable ExitTable(string title, IEnumerable<ExitCount> exits) => new(title,
        [new("Kind"), new("Detail"), new("Count", true)],
        [.. exits.OrderByDescending(e => e.Count).Select(e => new[] { $"{e.Kind}", e.Detail, Number(e.Count) })]);

    /// <summary>Any other objects as a table of their properties.</summary>
    private static ReportSection OtherSection(IReadOnlyList<PSObject> objects)
    {
        string type = objects[0].TypeNames[0];
        string[] names = [.. objects[0].Properties.Where(p => p.IsGettable).Select(p => p.Name)];
        return new ReportSection
        {
            Title = type[(type.LastIndexOf('.') + 1)..],
            Tables = [new ReportTable("", [.. names.Select(n => new ReportColumn(n, IsNumber(objects[0], n)))], [.. objects.Select(o => names.Select(n => Cell(o.Properties[n]?.Value)).ToArray())])],
        };
    }

    private static bool IsNumber(PSObject one, string property) => one.Properties[property].Value is IFormattable and not Enum and not DateTime and not TimeSpan;

    private static string Cell(object? value) => value switch
    {
        double number => ValueText.Of(number),
        long or int or ulong or uint => string.Create(CultureInfo.InvariantCulture, $"{value:N0}"),
        _ => LanguagePrimitives.ConvertTo<string>(value) ?? "",
    };

    public static string Number(long value) => value.ToString("N0", CultureInfo.InvariantCulture);
}
