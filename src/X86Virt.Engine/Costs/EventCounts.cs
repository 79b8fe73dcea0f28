using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Costs;

/// <summary>How often something was counted; a fraction where it is a mean.</summary>
public readonly record struct CountedExit(ExitKind Kind, long? Number, string Detail, double Count);

/// <summary>How often each <see cref="CostEvent"/> happened: what machines count, sorted by what it costs.</summary>
public sealed class EventCounts
{
    private const long PageFaultVector = 14;

    private readonly double[] _counts = new double[Enum.GetValues<CostEvent>().Length];

    private EventCounts(bool hasExits) => HasExits = hasExits;

    /// <summary>Whether exits of hardware assist were counted, so that they need not be derived from other events.</summary>
    public bool HasExits { get; }

    /// <summary>
    /// What can be priced: with hardware assist neither the TLB misses of the guest nor the work of a translator were counted, so there is no software VMM.
    /// </summary>
    public IEnumerable<CostTechnique> Techniques => Enum.GetValues<CostTechnique>().Where(t => t != CostTechnique.SoftwareVmm || !HasExits);

    /// <summary>Stores to traced page tables where each of them was an exit for a page fault, and is priced as that.</summary>
    internal double TracesAtExits { get; private init; }

    public double this[CostEvent e] => _counts[(int)e];

    /// <param name="instructions">Instructions retired.</param>
    /// <param name="exits">What was counted meanwhile.</param>
    /// <param name="hasExits">
    /// The machine ran on hardware assist: its #VMEXITs are those of the monitor. What its shadow pager was asked is part of them then.
    /// </param>
    public static EventCounts Of(double instructions, IEnumerable<CountedExit> exits, bool hasExits)
    {
        CountedExit[] all = [.. exits];
        var counts = new EventCounts(hasExits) { TracesAtExits = hasExits ? all.Where(e => e.Kind == ExitKind.TraceWrite).Sum(e => e.Count) : 0 };
        double ordinary = instructions;
        foreach (CountedExit exit in all)
        {
            if (EventOf(exit, hasExits) is not { } e)
                continue;
            counts._counts[(int)e] += exit.Count;
            ordinary -= InstructionsOf(e) * exit.Count;
        }
        counts._counts[(int)CostEvent.Instruction] = ordinary;
        return counts;
    }

    public static EventCounts Of(MachineStatistics statistics, bool hasExits)
        => Of(statistics.InstructionsRetired, statistics.Exits.Select(e => new CountedExit(e.Kind, e.Number, e.Detail, e.Count)), hasExits);

    /// <summary>What is left of these counts without others.</summary>
    public EventCounts Without(EventCounts other)
    {
        var counts = new EventCounts(HasExits);
        for (int i = 0; i < _counts.Length; i++)
            counts._counts[i] = _counts[i] - other._counts[i];
        return counts;
    }

    /// <summary>Null for what is counted as something else, too.</summary>
    private static CostEvent? EventOf(CountedExit exit, bool hasExits) => exit.Kind switch
    {
        ExitKind.IndirectBranch => CostEvent.IndirectBranch,
        ExitKind.SystemCall => CostEvent.SystemCall,
        ExitKind.SoftwareInterrupt => CostEvent.SoftwareInterrupt,
        ExitKind.Interrupt or ExitKind.Nmi => CostEvent.Interrupt,
        ExitKind.Exception => exit.Number == PageFaultVector ? CostEvent.PageFault : CostEvent.Exception,
        ExitKind.PortIo => CostEvent.PortAccess,
        ExitKind.DeviceMemory => CostEvent.DeviceAccess,
        ExitKind.ControlRegisterWrite => exit.Number switch { 8 => CostEvent.TaskPriorityWrite, 3 => CostEvent.AddressSpaceWrite, _ => CostEvent.ControlRegisterWrite },
        ExitKind.ControlRegisterRead => CostEvent.ControlRegisterRead,
        ExitKind.DebugRegister => CostEvent.DebugRegister,
        ExitKind.MsrRead or ExitKind.MsrWrite => CostEvent.ModelSpecificRegister,
        ExitKind.Cpuid => CostEvent.Cpuid,
        ExitKind.TimeStamp => CostEvent.TimeStamp,
        ExitKind.PageInvalidation => CostEvent.PageInvalidation,
        ExitKind.Halt => CostEvent.Halt,
        ExitKind.Translation when !hasExits => CostEvent.Translation,
        ExitKind.HiddenPageFault when !hasExits => exit.Detail switch
        {
            MachineStatistics.RefillDetail => CostEvent.TlbMiss,
            // A processor's TLB holds large pages whole.
            MachineStatistics.LargeRefillDetail => null,
            _ => CostEvent.HiddenPageFault,
        },
        ExitKind.TraceWrite when !hasExits => exit.Detail == MachineStatistics.NotPresentDetail ? CostEvent.TraceOfNotPresent : CostEvent.TraceOfPresent,
        ExitKind.GuestExit when hasExits => ExitOf((SvmExitCode)exit.Number!.Value),
        ExitKind.NestedPaging when hasExits && exit.Detail == MachineStatistics.ReferenceDetail => CostEvent.WalkReference,
        _ => null,
    };

    private static CostEvent ExitOf(SvmExitCode code) => code switch
    {
        SvmExitCode.Port => CostEvent.PortExit,
        SvmExitCode.Exception0 + (int)PageFaultVector or SvmExitCode.NestedPageFault => CostEvent.PageFaultExit,
        _ => CostEvent.OtherExit,
    };

    /// <summary>Instructions that are part of an event: those that raise it and return from it.</summary>
    internal static int InstructionsOf(CostEvent e) => e switch
    {
        CostEvent.SystemCall or CostEvent.SoftwareInterrupt => 2,
        CostEvent.TlbMiss or CostEvent.HiddenPageFault or CostEvent.TraceOfPresent or CostEvent.TraceOfNotPresent => 0,
        CostEvent.Translation or CostEvent.DeviceAccess or >= CostEvent.PortExit => 0,
        _ => 1,
    };
}
