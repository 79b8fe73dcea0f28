using X86Virt.Engine;
using X86Virt.Engine.Monitors;
using X86Virt.Engine.Processor;

namespace X86Virt.PowerShell;

/// <summary>What came of running a guest on one engine, from power-on to its end or to the text that was waited for.</summary>
public sealed record EngineMeasurement
{
    public required EngineKind Engine { get; init; }

    /// <summary>What TLB misses were answered from.</summary>
    public required PagingKind Paging { get; init; }

    /// <summary>Guest instructions retired.</summary>
    public required long Instructions { get; init; }

    /// <summary>Host time of each run.</summary>
    public required IReadOnlyList<double> HostSeconds { get; init; }

    /// <summary>The median of the runs' host time.</summary>
    public double Seconds => HostSeconds.Order().ElementAt((HostSeconds.Count - 1) / 2) / 2 + HostSeconds.Order().ElementAt(HostSeconds.Count / 2) / 2;

    /// <summary>Largest minus smallest host time.</summary>
    public double Spread => HostSeconds.Max() - HostSeconds.Min();

    /// <summary>Millions of guest instructions a second, at the median.</summary>
    public double Mips => Seconds > 0 ? Instructions / Seconds / 1e6 : 0;

    /// <summary>Every run retired the same instructions, counted the same and wrote the same.</summary>
    public required bool Repeatable { get; init; }

    /// <summary>The guest wrote the same as on the first configuration, by as many instructions.</summary>
    public required bool Agrees { get; init; }

    /// <summary>Everything that was counted.</summary>
    public required IReadOnlyList<ExitCount> Exits { get; init; }

    /// <summary>The counts by source of overhead, and host time where it is measured.</summary>
    public required IReadOnlyList<Overhead> Overheads { get; init; }

    /// <summary>What #VMEXITs cost of the host's time, by reason; empty without HardwareAssist.</summary>
    public required IReadOnlyList<VmExitStatistics> ExitReasons { get; init; }

    /// <summary>What the translator did; null where nothing is translated, or only to execute the code of virtual silicon.</summary>
    public required TranslationCacheInfo? Translation { get; init; }

    /// <summary>Seconds on the processor of the machine's cost profile, refills of the TLB apart; null on an engine that stands for none of the techniques.</summary>
    public required double? ModelledSeconds { get; init; }

    /// <summary>What moving between techniques came to; null on other engines.</summary>
    public required HybridSummary? Hybrid { get; init; }

    /// <summary>Units translated.</summary>
    public long Units => Translation?.UnitsTranslated ?? 0;

    /// <summary>Instructions that translated code left to the interpreter's handlers.</summary>
    public long Callouts => Translation == null ? 0 : Exits.Where(e => e.Kind == ExitKind.Callout).Sum(e => e.Count);

    /// <summary>Bytes of the translation cache in use at the end.</summary>
    public long CacheBytes => Translation?.Used ?? 0;

    /// <summary>What the guest wrote to its console.</summary>
    public required string Console { get; init; }

    /// <summary>Why the guest ended; empty if the run ended at the text that was waited for.</summary>
    public required string StopReason { get; init; }

    /// <summary>The machine that was run.</summary>
    public required MachineConfiguration Configuration { get; init; }

    /// <summary>The command that measures this again.</summary>
    public required string Command { get; init; }
}
