using X86Virt.Engine.Costs;
using X86Virt.Engine.Processor;
using X86Virt.Engine.Tests.Guests;
using X86Virt.Guests;
using Xunit;

namespace X86Virt.Engine.Tests.Costs;

/// <summary>Prices of events, and the nanobenchmark table that follows from counts.</summary>
public sealed class CostModelTests
{
    private const int Iterations = 1024;
    private const CostTechnique Native = CostTechnique.Native, Software = CostTechnique.SoftwareVmm, Hardware = CostTechnique.HardwareVmm;

    private static readonly Dictionary<(EngineKind, string), EventCounts> s_counts = [];

    private static EventCounts Count(EngineKind engine, string operation)
        => s_counts.TryGetValue((engine, operation), out EventCounts? known) ? known : s_counts[(engine, operation)] = CountAnew(engine, operation);

    private static EventCounts CountAnew(EngineKind engine, string operation)
    {
        MachineStatistics loop = NanobenchmarkRun.Difference(engine, PagingKind.Shadow, operation, Iterations, Iterations);
        return EventCounts.Of((double)loop.InstructionsRetired / Iterations,
            loop.Exits.Select(e => new CountedExit(e.Kind, e.Number, e.Detail, (double)e.Count / Iterations)), engine == EngineKind.HardwareAssist);
    }

    private static List<NanobenchmarkPrediction> Predict(EngineKind engine)
    {
        return [.. PublishedNanobenchmarks.All.SelectMany(row =>
        {
            EventCounts counts = Count(engine, row.Operation).Without(Count(engine, BuiltInGuest.NanobenchmarkBaseLoop(row.Operation)));
            return counts.Techniques.Select(t => NanobenchmarkPrediction.Of(CostProfiles.Pentium4, row.Operation, t, counts));
        })];
    }

    private static EventCounts Counts(double instructions, params CountedExit[] exits) => EventCounts.Of(instructions, exits, hasExits: false);

    private static double Cycles(CostTechnique technique, EventCounts counts) => CostProfiles.Pentium4.Price(technique, counts).Sum(c => c.Cycles);

    /// <summary>Each figure is within 1.5 of the published one, but for native stores of 4 and 5 cycles, which the model takes for 1.</summary>
    [Theory]
    [InlineData(EngineKind.DecodedCache)]
    [InlineData(EngineKind.BinaryTranslation)]
    public void TheNanobenchmarkTableFollowsFromCounts(EngineKind engine)
    {
        List<NanobenchmarkPrediction> table = Predict(engine);
        Assert.Equal(27, table.Count);
        Assert.Equal([("pteclear", Native), ("pteset", Native)], table.Where(p => p.Factor > 1.5).Select(p => (p.Operation, p.Technique)));
        Assert.Equal(14, table.Count(p => p.Kind == PredictionKind.Prediction));
        Assert.All(table.Where(p => p.Kind != PredictionKind.Prediction), p => Assert.InRange(p.Factor!.Value, 1, 1.01));
        foreach (IGrouping<string, NanobenchmarkPrediction> row in table.GroupBy(p => p.Operation))
        {
            NanobenchmarkPrediction[] byPublished = [.. row.OrderBy(p => p.Published)];
            Assert.Equal(byPublished.Select(p => p.Predicted), row.Select(p => p.Predicted).Order());
        }
    }

    /// <summary>The exits that hardware assist takes are those that were derived from other engines' events.</summary>
    [Fact]
    public void DerivedExitsAreThoseThatHardwareAssistTakes()
    {
        (string Operation, int Ports, int PageFaults)[] rows =
        [
            ("syscall", 0, 0), ("in", 1, 0), ("cr8wr", 0, 0), ("callret", 0, 0), ("pgfault", 0, 1), ("divzero", 0, 0), ("ptesame", 0, 1), ("pteclear", 0, 1), ("pteset", 0, 2),
        ];
        foreach ((string operation, int ports, int pageFaults) in rows)
        {
            EventCounts counted = Count(EngineKind.HardwareAssist, operation).Without(Count(EngineKind.HardwareAssist, BuiltInGuest.NanobenchmarkBaseLoop(operation)));
            EventCounts derived = Count(EngineKind.DecodedCache, operation).Without(Count(EngineKind.DecodedCache, BuiltInGuest.NanobenchmarkBaseLoop(operation)));
            Assert.Equal((operation, ports, pageFaults, 0), (operation, counted[CostEvent.PortExit], counted[CostEvent.PageFaultExit], counted[CostEvent.OtherExit]));
            Assert.Equal((operation, ports, pageFaults), (operation, derived[CostEvent.PortAccess],
                derived[CostEvent.PageFault] + derived[CostEvent.HiddenPageFault] + derived[CostEvent.TraceOfPresent] + derived[CostEvent.TraceOfNotPresent]));

            // The check of a present entry is no exit of its own.
            Assert.InRange(Cycles(Hardware, counted), Cycles(Hardware, derived) - 374 - 1, Cycles(Hardware, derived));
        }
    }

