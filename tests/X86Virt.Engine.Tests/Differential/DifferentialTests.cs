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
    private const long DefaultCount = 250_000;

    private static readonly int[] s_legacy = [16, 32], s_long = [64];

    /// <summary>Engines that must decode or translate every instruction before they execute it once take longer.</summary>
    private const long SlowFactor = 10;

    [OracleTheory, MemberData(nameof(Engines))]
    public void IntegerInstructionsDoWhatTheHostDoes(string engine) => Compare(engine, s_long, Comparable.Integer, vectors: false);

    [OracleTheory, MemberData(nameof(Engines))]
    public void X87AndVectorInstructionsDoWhatTheHostDoes(string engine) => Compare(engine, s_long, Comparable.Vector, vectors: true);

    [LegacyOracleTheory, MemberData(nameof(Engines))]
    public void LegacyIntegerInstructionsDoWhatTheHostDoes(string engine) => Compare(engine, s_legacy, Comparable.Integer, vectors: false);

    [LegacyOracleTheory, MemberData(nameof(Engines))]
    public void LegacyX87AndVectorInstructionsDoWhatTheHostDoes(string engine) => Compare(engine, s_legacy, Comparable.Vector, vectors: true);

    public static TheoryData<string> Engines() => [.. BareCpu.Engines.Keys];

    private void Compare(string engine, int[] modes, Func<Iced.Intel.Instruction, bool> allowed, bool vectors)
    {
        using var run = new DifferentialRun((ulong)Setting("X86VIRT_FUZZ_SEED", 1), modes, allowed, vectors, engine);
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

/// <summary>The same for code that is not 64-bit code.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class LegacyOracleTheoryAttribute : TheoryAttribute
{
    public LegacyOracleTheoryAttribute() => Skip = HostOracle.LegacyUnavailable is string reason ? $"No host oracle: {reason}." : null;
}
