using System.Globalization;
using X86Virt.Engine.Processor;
using X86Virt.Guests;
using Xunit;

namespace X86Virt.Engine.Tests.Guests;

/// <summary>What one iteration of each operation of the nanobenchmark kernel counts, on every engine, in code of either word size.</summary>
public sealed class NanobenchmarkCountTests
{
    private const int Fewer = 2560, More = 1024;
    private const string Table = "Guests/NanobenchmarkCounts.txt";

    private static readonly Dictionary<(string Bits, string Operation), string> s_lines = File.ReadLines(Path.Combine(AppContext.BaseDirectory, Table))
        .Where(l => l.Length > 0 && l[0] != '#').ToDictionary(l => (Field(l, 0), Field(l, 1)));

    private static string Field(string line, int index) => line.Split('|')[index].Trim();

    public static TheoryData<int, string> Rows
    {
        get
        {
            var data = new TheoryData<int, string>();
            foreach (int bits in (int[])[64, 32])
            {
                foreach (string operation in BuiltInGuest.NanobenchmarkOperations)
                    data.Add(bits, operation);
            }
            return data;
        }
    }

    /// <summary>What the guest does, whatever it runs on.</summary>
    private static bool IsArchitectural(ExitKind kind) => kind is < ExitKind.HiddenPageFault and not ExitKind.Translation;

    private static bool IsPaging(ExitKind kind) => kind is ExitKind.HiddenPageFault or ExitKind.TruePageFault or ExitKind.TraceWrite or ExitKind.ShadowTable or ExitKind.AddressSpaceSwitch;

    private static string Counts(MachineStatistics loop, Func<ExitKind, bool> isShown)
    {
        string[] counts = [.. loop.Exits.Where(e => isShown(e.Kind)).Select(e => $"{NameOf(e)} {PerIteration(e.Count)}")];
        return counts.Length > 0 ? string.Join(", ", counts) : "-";
    }

    private static string NameOf(ExitCount e) => e.Kind switch
    {
        ExitKind.GuestExit => e.Detail,
        ExitKind.Callout => e.Detail,
        _ when e.Detail.Length > 0 => $"{e.Kind} {e.Detail}",
        _ => $"{e.Kind}",
    };

    private static string PerIteration(long count) => ((double)count / More).ToString("0.####", CultureInfo.InvariantCulture);

    [Theory]
    [MemberData(nameof(Rows))]
    public void AnIterationCountsExactly(int bits, string operation)
    {
        MachineStatistics On(EngineKind engine, PagingKind paging) => NanobenchmarkRun.Difference(engine, paging, operation, Fewer, More, bits);
        string Same(string what, Func<MachineStatistics, string> count, params (EngineKind Engine, MachineStatistics Loop)[] loops)
        {
            string first = count(loops[0].Loop);
            Assert.All(loops, l => Assert.Equal($"{l.Engine}, {what}: {first}", $"{l.Engine}, {what}: {count(l.Loop)}"));
            return first;
        }

        (EngineKind, MachineStatistics)[] shadow =
            [.. ((EngineKind[])[EngineKind.Interpreter, EngineKind.DecodedCache, EngineKind.BinaryTranslation]).Select(e => (e, On(e, PagingKind.Shadow)))];
        MachineStatistics translated = shadow[^1].Item2, hardware = On(EngineKind.HardwareAssist, PagingKind.Shadow), nested = On(EngineKind.HardwareAssist, PagingKind.Nested);
        (EngineKind, MachineStatistics)[] all =
            [.. shadow, (EngineKind.HardwareAssist, hardware), (EngineKind.HardwareAssist, nested), (EngineKind.Hybrid, On(EngineKind.Hybrid, PagingKind.Shadow))];
        string expected = s_lines.GetValueOrDefault(($"{bits}", operation), ""), actual = string.Join(" | ", (string[])
        [
            $"{bits}", operation,
            Same("instructions", l => PerIteration(l.InstructionsRetired), all),
            Same("events", l => Counts(l, IsArchitectural), all),
            Same("paging", l => Counts(l, IsPaging), shadow),
            Counts(translated, k => k == ExitKind.Callout),
            Counts(hardware, k => k == ExitKind.GuestExit),
            Counts(hardware, IsPaging),
            Counts(nested, k => k == ExitKind.GuestExit),
        ]);
        Assert.True(actual == expected, $"{Table} has, and counted was:\n{expected}\n{actual}");
    }

    /// <summary>Tables that the silicon walks through keep their shadow, however often they are stored to.</summary>
    [Theory]
    [InlineData("ptesame")]
    [InlineData("pteclear")]
    public void HardwareAssistTracesEveryStoreToATableInUse(string operation)
    {
        const int Many = 20_000;
        MachineStatistics loop = NanobenchmarkRun.Difference(EngineKind.HardwareAssist, PagingKind.Shadow, operation, Fewer, Many);
        long Count(ExitKind kind, string detail) => loop.Exits.Where(e => e.Kind == kind && e.Detail.StartsWith(detail, StringComparison.Ordinal)).Sum(e => e.Count);
        Assert.Equal((Many, Many, Many, 0), (Count(ExitKind.TraceWrite, ""), Count(ExitKind.GuestExit, "#PF"), Count(ExitKind.GuestExit, "CR3"), Count(ExitKind.ShadowTable, "dropped")));
    }
}