    [Fact]
    public void AnEventIsMadeOfItsPartsAndTakesItsInstructionsWithIt()
    {
        EventCounts counts = Counts(10, new CountedExit(ExitKind.SystemCall, null, "", 2));
        Assert.Equal(6, counts[CostEvent.Instruction]);
        Assert.Equal(6 + 2 * 242, Cycles(Native, counts));
        Assert.Equal(6 + 2 * (242 + 2 * (1254 - 216)), Cycles(Software, counts));
        EventCost call = Assert.Single(CostProfiles.Pentium4.Price(Software, counts), c => c.Event == CostEvent.SystemCall);
        Assert.Equal("SystemCall + 2 Callout", call.Formula);
        Assert.Contains("RDTSC by callout less RDTSC in translated code", call.Source, StringComparison.Ordinal);
        Assert.Equal(call.Cycles / 3.8e9, call.Seconds);
    }

    [Fact]
    public void CountedExitsReplaceDerivedOnes()
    {
        CountedExit[] exits = [new(ExitKind.PortIo, 0x80, "", 3), new(ExitKind.Exception, 14, "", 1), new(ExitKind.GuestExit, (long)SvmExitCode.Port, "", 3)];
        double derived = Cycles(Hardware, EventCounts.Of(4, exits, hasExits: false)), counted = Cycles(Hardware, EventCounts.Of(4, exits, hasExits: true));
        double pageFaultExit = 1931 + 10 * 178 + 2409 + 4026;
        Assert.Equal(derived - pageFaultExit, counted);
        Assert.DoesNotContain(Software, EventCounts.Of(4, exits, hasExits: true).Techniques);
    }

    /// <summary>A hidden fault is a trap into the monitor for the software VMM, an exit for the hardware VMM, a walk for the bare processor.</summary>
    [Fact]
    public void AHiddenFaultIsATrap()
    {
        EventCounts counts = Counts(0, new CountedExit(ExitKind.HiddenPageFault, null, "first use", 1));
        Assert.Equal(204, Cycles(Native, counts));
        Assert.Equal(2030 - 216 + 374, Cycles(Software, counts));
        Assert.Equal(1931 + 10 * 178 + 2409 + 4026, Cycles(Hardware, counts));
    }

    [Fact]
    public void ForkWaitIsScaledToThePublishedForksAndTellsWhatItOwes()
    {
        EventCounts counts = Counts(3800, new CountedExit(ExitKind.HiddenPageFault, null, MachineStatistics.RefillDetail, 5));
        MacrobenchmarkPrediction Of(CostProfile profile, CostTechnique technique, int pages) => ForkWaitPrediction.Of(profile, technique, counts, 1, pages);

        MacrobenchmarkPrediction native = Of(CostProfiles.Pentium4, Native, ForkWaitPrediction.CalibratedPages);
        Assert.Equal((0.04, 6.02, PredictionKind.Prediction), (native.Predicted, native.Published!.Value, native.Kind));
        Assert.Equal(0.04 / 6.02, native.Ratio);
        Assert.Equal(6.02 / 0.04, native.Factor!.Value, 1e-9);
        Assert.Equal(PredictionKind.Calibrated, Of(CostProfiles.Pentium4, Hardware, ForkWaitPrediction.CalibratedPages).Kind);
        Assert.Equal(PredictionKind.Prediction, Of(CostProfiles.Pentium4, Hardware, 0).Kind);
        Assert.Equal(PredictionKind.Prediction, Of(CostProfiles.Core2, Hardware, ForkWaitPrediction.CalibratedPages).Kind);
        Assert.Contains("factor", Of(CostProfiles.Core2, Native, ForkWaitPrediction.CalibratedPages).Note, StringComparison.Ordinal);
        Assert.Equal((36.95, PredictionKind.Prediction), (Of(CostProfiles.Pentium4, Software, ForkWaitPrediction.CalibratedPages).Published!.Value, Of(CostProfiles.Pentium4, Software, 1).Kind));
        Assert.Equal(38.89, Of(CostProfiles.Core2, Hardware, 1).Published);
    }

