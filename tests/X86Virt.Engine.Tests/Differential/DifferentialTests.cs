using System.Diagnostics;
using Xunit;
using Xunit.Abstractions;

namespace X86Virt.Engine.Tests.Differential;

/// <summary>
/// Compares random instructions with the host processor. Set X86VIRT_FUZZ_COUNT for a longer run and X86VIRT_FUZZ_SEED for another one.
/// </summary>
public class DifferentialTests(ITestOutputHelper output)
{
    private const long DefaultCount = 200_000;

    [OracleFact]
    public void IntegerInstructionsDoWhatTheHostDoes()
    {
        long count = Setting("X86VIRT_FUZZ_COUNT", DefaultCount);
        using var run = new DifferentialRun((ulong)Setting("X86VIRT_FUZZ_SEED", 1), Comparable.Integer);
        var watch = Stopwatch.StartNew();
        run.Run(count);
        output.WriteLine($"{run.Compared} instructions of {run.Forms} forms, {run.Faulted} faults, {run.Compared / watch.Elapsed.TotalSeconds:F0}/s");
        Assert.True(run.Differences == 0, $"{run.Differences} of {run.Compared} instructions differ from the host:\n{run.Report()}");
    }

    private static long Setting(string name, long standard)
        => Environment.GetEnvironmentVariable(name) is { Length: > 0 } value ? long.Parse(value) : standard;
}

/// <summary>A test that needs the host as an oracle; skipped, by name and reason, where there is none.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class OracleFactAttribute : FactAttribute
{
    public OracleFactAttribute() => Skip = HostOracle.Unavailable is string reason ? $"No host oracle: {reason}." : null;
}
