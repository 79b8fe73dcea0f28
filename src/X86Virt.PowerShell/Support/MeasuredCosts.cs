using X86Virt.Engine;
using X86Virt.Engine.Costs;
using X86Virt.Guests;

namespace X86Virt.PowerShell;

/// <summary>A cost profile of this host: nanoseconds that events take on the binary translator, from the nanobenchmark kernel's loops.</summary>
internal static class MeasuredCosts
{
    private const string EmptyLoop = "empty";
    private const double NanosecondsPerSecond = 1e9;

    /// <summary>Which operation measures which event.</summary>
    private static readonly (CostEvent Event, string Operation)[] s_events =
    [
        (CostEvent.IndirectBranch, "callret"), (CostEvent.SystemCall, "syscall"), (CostEvent.Exception, "divzero"), (CostEvent.PageFault, "pgfault"),
        (CostEvent.PortAccess, "in"), (CostEvent.TaskPriorityWrite, "cr8wr"), (CostEvent.AddressSpaceWrite, "cr3"), (CostEvent.ModelSpecificRegister, "rdmsr"),
        (CostEvent.Cpuid, "cpuid"), (CostEvent.TimeStamp, "rdtsc"), (CostEvent.PageInvalidation, "invlpg"),
        (CostEvent.TraceOfPresent, "ptesame"), (CostEvent.TraceOfNotPresent, "pteclear"),
    ];

    /// <summary>Operations that are measured.</summary>
    public static IReadOnlyList<string> Operations { get; } =
        [EmptyLoop, .. s_events.Select(e => e.Operation), .. s_events.Select(e => BuiltInGuest.NanobenchmarkBaseLoop(e.Operation)).Where(o => o != EmptyLoop).Distinct()];

    /// <param name="nanoseconds">Host time of one iteration, by operation.</param>
    public static CostProfile Profile(IReadOnlyDictionary<string, double> nanoseconds)
    {
        const CostTechnique Software = CostTechnique.SoftwareVmm;
        var prices = new Dictionary<(CostTechnique, CostEvent), CostTerm[]>();
        var constants = new List<CostConstant>();
        const int InstructionsOfEmptyLoop = 2;
        Add(CostEvent.Instruction, nanoseconds[EmptyLoop] / InstructionsOfEmptyLoop, EmptyLoop);
        foreach ((CostEvent e, string operation) in s_events)
        {
            // What is too little to be told from noise costs nothing.
            Add(e, Math.Max(0, nanoseconds[operation] - nanoseconds[BuiltInGuest.NanobenchmarkBaseLoop(operation)]), operation);
        }
        return new CostProfile("Measured", $"this host ({Environment.ProcessorCount} processors), nanoseconds", NanosecondsPerSecond, constants, prices);

        void Add(CostEvent e, double each, string operation)
        {
            var constant = new CostConstant(e.ToString(), $"{e} on BinaryTranslation", each, "event", CostBasis.Measured, $"Invoke-VMNanobenchmark {operation}, less its loop") { Row = operation, Technique = Software };
            constants.Add(constant);
            prices[(Software, e)] = [new CostTerm(constant, 1)];
        }
    }
}