    [Fact]
    public void OverheadsOfABootAreBesideThoseOfFigureFive()
    {
        EventCounts counts = Counts(1, new CountedExit(ExitKind.PortIo, 0x80, "", 1));
        MacrobenchmarkPrediction[] rows = [.. BootOverheadPrediction.Of(CostProfiles.Pentium4, Hardware, counts, "a guest", shadowed: true)];
        Assert.Equal(Enum.GetValues<OverheadSource>().Length + 1, rows.Length);
        MacrobenchmarkPrediction ports = rows.Single(r => r.Row == $"{OverheadSource.InputOutput}");
        Assert.Equal((8.1, (15826 - 3209) / 3.8e9), (ports.Published!.Value, ports.Predicted));
        Assert.Equal((11.6, ports.Predicted), (rows[^1].Published!.Value, rows[^1].Predicted));
        Assert.Null(rows.Single(r => r.Row == $"{OverheadSource.SystemCall}").Ratio);
        Assert.All(rows, r => Assert.Contains("Windows XP", r.Note, StringComparison.Ordinal));
        Assert.All(BootOverheadPrediction.Of(CostProfiles.Pentium4, Hardware, counts, "a guest", shadowed: false), r => Assert.Null(r.Published));
    }

    /// <summary>Of the bare processor and of both techniques.</summary>
    [Theory]
    [InlineData("VmEntry")]
    [InlineData("PageFaultExit")]
    [InlineData("OtherExit")]
    [InlineData("VmcbRead")]
    [InlineData("Callout")]
    [InlineData("Emulation")]
    [InlineData("Trap")]
    [InlineData("WalkReference")]
    [InlineData("TlbMiss")]
    [InlineData("Translation")]
    public void AProfileHasTheCostOfEachMechanism(string name)
        => Assert.All(CostProfiles.All, p => Assert.Contains("Agesen", Assert.Single(p.Constants, c => c.Name == name).Source, StringComparison.Ordinal));

    [Theory]
    [InlineData(3, CostEvent.AddressSpaceWrite)]
    [InlineData(4, CostEvent.ControlRegisterWrite)]
    [InlineData(8, CostEvent.TaskPriorityWrite)]
    public void ControlRegistersDiffer(long register, CostEvent e)
        => Assert.Equal(1, Counts(1, new CountedExit(ExitKind.ControlRegisterWrite, register, "", 1))[e]);

    [Fact]
    public void EveryConstantSaysWhereItIsFrom()
    {
        foreach (CostProfile profile in CostProfiles.All)
        {
            Assert.All(profile.Constants, c => Assert.False(c.Cycles <= 0 || c.Meaning.Length == 0 || c.Unit.Length == 0 || c.Source.Length == 0, c.Name));
            Assert.Equal(Enum.GetValues<CostTechnique>(), profile.Techniques);

            // All are used.
            IEnumerable<string> used = Enum.GetValues<CostTechnique>().SelectMany(t => Enum.GetValues<CostEvent>().SelectMany(e => profile.Price(t, e))).Select(t => t.Constant.Name);
            Assert.Empty(profile.Constants.Select(c => c.Name).Except(used));
        }
        CostConstant[] calibrated = [.. CostProfiles.Pentium4.Constants.Where(c => c.Basis == CostBasis.Calibrated)];
        Assert.All(calibrated, c => Assert.NotNull(c.Row));
        Assert.Equal(calibrated.Length, calibrated.Select(c => (c.Row, c.Technique)).Distinct().Count());
    }
}
