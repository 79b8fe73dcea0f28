using System.Globalization;
using X86Virt.Engine;
using X86Virt.Engine.Costs;
using X86Virt.Engine.Processor;
using X86Virt.Reports;

namespace X86Virt.PowerShell;

/// <summary>One guest on several configurations: host time, and events by source of overhead as in the paper's figure 5.</summary>
internal static class MeasurementSection
{
    private const int ConsoleTail = 4000;

    /// <summary>The processor of the paper's figures.</summary>
    private static readonly CostProfile s_profile = CostProfiles.Pentium4;

    public static ReportSection Of(string guest, IReadOnlyList<EngineMeasurement> measurements)
    {
        string[] names = [.. measurements.Select(NameOf)];
        return new ReportSection
        {
            Title = guest,
            Paragraphs =
            [
                measurements.All(m => m.Agrees) ? "The guest wrote the same on every configuration, by as many instructions."
                    : "The guest did not do the same on every configuration: compare only those that agree.",
                "An event has one source, whatever deals with it. What it costs differs: hardware makes a system call without the monitor, a translator reads its time stamp in place.",
            ],
            Charts =
            [
                new Chart
                {
                    Title = "Host time",
                    ValueName = "seconds, the median of the runs",
                    Categories = names,
                    Series = [new ChartSeries("seconds", [.. measurements.Select(m => m.Seconds)])],
                },
                .. ModelledTime(measurements),
                .. ModelledOverheadCharts(measurements),
                new Chart
                {
                    Title = "Causes of overhead by source",
                    ValueName = "events; guest instructions translated",
                    Layout = ChartLayout.Stacked,
                    Categories = names,
                    Series = [.. Enum.GetValues<OverheadSource>().Select(s => new ChartSeries(NameOf(s), [.. measurements.Select(m => (double)CountOf(m, s))]))],
                },
            ],
            Tables = [Figures(measurements), .. ModelledOverheadTables(measurements), Sources(measurements), .. ExitReasons(measurements), Exits(measurements)],
            Texts = [.. measurements.Where((m, i) => i == 0 || !m.Agrees).Select(m => new ReportText($"Console on {NameOf(m)}, its end", m.Console[Math.Max(0, m.Console.Length - ConsoleTail)..]))],
        };
    }

    private static string NameOf(EngineMeasurement measurement) => GuestText.Configuration(measurement.Engine, measurement.Paging);

    /// <summary>A source as the paper calls it.</summary>
    public static string NameOf(OverheadSource source) => source switch
    {
        OverheadSource.SystemCall => "syscall",
        OverheadSource.InputOutput => "in/out",
        OverheadSource.TaskPriority => "cr8wr",
        OverheadSource.CallReturn => "call/ret",
        OverheadSource.PageFault => "page fault",
        OverheadSource.PageTableWrite => "ptemod",
        OverheadSource.Translation => "translation",
        OverheadSource.TimeStamp => "rdtsc",
        OverheadSource.Other => "other",
        _ => $"{source}",
    };

    /// <summary>What the run would have taken on an older processor under each technique.</summary>
    private static IEnumerable<Chart> ModelledTime(IReadOnlyList<EngineMeasurement> measurements)
    {
        EngineMeasurement[] modelled = [.. measurements.Where(m => m.ModelledSeconds != null)];
        if (modelled.Length == 0)
            yield break;
        yield return new Chart
        {
            Title = "Modelled time",
            ValueName = $"seconds of {string.Join(", ", modelled.Select(m => m.Configuration.CostProfile.Name).Distinct())}",
            Categories = [.. modelled.Select(NameOf)],
            Series = [new ChartSeries("seconds", [.. modelled.Select(m => m.ModelledSeconds!.Value)])],
        };
    }

    /// <summary>The paper's two techniques, modelled from what a machine with shadow page tables counted; exits of hardware as they were counted.</summary>
    private static IEnumerable<(string Name, IReadOnlyList<ModelledOverhead> Overheads)> Modelled(IReadOnlyList<EngineMeasurement> measurements)
    {
        foreach (EngineMeasurement m in measurements.Where(m => m.Engine == EngineKind.HardwareAssist || (m.Engine == EngineKind.BinaryTranslation && m.Paging == PagingKind.Shadow)))
        {
            EventCounts counts = ModelledCost.CountsOf(m);
            foreach (CostTechnique technique in counts.Techniques.Where(t => t != CostTechnique.Native))
                yield return ($"{technique}, counts of {NameOf(m)}", ModelledOverhead.Of(s_profile, technique, counts));
        }
    }

    private static IEnumerable<Chart> ModelledOverheadCharts(IReadOnlyList<EngineMeasurement> measurements)
    {
        (string Name, IReadOnlyList<ModelledOverhead> Overheads)[] modelled = [.. Modelled(measurements)];
        if (modelled.Length == 0)
            yield break;
        yield return new Chart
        {
            Title = "Modelled overhead by source",
            ValueName = $"seconds more than the bare processor ({s_profile.Processor})",
            Layout = ChartLayout.Stacked,
            Categories = [.. modelled.Select(m => m.Name)],
            Series = [.. Enum.GetValues<OverheadSource>().Select(s => new ChartSeries(NameOf(s), [.. modelled.Select(m => m.Overheads.First(o => o.Source == s).Seconds)]))],
        };
    }

