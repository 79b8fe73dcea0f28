using System.Text.RegularExpressions;
using X86Virt.Engine.Processor;
using X86Virt.Guests;
using Xunit;

namespace X86Virt.Engine.Tests.Guests;

/// <summary>The nanobenchmark kernel: what it prints, on every engine and under QEMU.</summary>
public sealed partial class NanobenchmarkTests
{
    private const int Iterations = 200;

    public static TheoryData<EngineKind> Engines => new(Enum.GetValues<EngineKind>());

    [GeneratedRegex("nano (?<name>[a-z0-9]+) count=(?<count>[0-9a-f]{16}) cycles=(?<cycles>[0-9a-f]{16}) check=(?<check>[0-9a-f]{16})\r\n")]
    private static partial Regex Line();

    private static string Run(EngineKind engine, string commandLine) => NanobenchmarkRun.Of(engine, null, commandLine).Console;

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
    public void EveryEngineRunsEveryOperationWithTheSameResults(EngineKind engine)
    {
        string[] consoles = NanobenchmarkRun.Consoles($"iterations={Iterations}", EngineKind.Interpreter, engine);
        AssertComplete(consoles[1]);
        Assert.Equal(consoles[0], consoles[1]);
    }

    /// <summary>What one more iteration counts, of kinds that paging has.</summary>
    private static string PagingEvents(EngineKind engine, string operation)
    {
        const int Fewer = 512, More = 1024;
        return string.Join(", ", NanobenchmarkRun.Difference(engine, PagingKind.Shadow, operation, Fewer, More).Exits
            .Where(e => e.Kind is ExitKind.TraceWrite or ExitKind.HiddenPageFault or ExitKind.TruePageFault or ExitKind.ShadowTable)
            .Select(e => $"{e.Kind} {e.Detail} {(double)e.Count / More}"));
    }

    public static TheoryData<EngineKind, string, string> StoresToTablesInUse
    {
        get
        {
            var data = new TheoryData<EngineKind, string, string>();
            foreach (EngineKind engine in (EngineKind[])[EngineKind.Interpreter, EngineKind.DecodedCache, EngineKind.BinaryTranslation])
            {
                data.Add(engine, "pteuse", "HiddenPageFault refill 11");
                data.Add(engine, "ptesame", "HiddenPageFault refill 11, TraceWrite present 1");
                data.Add(engine, "pteclear", "HiddenPageFault refill 11, TraceWrite not present 1");
                data.Add(engine, "pteset", "HiddenPageFault refill 10, HiddenPageFault first use 1, TraceWrite present 1");
                data.Add(engine, "pgfault", "TruePageFault  1");
            }
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(StoresToTablesInUse))]
    public void StoresToTablesInUseAreTracedOnce(EngineKind engine, string operation, string events)
        => Assert.Equal(events, PagingEvents(engine, operation));

    [Fact]
    public void IterationsEndWithTheEntriesThatTheyNeed()
    {
        Match line = Line().Match(Run(EngineKind.DecodedCache, "operations=pteclear iterations=999999999"));
        Assert.Equal((ulong)BuiltInGuest.MostNanobenchmarkIterations("pteclear"), Number(line, "count"));
    }

    [Fact]
    public void LoopsAreDoubledUntilTheyTakeLongEnough()
    {
        Match line = Line().Match(Run(EngineKind.DecodedCache, "operations=callret iterations=100 cycles=100000"));
        Assert.InRange(Number(line, "cycles"), 100_000UL, 300_000UL);
        ulong doublings = Number(line, "count") / 100;
        Assert.True(doublings > 1 && ulong.IsPow2(doublings), $"{Number(line, "count")} iterations");

        // There are only so many entries.
        line = Line().Match(Run(EngineKind.DecodedCache, "operations=pteset iterations=200000 cycles=1000000000000"));
        Assert.Equal((ulong)BuiltInGuest.MostNanobenchmarkIterations("pteset"), Number(line, "count"));
    }

    [Theory]
    [InlineData("hltwake", ExitKind.Halt, 1)]
    [InlineData("hltwake", ExitKind.Interrupt, 1)]
    [InlineData("syscall", ExitKind.SystemCall, 1)]
    [InlineData("callret", ExitKind.IndirectBranch, 1)]
    [InlineData("icall", ExitKind.IndirectBranch, 2)]
    public void EveryEngineCountsTheSame(string operation, ExitKind kind, int each)
    {
        foreach (EngineKind engine in (EngineKind[])[EngineKind.Interpreter, EngineKind.DecodedCache, EngineKind.BinaryTranslation])
        {
            MachineStatistics loop = NanobenchmarkRun.Difference(engine, null, operation, 100, 100);
            Assert.Equal(100 * each, loop.Exits.Where(e => e.Kind == kind).Sum(e => e.Count));
        }
    }

    [Fact]
    public void OperationsAreChosenByWholeNames()
    {
        string console = Run(EngineKind.DecodedCache, "operations=cr3switch,in iterations=7");
        Assert.Equal(["in", "cr3switch"], Line().Matches(console).Select(l => l.Groups["name"].Value));
        Assert.All(Line().Matches(console), l => Assert.Equal(7UL, Number(l, "count")));
    }

    [QemuFact]
    public void QemuRunsEveryOperation()
    {
        string serial = Path.GetTempFileName();
        try
        {
            Qemu.Run(BuiltInGuest.Nanobenchmark.Image, NanobenchmarkRun.Limit, "-serial", $"file:{serial}", "-append", $"iterations={Iterations}");
            string console = File.ReadAllText(serial);
            AssertComplete(console[console.IndexOf("nano ready", StringComparison.Ordinal)..]);
        }
        finally
        {
            File.Delete(serial);
        }
    }
}
