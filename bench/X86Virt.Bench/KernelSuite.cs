using X86Virt.Engine;

namespace X86Virt.Bench;

/// <summary>
/// Runs kernels on every target in turns, checks that all compute the same, and takes the median run of each: what else the host is
/// doing then falls on all of them alike.
/// </summary>
internal sealed class KernelSuite(Options options, IReadOnlyList<ITarget> targets, Report report)
{
    private readonly ITarget? _native = targets.FirstOrDefault(t => t is NativeTarget);
    private readonly ITarget? _peer = targets.FirstOrDefault(t => t is QemuTarget);

    /// <summary>What engines that stand on it are compared with.</summary>
    private readonly ITarget? _translation = targets.FirstOrDefault(t => t is EngineTarget { Choice.Engine: EngineKind.BinaryTranslation });

    /// <summary>False if a target computed something else than the others, or did not come to its end.</summary>
    public bool Run(Suite suite, int bits)
    {
        Benchmark[] benchmarks = [.. Catalogue.All.Where(b => b.Suite == suite && options.Wants(b))];
        if (benchmarks.Length == 0)
            return true;
        ITarget[] chosen = [.. targets.Where(t => benchmarks.Any(b => t.Has(b, bits)))];
        bool hasNative = _native != null && chosen.Contains(_native);
        if (suite == Suite.Compute && _native != null && !hasNative)
            Report.Complain($"this host runs no {bits}-bit programs; times are nanoseconds a unit.");
        ITarget[] engines = [.. chosen.Where(t => t is EngineTarget)];
        Ratio[] ratios = [.. Ratios(suite, engines)];
        report.Title(TitleOf(suite, bits, hasNative));
        report.Header([suite == Suite.Compute ? "kernel" : "operation", .. chosen.Select(t => t == _native ? "native, ns a unit" : t.Name), .. ratios.Select(r => $"{r.Of.Name} / {r.By.Name}")]);
        var slowness = chosen.ToDictionary(t => t, _ => new List<double>());
        var known = new Dictionary<string, Dictionary<ITarget, double>>();
        bool right = true;
        foreach (Benchmark benchmark in benchmarks)
        {
            Dictionary<ITarget, double> times = Measure(benchmark, bits, [.. chosen.Where(t => t.Has(benchmark, bits))], out string? trouble);
            known[benchmark.Name] = times;
            double Cell(ITarget t) => times.GetValueOrDefault(t, double.NaN) - (benchmark.Beyond is { } less ? known.GetValueOrDefault(less)?.GetValueOrDefault(t, double.NaN) ?? double.NaN : 0);
            double scale = hasNative ? Cell(_native!) : 1;
            foreach (ITarget target in chosen)
                slowness[target].Add(Cell(target) / scale);
            foreach (Ratio ratio in ratios)
                ratio.Values.Add(Cell(ratio.Of) / Cell(ratio.By));
            report.Row([benchmark.Title, .. chosen.Select(t => Report.Number(t == _native ? Cell(t) : Cell(t) / scale)), .. ratios.Select(r => Report.Number(r.Values[^1]))]);
            foreach (ITarget target in chosen)
                report.Record(suite.ToString(), benchmark.Name, bits, target.Name, Cell(target), hasNative ? Cell(target) / Cell(_native!) : double.NaN, _peer == null ? double.NaN : Cell(_peer) / Cell(target));
            if (trouble != null)
            {
                right = false;
                Report.Complain(trouble);
            }
        }
        // Operations are too unlike each other for a mean of their times.
        if (suite != Suite.Virtualization)
            report.Row(["**geometric mean**", .. chosen.Select(t => suite == Suite.System || t == _native ? "" : Report.Number(GeometricMean(slowness[t]))), .. ratios.Select(r => Report.Number(GeometricMean(r.Values)))]);
        return right;
    }

    private sealed record Ratio(ITarget Of, ITarget By)
    {
        public List<double> Values { get; } = [];
    }

    /// <summary>How much faster engines are than the peer, and how much slower than the translator those are that have it execute their guests.</summary>
    private IEnumerable<Ratio> Ratios(Suite suite, ITarget[] engines)
    {
        if (suite == Suite.Virtualization)
            yield break;
        foreach (ITarget engine in engines)
        {
            if (_peer != null)
                yield return new Ratio(_peer, engine);
        }
        foreach (ITarget engine in engines)
        {
            if (_translation != null && engine is EngineTarget { HasMonitor: true })
                yield return new Ratio(engine, _translation);
        }
    }

    private static string TitleOf(Suite suite, int bits, bool hasNative) => suite switch
    {
        Suite.Compute => $"Compute guests, {bits}-bit: {(hasNative ? "times slower than the host" : "ns a unit")}",
        Suite.System => $"System operations, {bits}-bit: ns each",
        _ => "Virtualization: ns each",
    };

    /// <summary>Nanoseconds a unit by target; a target that failed is left out and named in <paramref name="trouble"/>.</summary>
    private Dictionary<ITarget, double> Measure(Benchmark benchmark, int bits, ITarget[] chosen, out string? trouble)
    {
        var passes = chosen.ToDictionary(t => t, _ => new List<double>());
        var checksums = new Dictionary<uint, (ITarget From, string Value)>();
        trouble = null;
        for (int turn = 0; turn < options.Repeat; turn++)
        {
            foreach (ITarget target in chosen.Where(passes.ContainsKey).ToArray())
            {
                uint units = Math.Max(1, benchmark.Units / target.Divisor / options.Divisor);
                try
                {
                    if (target.Divisor != 1 && !checksums.ContainsKey(units))
                        checksums[units] = (chosen[0], chosen[0].Run(benchmark, bits, units, options.Passes).Checksum);
                    Run run = target.Run(benchmark, bits, units, options.Passes);
                    checksums.TryAdd(units, (target, run.Checksum));
                    if (checksums[units].Value != run.Checksum)
                        throw new BenchmarkException($"{benchmark.Name} ({bits} bits): {target.Name} computed {run.Checksum}, {checksums[units].From.Name} {checksums[units].Value}.");
                    // The first pass is for the caches: translated code, decoded code, the host's.
                    passes[target].Add(run.PassTimes.Skip(1).DefaultIfEmpty(run.PassTimes[0]).Average() / units);
                }
                catch (BenchmarkException e)
                {
                    passes.Remove(target);
                    trouble = trouble == null ? e.Message : $"{trouble}\n{e.Message}";
                }
            }
        }
        return passes.ToDictionary(p => p.Key, p => Median(p.Value));
    }

    public static double Median(List<double> values)
    {
        double[] sorted = [.. values.Order()];
        int middle = sorted.Length / 2;
        return sorted.Length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    }

    private static double GeometricMean(List<double> values) => Math.Exp(values.Average(Math.Log));
}
