using X86Virt.Engine.Costs;
using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Monitors;

/// <summary>The events of a guest that cost one technique more than another, read where they are counted: by <see cref="CostEvent"/>, those of exits apart.</summary>
internal static class EventMix
{
    public const int Size = (int)CostEvent.PortExit;

    /// <summary>What a processor has counted so far.</summary>
    public static void Read(CpuStatistics c, long retired, Span<long> counts)
    {
        Set(counts, CostEvent.IndirectBranch, c.IndirectBranches);
        Set(counts, CostEvent.SystemCall, c.Syscalls);
        Set(counts, CostEvent.SoftwareInterrupt, c.SoftwareInterrupts);
        Set(counts, CostEvent.Interrupt, c.Interrupts + c.Nmis);
        Set(counts, CostEvent.PageFault, c.Exceptions[(int)Vector.PageFault]);
        Set(counts, CostEvent.Exception, Sum(c.Exceptions) - c.Exceptions[(int)Vector.PageFault]);
        Set(counts, CostEvent.PortAccess, c.PortReads + c.PortWrites);
        Set(counts, CostEvent.DeviceAccess, c.DeviceAccesses);
        Set(counts, CostEvent.TaskPriorityWrite, c.ControlRegisterWrites[8]);
        Set(counts, CostEvent.AddressSpaceWrite, c.ControlRegisterWrites[3]);
        Set(counts, CostEvent.ControlRegisterWrite, Sum(c.ControlRegisterWrites) - c.ControlRegisterWrites[8] - c.ControlRegisterWrites[3]);
        Set(counts, CostEvent.ControlRegisterRead, c.ControlRegisterReads);
        Set(counts, CostEvent.DebugRegister, c.DebugRegisterAccesses);
        Set(counts, CostEvent.ModelSpecificRegister, c.MsrReads.Total + c.MsrWrites.Total);
        Set(counts, CostEvent.Cpuid, c.Cpuids);
        Set(counts, CostEvent.TimeStamp, c.TimeStampReads);
        Set(counts, CostEvent.PageInvalidation, c.PageInvalidations);
        Set(counts, CostEvent.Halt, c.Halts);
        // Refills are left out: the silicon makes its own, uncounted, and they cost the same.
        Set(counts, CostEvent.HiddenPageFault, c.Paging.FirstUses + c.Paging.Walks);
        Set(counts, CostEvent.TraceOfNotPresent, c.Paging.TraceClears);
        Set(counts, CostEvent.TraceOfPresent, c.Paging.TraceWrites - c.Paging.TraceClears);
        Set(counts, CostEvent.Translation, c.TranslatedInstructions);
        long ordinary = retired;
        for (CostEvent e = CostEvent.Instruction + 1; (int)e < Size; e++)
            ordinary -= EventCounts.InstructionsOf(e) * counts[(int)e];
        Set(counts, CostEvent.Instruction, ordinary);
    }

    /// <summary>What one event of each kind costs under a technique, in cycles.</summary>
    public static double[] Prices(CostProfile profile, CostTechnique technique)
        => [.. Enumerable.Range(0, Size).Select(e => profile.Price(technique, (CostEvent)e).Sum(t => t.Constant.Cycles * t.Times))];

    private static void Set(Span<long> counts, CostEvent e, long count) => counts[(int)e] = count;

    private static long Sum(long[] counts)
    {
        long sum = 0;
        foreach (long count in counts)
            sum += count;
        return sum;
    }
}
