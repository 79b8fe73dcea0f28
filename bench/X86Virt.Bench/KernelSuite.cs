namespace X86Virt.Bench;

/// <summary>
/// Runs kernels on every target in turns, checks that all compute the same, and takes the median run of each: what else the host is
/// doing then falls on all of them alike.
/// </summary>
internal sealed class KernelSuite(Options options, IReadOnlyList<ITarget> targets, Report report)
{
    private readonly ITarget? _native = targets.FirstOrDefault(t => t is NativeTarget);
    private readonly ITarget? _peer = targets.FirstOrDefault(t => t is QemuTarget);

    /// <summary>False if a target computed something else than the others, or did not come to its end.</summary>
    public bool Run(Suite suite, int bits)
    {
        Benchmark[] benchmarks = [.. Catalogue.All.Where(b => b.Suite == suite && options.Wants(b))];
        if (benchmarks.Length == 0)
            return true;
        ITarget[] chosen = [.. targets.Where(t => suite == Suite.Compute || t is not NativeTarget)];
        ITarget[] engines = [.. chosen.Where(t => t is EngineTarget)];
        ITarget[] peers = _peer == null ? [] : engines;
        report.Title(suite == Suite.Compute ? $"Compute guests, {bits}-bit: times slower than the host" : $"System operations, {bits}-bit: ns each");
        report.Header([suite == Suite.Compute ? "kernel" : "operation", .. chosen.Select(t => t == _native ? "native, ns a unit" : t.Name), .. peers.Select(e => $"QEMU / {e.Name}")]);
        var slowness = engines.Concat(peers).Append(_peer).OfType<ITarget>().Distinct().ToDictionary(t => t, _ => new List<double>());
        var advantage = engines.ToDictionary(t => t, _ => new List<double>());
        bool right = true;
        foreach (Benchmark benchmark in benchmarks)
        {
            Dictionary<ITarget, double> times = Measure(benchmark, bits, chosen, out string? trouble);
            double Cell(ITarget t) => times.GetValueOrDefault(t, double.NaN);
            double scale = suite == Suite.Compute ? Cell(chosen[0]) : 1;
            foreach ((ITarget target, List<double> list) in slowness)
                list.Add(Cell(target) / scale);
            foreach (ITarget engine in peers)
                advantage[engine].Add(Cell(_peer!) / Cell(engine));
            report.Row([benchmark.Title, .. chosen.Select(t => Report.Number(t == _native ? Cell(t) : Cell(t) / scale)), .. peers.Select(e => Report.Number(Cell(_peer!) / Cell(e)))]);
            foreach (ITarget target in chosen)
                report.Record(suite.ToString(), benchmark.Name, bits, target.Name, Cell(target), _native == null ? double.NaN : Cell(target) / Cell(_native), _peer == null ? double.NaN : Cell(_peer) / Cell(target));
            if (trouble != null)
            {
                right = false;
                Report.Complain(trouble);
            }
        }
        report.Row(["**geometric mean**", .. chosen.Select(t => suite == Suite.System || t == _native ? "" : Report.Number(GeometricMean(slowness[t]))), .. peers.Select(e => Report.Number(GeometricMean(advantage[e])))]);
        return right;
    }

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
