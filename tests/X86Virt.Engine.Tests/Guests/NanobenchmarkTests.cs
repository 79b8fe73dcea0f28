using System.Text.RegularExpressions;
using X86Virt.Engine.Processor;
using X86Virt.Guests;
using Xunit;

namespace X86Virt.Engine.Tests.Guests;

/// <summary>The nanobenchmark kernel: what it prints, on every engine and under QEMU.</summary>
public sealed partial class NanobenchmarkTests
{
    private const int Iterations = 200;

    public static TheoryData<EngineKind, int> Engines
    {
        get
        {
            var data = new TheoryData<EngineKind, int>();
            foreach (EngineKind engine in Enum.GetValues<EngineKind>())
            {
                data.Add(engine, 64);
                data.Add(engine, 32);
            }
            return data;
        }
    }

    [GeneratedRegex("nano (?<name>[a-z0-9]+) count=(?<count>[0-9a-f]{16}) cycles=(?<cycles>[0-9a-f]{16}) check=(?<check>[0-9a-f]{16})\r\n")]
    private static partial Regex Line();

    private static string Run(EngineKind engine, string commandLine, int bits = 64) => NanobenchmarkRun.Of(engine, null, commandLine, bits).Console;

    private static ulong Number(Match line, string group) => Convert.ToUInt64(line.Groups[group].Value, 16);

    /// <summary>Faults taken and system calls made, or what the loop added up.</summary>
    private static ulong ExpectedCheck(string name) => name switch
    {
        "syscall" or "pgfault" or "divzero" or "iret" or "hltwake" => Iterations,
        "selfmod" => Iterations * (Iterations + 1) / 2,
        _ => 0,
    };

    private static void AssertComplete(string console)
    {
        Assert.EndsWith("nano done\r\n", console);
        Match[] lines = Line().Matches(console).ToArray();
        Assert.Equal(BuiltInGuest.NanobenchmarkOperations, lines.Select(l => l.Groups["name"].Value));
        Assert.All(lines, l => Assert.Equal((ulong)Iterations, Number(l, "count")));
        Assert.All(lines, l => Assert.Equal(ExpectedCheck(l.Groups["name"].Value), Number(l, "check")));
        Assert.All(lines, l => Assert.InRange(Number(l, "cycles"), 1UL, ulong.MaxValue >> 1));
    }

    [Theory]
    [MemberData(nameof(Engines))]
    public void EveryEngineRunsEveryOperationWithTheSameResults(EngineKind engine, int bits)
    {
        string[] consoles = NanobenchmarkRun.Consoles(bits, $"iterations={Iterations}", EngineKind.Interpreter, engine);
        AssertComplete(consoles[1]);
        Assert.Equal(consoles[0], consoles[1]);
    }

    [Fact]
    public void IterationsEndWithTheEntriesThatTheyNeed()
    {
        Match line = Line().Match(Run(EngineKind.DecodedCache, "operations=pteclear iterations=999999999"));
        Assert.Equal((ulong)BuiltInGuest.MostNanobenchmarkIterations("pteclear"), Number(line, "count"));
    }

    [Theory]
    [InlineData(64)]
    [InlineData(32)]
    public void LoopsAreDoubledUntilTheyTakeLongEnough(int bits)
    {
        Match line = Line().Match(Run(EngineKind.DecodedCache, "operations=callret iterations=100 cycles=100000", bits));
        Assert.InRange(Number(line, "cycles"), 100_000UL, 300_000UL);
        ulong doublings = Number(line, "count") / 100;
        Assert.True(doublings > 1 && ulong.IsPow2(doublings), $"{Number(line, "count")} iterations");

        // There are only so many entries.
        line = Line().Match(Run(EngineKind.DecodedCache, "operations=pteset iterations=200000 cycles=1000000000000", bits));
        Assert.Equal((ulong)BuiltInGuest.MostNanobenchmarkIterations("pteset"), Number(line, "count"));
    }

    [Theory]
    [InlineData(64)]
    [InlineData(32)]
    public void LoopsAreCalibratedUnlessIterationsAreGiven(int bits)
    {
        const ulong Least = 1_000_000;
        MatchCollection lines = Line().Matches(Run(EngineKind.DecodedCache, "operations=empty,iret", bits));
        Assert.Equal(2, lines.Count);
        Assert.All(lines, l => Assert.InRange(Number(l, "cycles"), Least, 3 * Least));
        Assert.Equal(1000UL, Number(Line().Match(Run(EngineKind.DecodedCache, "operations=empty iterations=1000", bits)), "count"));
    }

    /// <summary>A number that does not fit in a register is the largest that does, not what is left of it.</summary>
    [Theory]
    [InlineData(64, "99999999999999999999999")]
    [InlineData(32, "4294967296")]
    public void NumbersDoNotWrap(int bits, string number)
    {
        Match line = Line().Match(Run(EngineKind.DecodedCache, $"operations=pteuse iterations={number}", bits));
        Assert.Equal((ulong)BuiltInGuest.MostNanobenchmarkIterations("pteuse"), Number(line, "count"));
    }

    [Fact]
    public void OperationsAreChosenByWholeNames()
    {
        string console = Run(EngineKind.DecodedCache, "operations=cr3switch,in iterations=7");
        Assert.Equal(["in", "cr3switch"], Line().Matches(console).Select(l => l.Groups["name"].Value));
        Assert.All(Line().Matches(console), l => Assert.Equal(7UL, Number(l, "count")));
    }

    private static string RunOnQemu(int bits, string commandLine)
    {
        string console = Qemu.RunOnSerialPort(NanobenchmarkRun.Guest(bits).Image, NanobenchmarkRun.Limit, "-append", commandLine);
        return console[console.IndexOf("nano ready", StringComparison.Ordinal)..];
    }

    [QemuTheory]
    [InlineData(64)]
    [InlineData(32)]
    public void QemuRunsEveryOperation(int bits) => AssertComplete(RunOnQemu(bits, $"iterations={Iterations}"));

    [QemuTheory]
    [InlineData(64)]
    [InlineData(32)]
    public void QemuCalibratesLoops(int bits)
    {
        const ulong Least = 10_000_000;
        MatchCollection lines = Line().Matches(RunOnQemu(bits, $"operations=callret,rdtsc iterations=10 cycles={Least}"));
        Assert.Equal(2, lines.Count);
        Assert.All(lines, l => Assert.InRange(Number(l, "cycles"), Least, ulong.MaxValue >> 1));
        Assert.All(lines, l => Assert.True(Number(l, "count") > 10 && ulong.IsPow2(Number(l, "count") / 10), l.Value));
    }
}
