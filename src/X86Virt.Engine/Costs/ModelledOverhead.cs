namespace X86Virt.Engine.Costs;

/// <summary>What a technique costs more than the bare processor for the same events, of one source; negative where it costs less.</summary>
/// <param name="Source">The source.</param>
/// <param name="Cycles">Cycles more.</param>
/// <param name="Seconds">The same in seconds.</param>
public sealed record ModelledOverhead(OverheadSource Source, double Cycles, double Seconds)
{
    /// <summary>All sources in their order: Adams and Agesen's figure 5, modelled from counts.</summary>
    /// <remarks>
    /// Exits for page faults, where exits were counted, are of three sources; their costs are shared out by the counts of accesses of devices and of
    /// stores to page tables, each of which was one, and of what is left.
    /// </remarks>
    public static IReadOnlyList<ModelledOverhead> Of(CostProfile profile, CostTechnique technique, EventCounts counts)
    {
        var cycles = new double[Enum.GetValues<OverheadSource>().Length];
        foreach (EventCost cost in profile.Price(technique, counts))
            Add(cost, 1);
        foreach (EventCost cost in profile.Price(CostTechnique.Native, counts))
            Add(cost, -1);
        return [.. Enum.GetValues<OverheadSource>().Select(s => new ModelledOverhead(s, cycles[(int)s], cycles[(int)s] / profile.Frequency))];

        void Add(EventCost cost, int sign)
        {
            double rest = cost.Cycles * sign;
            if (cost.Event == CostEvent.PageFaultExit)
            {
                rest -= Take(OverheadSource.InputOutput, counts[CostEvent.DeviceAccess]);
                rest -= Take(OverheadSource.PageTableWrite, counts.TracesAtExits);
            }
            cycles[(int)SourceOf(cost.Event)] += rest;

            double Take(OverheadSource source, double count)
            {
                double part = Math.Min(rest * sign, count * cost.CyclesEach) * sign;
                cycles[(int)source] += part;
                return part;
            }
        }
    }

    private static OverheadSource SourceOf(CostEvent e) => e switch
    {
        CostEvent.SystemCall => OverheadSource.SystemCall,
        CostEvent.PortAccess or CostEvent.DeviceAccess or CostEvent.PortExit => OverheadSource.InputOutput,
        CostEvent.TaskPriorityWrite => OverheadSource.TaskPriority,
        CostEvent.IndirectBranch => OverheadSource.CallReturn,
        CostEvent.PageFault or CostEvent.HiddenPageFault or CostEvent.TlbMiss or CostEvent.PageFaultExit or CostEvent.WalkReference => OverheadSource.PageFault,
        CostEvent.TraceOfPresent or CostEvent.TraceOfNotPresent => OverheadSource.PageTableWrite,
        CostEvent.Translation => OverheadSource.Translation,
        CostEvent.TimeStamp => OverheadSource.TimeStamp,
        _ => OverheadSource.Other,
    };
}