    private static IEnumerable<ReportTable> ModelledOverheadTables(IReadOnlyList<EngineMeasurement> measurements)
    {
        (string Name, IReadOnlyList<ModelledOverhead> Overheads)[] modelled = [.. Modelled(measurements)];
        if (modelled.Length == 0)
            yield break;
        yield return new ReportTable($"Modelled overhead by source, seconds ({s_profile.Name}; Get-VMCost has the prices and where they are from)",
            [new("Technique"), .. Enum.GetValues<OverheadSource>().Select(s => new ReportColumn(NameOf(s), true)), new("all", true)],
            [.. modelled.Select(m => (string[])[m.Name, .. m.Overheads.Select(o => Seconds(o.Seconds)), Seconds(m.Overheads.Sum(o => o.Seconds))])]);
    }

    private static long CountOf(EngineMeasurement measurement, OverheadSource source) => measurement.Overheads.FirstOrDefault(o => o.Source == source)?.Count ?? 0;

    private static ReportTable Figures(IReadOnlyList<EngineMeasurement> measurements) => new("Figures",
        [
            new("Configuration"), new("Instructions", true), new("Seconds", true), new("Modelled seconds", true), new("Spread", true), new("Runs", true), new("MIPS", true),
            new("Units translated", true), new("Callouts", true), new("Cache, bytes", true), new("Same as first"), new("Same every run"), new("Ended by"),
        ],
        [.. measurements.Select(m => new[]
        {
            NameOf(m), ReportBuilder.Number(m.Instructions), Seconds(m.Seconds), m.ModelledSeconds is { } modelled ? Seconds(modelled) : "", Seconds(m.Spread), $"{m.HostSeconds.Count}", ValueText.Of(m.Mips),
            ReportBuilder.Number(m.Units), ReportBuilder.Number(m.Callouts), ReportBuilder.Number(m.CacheBytes), m.Agrees ? "yes" : "no", m.Repeatable ? "yes" : "no",
            m.StopReason.Length > 0 ? m.StopReason : "its console text",
        })]);

    private static ReportTable Sources(IReadOnlyList<EngineMeasurement> measurements) => new("Causes of overhead by source",
        [new("Configuration"), .. Enum.GetValues<OverheadSource>().Select(s => new ReportColumn(NameOf(s), true)), new("Time translating, s", true), new("of host time", true)],
        [.. measurements.Select(m =>
        {
            TimeSpan? translating = m.Overheads.FirstOrDefault(o => o.Source == OverheadSource.Translation)?.HostTime;
            return (string[])
            [
                NameOf(m), .. Enum.GetValues<OverheadSource>().Select(s => ReportBuilder.Number(CountOf(m, s))),
                translating is { } time ? Seconds(time.TotalSeconds) : "", translating is { } part && m.Seconds > 0 ? (part.TotalSeconds / m.HostSeconds[0]).ToString("0 %", CultureInfo.InvariantCulture) : "",
            ];
        })]);

    /// <summary>Host time is that of the first run, as the counts are.</summary>
    private static IEnumerable<ReportTable> ExitReasons(IReadOnlyList<EngineMeasurement> measurements)
    {
        string[][] rows =
        [
            .. measurements.SelectMany(m => m.ExitReasons.Select(r => new[]
            {
                NameOf(m), r.Reason, ReportBuilder.Number(r.Count), ValueText.Of(r.MeanNanoseconds), ValueText.Of(r.HostTime.TotalMilliseconds), (r.HostTime.TotalSeconds / m.HostSeconds[0]).ToString("0.0 %", CultureInfo.InvariantCulture),
            })),
        ];
        if (rows.Length > 0)
            yield return new ReportTable("Host time of exits, from the exit until the guest can go on",
                [new("Configuration"), new("Reason"), new("Count", true), new("Mean, ns", true), new("All, ms", true), new("of host time", true)], rows);
    }

    /// <summary>A row for each kind of exit, a column for each configuration.</summary>
    private static ReportTable Exits(IReadOnlyList<EngineMeasurement> measurements)
    {
        Dictionary<(ExitKind, string), long>[] counts = [.. measurements.Select(m => m.Exits.GroupBy(e => (e.Kind, e.Detail)).ToDictionary(g => g.Key, g => g.Sum(e => e.Count)))];
        IEnumerable<(ExitKind Kind, string Detail)> kinds = counts.SelectMany(c => c.Keys).Distinct().OrderByDescending(k => counts.Max(c => c.GetValueOrDefault(k)));
        return new ReportTable("Exits and other events by reason",
            [new("Kind"), new("Detail"), .. measurements.Select(m => new ReportColumn(NameOf(m), true))],
            [.. kinds.Select(k => (string[])[$"{k.Kind}", k.Detail, .. counts.Select(c => ReportBuilder.Number(c.GetValueOrDefault(k)))])]);
    }

    private static string Seconds(double value) => value.ToString("0.000", CultureInfo.InvariantCulture);
}
