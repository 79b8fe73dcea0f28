namespace X86Virt.Engine;

/// <summary>What virtualization costs time for: the groups of figure 5 in Adams and Agesen's paper (ASPLOS 2006), and time-stamp reads, which today's guests do much.</summary>
public enum OverheadSource
{
    /// <summary>System calls by SYSCALL and SYSENTER.</summary>
    SystemCall,

    /// <summary>Accesses of ports and of device memory.</summary>
    InputOutput,

    /// <summary>Writes of the task priority: CR8, or the TPR of an x2APIC. Where it is written in the APIC's page it counts as input and output.</summary>
    TaskPriority,

    /// <summary>The kernel's near returns, indirect jumps and indirect calls, which a translator must look up; none where nothing is translated.</summary>
    CallReturn,

    /// <summary>Page faults that the guest saw, and hidden ones that it did not.</summary>
    PageFault,

    /// <summary>Stores to page tables that have shadows (ptemod).</summary>
    PageTableWrite,

    /// <summary>Guest instructions translated.</summary>
    Translation,

    /// <summary>RDTSC, RDTSCP.</summary>
    TimeStamp,

    /// <summary>All other events that are counted.</summary>
    Other,
}

/// <summary>How often there was cause for overhead of one source.</summary>
/// <param name="Source">The source.</param>
/// <param name="Count">Events, or guest instructions translated.</param>
/// <param name="HostTime">What it took of the host's time, where that is measured.</param>
public sealed record Overhead(OverheadSource Source, long Count, TimeSpan? HostTime = null)
{
    private const long TaskPriority = 8, X2ApicTaskPriority = 0x808, PageFaultVector = 14;

    /// <summary>
    /// All sources in their order. An event is in one of them, whatever technique dealt with it: an access to a port that was also a callout, or an
    /// exit of hardware, is input and output and nothing else.
    /// </summary>
    /// <param name="statistics">What was counted.</param>
    /// <param name="translation">What was translated over the same time; null if nothing was, or if that is the affair of virtual silicon.</param>
    public static IReadOnlyList<Overhead> BySource(MachineStatistics statistics, TranslationCacheInfo? translation)
    {
        var counts = new long[Enum.GetValues<OverheadSource>().Length];
        foreach (ExitCount exit in statistics.Exits)
        {
            if (SourceOf(exit) is { } source)
                counts[(int)source] += exit.Count;
        }
        counts[(int)OverheadSource.Translation] = translation?.InstructionsTranslated ?? 0;
        if (translation == null)
            counts[(int)OverheadSource.CallReturn] = 0;
        return [.. Enum.GetValues<OverheadSource>().Select(s => new Overhead(s, counts[(int)s], s == OverheadSource.Translation ? translation?.TranslationTime : null))];
    }

    /// <summary>Null for counts of what is counted elsewhere, too.</summary>
    private static OverheadSource? SourceOf(ExitCount exit) => (exit.Kind, exit.Number) switch
    {
        (ExitKind.SystemCall, _) => OverheadSource.SystemCall,
        (ExitKind.PortIo or ExitKind.DeviceMemory or ExitKind.UnclaimedMemory, _) => OverheadSource.InputOutput,
        (ExitKind.ControlRegisterWrite, TaskPriority) or (ExitKind.MsrWrite, X2ApicTaskPriority) => OverheadSource.TaskPriority,
        (ExitKind.IndirectBranch, _) => OverheadSource.CallReturn,
        (ExitKind.Callout or ExitKind.Translation, _) => null,
        (ExitKind.Exception, PageFaultVector) or (ExitKind.HiddenPageFault, _) => OverheadSource.PageFault,
        (ExitKind.TraceWrite, _) => OverheadSource.PageTableWrite,
        (ExitKind.TimeStamp, _) => OverheadSource.TimeStamp,
        (ExitKind.ShadowTable or ExitKind.AddressSpaceSwitch, _) => null,
        (ExitKind.UnclaimedPort or ExitKind.UnknownMsr or ExitKind.TruePageFault, _) => null,
        (ExitKind.GuestEntry or ExitKind.GuestExit or ExitKind.NestedPaging, _) => null,
        _ => OverheadSource.Other,
    };
}
