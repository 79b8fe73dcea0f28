using X86Virt.Engine;
using X86Virt.Engine.Costs;
using X86Virt.Guests;

namespace X86Virt.PowerShell;

/// <summary>A cost profile of this host: nanoseconds that events take on the binary translator and on hardware assist, from the nanobenchmark kernel's loops.</summary>
internal static class MeasuredCosts
{
    private const string EmptyLoop = "empty";
    private const double NanosecondsPerSecond = 1e9;

    /// <summary>Which operation measures which event; whether that is an exit of hardware assist.</summary>
    private static readonly (CostEvent Event, string Operation, bool Exits)[] s_events =
    [
        (CostEvent.IndirectBranch, "callret", false), (CostEvent.SystemCall, "syscall", false), (CostEvent.Exception, "divzero", false), (CostEvent.PageFault, "pgfault", true),
        (CostEvent.PortAccess, "in", true), (CostEvent.TaskPriorityWrite, "cr8wr", false), (CostEvent.AddressSpaceWrite, "cr3", true), (CostEvent.ModelSpecificRegister, "rdmsr", true),
        (CostEvent.Cpuid, "cpuid", true), (CostEvent.TimeStamp, "rdtsc", false), (CostEvent.PageInvalidation, "invlpg", true),
        (CostEvent.TraceOfPresent, "ptesame", true), (CostEvent.TraceOfNotPresent, "pteclear", true), (CostEvent.HiddenPageFault, "pteset", true),
    ];

    /// <summary>What to take off: a store that makes an entry present is a trace besides its first use.</summary>
    private static string LoopOf(string operation) => operation == "pteset" ? "ptesame" : BuiltInGuest.NanobenchmarkBaseLoop(operation);

    /// <summary>Exits are priced as an event of their kind.</summary>
    private static readonly (CostEvent Exit, CostEvent Event)[] s_exits =
        [(CostEvent.PageFaultExit, CostEvent.HiddenPageFault), (CostEvent.PortExit, CostEvent.PortAccess), (CostEvent.OtherExit, CostEvent.Cpuid)];

    /// <summary>Operations that are measured.</summary>
    public static IReadOnlyList<string> Operations { get; } = [.. s_events.SelectMany(e => (string[])[e.Operation, LoopOf(e.Operation)]).Append(EmptyLoop).Distinct()];

    /// <param name="software">Host time of one iteration on BinaryTranslation, by operation.</param>
    /// <param name="hardware">The same on HardwareAssist with shadow page tables.</param>
    /// <param name="change">Host time of a change of techniques.</param>
    public static CostProfile Profile(IReadOnlyDictionary<string, double> software, IReadOnlyDictionary<string, double> hardware, double change)
    {
        var prices = new Dictionary<(CostTechnique, CostEvent), CostTerm[]>();
        var constants = new List<CostConstant>();
        AddAll(CostTechnique.SoftwareVmm, EngineKind.BinaryTranslation, software);
        AddAll(CostTechnique.HardwareVmm, EngineKind.HardwareAssist, hardware);
        foreach ((CostEvent exit, CostEvent e) in s_exits)
            prices[(CostTechnique.HardwareVmm, exit)] = [prices[(CostTechnique.HardwareVmm, e)][0] with { AtExit = false }];
        constants.Add(new CostConstant(CostProfile.TechniqueChange, "a change of techniques by Hybrid", change, "change", CostBasis.Measured, "Hybrid, its median"));
        return new CostProfile("Measured", $"this host ({Environment.ProcessorCount} processors), nanoseconds", NanosecondsPerSecond, constants, prices);

        void AddAll(CostTechnique technique, EngineKind engine, IReadOnlyDictionary<string, double> nanoseconds)
        {
            const int InstructionsOfEmptyLoop = 2;
            // A loop of two instructions differs by where it lies more than by the engine: translated code is the same on both.
            Add(CostEvent.Instruction, software[EmptyLoop] / InstructionsOfEmptyLoop, EmptyLoop, false);
            foreach ((CostEvent e, string operation, bool exits) in s_events)
            {
                // What is too little to be told from noise costs nothing.
                Add(e, Math.Max(0, nanoseconds[operation] - nanoseconds[LoopOf(operation)]), operation, exits && technique == CostTechnique.HardwareVmm);
            }

            void Add(CostEvent e, double each, string operation, bool atExit)
            {
                var constant = new CostConstant($"{e}{technique}", $"{e} on {engine}", each, "event", CostBasis.Measured, $"Invoke-VMNanobenchmark {operation}, less its loop") { Row = operation, Technique = technique };
                constants.Add(constant);
                prices[(technique, e)] = [new CostTerm(constant, 1, atExit)];
            }
        }
    }
}
