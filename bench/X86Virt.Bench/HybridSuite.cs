using X86Virt.Engine;
using X86Virt.Engine.Costs;
using X86Virt.Engine.Monitors;
using X86Virt.Engine.Processor;

namespace X86Virt.Bench;

/// <summary>
/// Every kernel once under either technique alone and under both by turns, in cycles of the cost profile's processor, which are the same on every run; and what a
/// change of techniques takes of the host's time.
/// </summary>
internal sealed class HybridSuite(Options options, GuestPrograms programs, Report report)
{
    private const int Bits = 64;

    // The techniques are compared on what the cost model knows of, and that is shadow paging.
    private static readonly EngineChoice _software = new(EngineKind.BinaryTranslation), _hardware = new(EngineKind.HardwareAssist, PagingKind.Shadow), _both = new(EngineKind.Hybrid);

    public void Run()
    {
        CostProfile profile = CostProfiles.Pentium4;
        report.Title($"Hybrid: millions of modelled cycles ({profile.Name})");
        report.Header(["kernel", "BinaryTranslation", "HardwareAssist", "Hybrid", "Hybrid / better", "changes", "median change, ns"]);
        foreach (Benchmark benchmark in Catalogue.All.Where(b => b.Suite != Suite.Virtualization && options.Wants(b)))
        {
            double software = Cycles(_software, benchmark, profile, CostTechnique.SoftwareVmm), hardware = Cycles(_hardware, benchmark, profile, CostTechnique.HardwareVmm);
            using VirtualMachine machine = Complete(_both, benchmark, profile);
            HybridSummary summary = machine.ReadHybridSummary();
            List<double> changes = [.. machine.ReadHybridHistory().Select(c => c.Nanoseconds)];
            double median = changes.Count == 0 ? double.NaN : KernelSuite.Median(changes);
            report.Row([benchmark.Title, .. new[] { software, hardware, summary.Cycles }.Select(c => Report.Number(c / 1e6)), $"{summary.Cycles / Math.Min(software, hardware):0.000}", $"{summary.Switches}", Report.Number(median)]);
            report.Record("Hybrid", benchmark.Name, Bits, "change", median, double.NaN, double.NaN);
        }
    }

    private double Cycles(EngineChoice choice, Benchmark benchmark, CostProfile profile, CostTechnique technique)
    {
        using VirtualMachine machine = Complete(choice, benchmark, profile);
        EventCounts counts = EventCounts.Of(machine.ReadStatistics(), hasExits: technique == CostTechnique.HardwareVmm);
        // Refills of the TLB are what no technique counts alike.
        return profile.Price(technique, counts).Where(c => c.Event != CostEvent.TlbMiss).Sum(c => c.Cycles);
    }

    private VirtualMachine Complete(EngineChoice choice, Benchmark benchmark, CostProfile profile)
    {
        var target = new EngineTarget(choice, programs);
        var machine = new VirtualMachine(target.Configure(benchmark, Bits, Math.Max(1, benchmark.Units / options.Divisor), options.Passes) with { CostProfile = profile });
        target.Complete(machine, benchmark, Bits);
        return machine;
    }
}
