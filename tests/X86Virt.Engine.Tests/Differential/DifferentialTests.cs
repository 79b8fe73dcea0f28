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

    /// <summary>Engines that must decode or translate every instruction before they execute it once take longer.</summary>
    private const long SlowFactor = 10;

    [OracleTheory, MemberData(nameof(Engines))]
    public void IntegerInstructionsDoWhatTheHostDoes(string engine) => Compare(engine, Comparable.Integer, vectors: false);

    [OracleTheory, MemberData(nameof(Engines))]
    public void X87AndVectorInstructionsDoWhatTheHostDoes(string engine) => Compare(engine, Comparable.Vector, vectors: true);

    public static TheoryData<string> Engines() => [.. BareCpu.Engines.Keys];

    private void Compare(string engine, Func<Iced.Intel.Instruction, bool> allowed, bool vectors)
    {
        using var run = new DifferentialRun((ulong)Setting("X86VIRT_FUZZ_SEED", 1), allowed, vectors, engine);
        var watch = Stopwatch.StartNew();
        run.Run(Setting("X86VIRT_FUZZ_COUNT", DefaultCount) / (engine == "Interpreter" ? 1 : SlowFactor));
        output.WriteLine($"{run.Compared} instructions of {run.Forms} forms, {run.Faulted} faults, {run.Compared / watch.Elapsed.TotalSeconds:F0}/s");
        Assert.True(run.Differences == 0, $"{run.Differences} of {run.Compared} instructions differ from the host:\n{run.Report()}");
    }

    private static long Setting(string name, long standard)
        => Environment.GetEnvironmentVariable(name) is { Length: > 0 } value ? long.Parse(value) : standard;
}

/// <summary>A test that needs the host as an oracle; skipped, by name and reason, where there is none.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class OracleTheoryAttribute : TheoryAttribute
{
    public OracleTheoryAttribute() => Skip = HostOracle.Unavailable is string reason ? $"No host oracle: {reason}." : null;
}
