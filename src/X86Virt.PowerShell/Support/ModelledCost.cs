using X86Virt.Engine;
using X86Virt.Engine.Costs;

namespace X86Virt.PowerShell;

/// <summary>Counts of what cmdlets write, as the cost model takes them.</summary>
internal static class ModelledCost
{
    public static EventCounts CountsOf(VirtualMachine machine) => EventCounts.Of(machine.ReadStatistics(), HasExits(machine.Engine));

    public static EventCounts CountsOf(EngineMeasurement m) => EventCounts.Of(new MachineStatistics(m.Instructions, m.Exits), HasExits(m.Engine));

    /// <summary>Those of one iteration.</summary>
    public static EventCounts CountsOf(NanobenchmarkResult result)
        => EventCounts.Of(result.Instructions, result.Events.Select(e => new CountedExit(e.Kind, e.Number, e.Detail, e.PerIteration)), HasExits(result.Engine));

    /// <summary>What a run would have taken on the processor of the machine's cost profile, under the technique that its engine stands for.</summary>
    public static double? SecondsOf(MachineConfiguration configuration, EngineRun run)
        => (CyclesOf(configuration, EventCounts.Of(run.Statistics, HasExits(configuration.Engine))) ?? run.Hybrid?.Cycles) / configuration.CostProfile.Frequency;

    /// <summary>
    /// What events cost by the machine's cost profile, under the technique that its engine stands for; null if it stands for none, or for two. Refills of
    /// the TLB are left out, as silicon does not count them.
    /// </summary>
    public static double? CyclesOf(MachineConfiguration configuration, EventCounts counts)
    {
        CostTechnique? technique = configuration.Engine switch
        {
            EngineKind.BinaryTranslation => CostTechnique.SoftwareVmm,
            EngineKind.HardwareAssist => CostTechnique.HardwareVmm,
            _ => null,
        };
        return technique is { } t ? configuration.CostProfile.Price(t, counts).Where(c => c.Event != CostEvent.TlbMiss).Sum(c => c.Cycles) : null;
    }

    private static bool HasExits(EngineKind engine) => engine == EngineKind.HardwareAssist;
}
