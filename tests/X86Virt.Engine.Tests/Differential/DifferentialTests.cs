using System.Diagnostics;
using Xunit;
using Xunit.Abstractions;

namespace X86Virt.Engine.Tests.Differential;

/// <summary>
/// Compares random instructions with the host processor. Set X86VIRT_FUZZ_COUNT for a longer run and X86VIRT_FUZZ_SEED for another one.
/// </summary>
public class DifferentialTests(ITestOutputHelper output)
{
    /// <summary>What CI compares of each kind, in a few seconds.</summary>
    private const long DefaultCount = 500_000;

    [OracleFact]
    public void IntegerInstructionsDoWhatTheHostDoes() => Compare(Comparable.Integer, vectors: false);

    [OracleFact]
    public void X87AndVectorInstructionsDoWhatTheHostDoes() => Compare(Comparable.Vector, vectors: true);

    private void Compare(Func<Iced.Intel.Instruction, bool> allowed, bool vectors)
    {
        using var run = new DifferentialRun((ulong)Setting("X86VIRT_FUZZ_SEED", 1), allowed, vectors);
        var watch = Stopwatch.StartNew();
        run.Run(Setting("X86VIRT_FUZZ_COUNT", DefaultCount));
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
