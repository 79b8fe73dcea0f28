using X86Virt.Engine.Monitors;

namespace X86Virt.Engine;

/// <summary>What the exits of one reason cost. Percentiles are right to a sixteenth or so of their value.</summary>
/// <param name="Reason">The exit code in words.</param>
/// <param name="Code">The exit code (AMD volume 2, appendix C).</param>
/// <param name="Count">How many there were.</param>
/// <param name="Share">Their part of all exits, from 0 to 1.</param>
/// <param name="TimeShare">Their part of the host time of all exits, from 0 to 1.</param>
/// <param name="InstructionsBetween">Instructions retired for each of them.</param>
/// <param name="MeanNanoseconds">Host time of one: from the #VMEXIT until the guest can go on.</param>
/// <param name="Percentile50">Half of them took no more nanoseconds than this.</param>
/// <param name="Percentile90">Nine of ten took no more.</param>
/// <param name="Percentile99">99 of 100 took no more.</param>
/// <param name="HostTime">Host time of all of them.</param>
public sealed record VmExitStatistics(
    string Reason, ulong Code, long Count, double Share, double TimeShare, double InstructionsBetween,
    double MeanNanoseconds, double Percentile50, double Percentile90, double Percentile99, TimeSpan HostTime)
{
    /// <summary>Instructions of the guest that the monitor executed by its interpreter in seeing to them.</summary>
    public long Emulated { get; init; }

    /// <summary>Exits of instructions behind them that were executed along with them (-ExitClustering).</summary>
    public long Avoided { get; init; }

    /// <summary>Those of every reason, most frequent first.</summary>
    internal static IReadOnlyList<VmExitStatistics> Of(IReadOnlyList<ReasonCounts> reasons, long retired, double unit)
    {
        double all = reasons.Sum(r => r.Count), time = Math.Max(1, reasons.Sum(r => r.Ticks));
        return [.. reasons.OrderByDescending(r => r.Count).ThenBy(r => r.Code).Select(r => new VmExitStatistics(
            SvmExitName.Of(r.Code), (ulong)r.Code, r.Count, r.Count / all, r.Ticks / time, (double)retired / r.Count,
            r.Ticks * unit / r.Count, r.Percentile(50) * unit, r.Percentile(90) * unit, r.Percentile(99) * unit, TimeSpan.FromMilliseconds(r.Ticks * unit / 1e6)) { Emulated = r.Emulated, Avoided = r.Avoided })];
    }
}
