using X86Virt.Engine.Costs;
using Xunit;

namespace X86Virt.Engine.Tests.Execution;

/// <summary>Modelled costs grouped by source: figure 5 from counts.</summary>
public sealed class ModelledOverheadTests
{
    private const long NestedPageFault = 0x400;

    private static EventCounts Counts(bool hasExits, params ExitCount[] exits) => EventCounts.Of(new MachineStatistics(1_000_000, exits), hasExits);

    private static double Cycles(CostTechnique technique, EventCounts counts, OverheadSource source)
        => ModelledOverhead.Of(CostProfiles.Pentium4, technique, counts)[(int)source].Cycles;

    [Theory]
    [InlineData(CostTechnique.SoftwareVmm)]
    [InlineData(CostTechnique.HardwareVmm)]
    public void SourcesAddUpToWhatTheTechniqueCostsMore(CostTechnique technique)
    {
        EventCounts counts = Counts(false, new(ExitKind.SystemCall, null, "", 10), new(ExitKind.PortIo, 0x80, "", 20), new(ExitKind.IndirectBranch, null, "", 30),
            new(ExitKind.TraceWrite, null, "present", 40), new(ExitKind.Exception, 14, "", 50), new(ExitKind.ControlRegisterWrite, 3, "", 60), new(ExitKind.Translation, null, "", 70));
        double Price(CostTechnique t) => CostProfiles.Pentium4.Price(t, counts).Sum(c => c.Cycles);
        IReadOnlyList<ModelledOverhead> all = ModelledOverhead.Of(CostProfiles.Pentium4, technique, counts);
        Assert.Equal(Enum.GetValues<OverheadSource>(), all.Select(o => o.Source));
        Assert.Equal(Price(technique) - Price(CostTechnique.Native), all.Sum(o => o.Cycles), 3);
        Assert.All(all, o => Assert.Equal(o.Cycles / CostProfiles.Pentium4.Frequency, o.Seconds, 12));
    }

    [Fact]
    public void TheBareProcessorHasNone()
        => Assert.All(ModelledOverhead.Of(CostProfiles.Pentium4, CostTechnique.Native, Counts(false, new ExitCount(ExitKind.SystemCall, null, "", 10))), o => Assert.Equal(0, o.Cycles));

    [Fact]
    public void SystemCallsCostATranslatorAndNotTheHardware()
    {
        EventCounts counts = Counts(false, new ExitCount(ExitKind.SystemCall, null, "", 10));
        Assert.True(Cycles(CostTechnique.SoftwareVmm, counts, OverheadSource.SystemCall) > 10_000);
        Assert.Equal(0, Cycles(CostTechnique.HardwareVmm, counts, OverheadSource.SystemCall));
    }

    [Fact]
    public void ExitsForPageFaultsAreSharedOutByWhatTheyWereFor()
    {
        ExitCount[] exits = [new(ExitKind.GuestExit, NestedPageFault, "", 100), new(ExitKind.TraceWrite, null, "present", 10)];
        EventCounts without = Counts(true, exits), with = Counts(true, [.. exits, new(ExitKind.DeviceMemory, null, "", 60)]);
        double exit = Cycles(CostTechnique.HardwareVmm, without, OverheadSource.PageTableWrite) / 10;
        Assert.True(exit > 1000);
        Assert.Equal(90 * exit, Cycles(CostTechnique.HardwareVmm, without, OverheadSource.PageFault), 3);
        Assert.Equal(30 * exit, Cycles(CostTechnique.HardwareVmm, with, OverheadSource.PageFault), 3);

        // On the bare processor they are accesses of devices, which have their own price.
        double access = CostProfiles.Pentium4.Price(CostTechnique.Native, CostEvent.DeviceAccess).Sum(t => t.Constant.Cycles * t.Times);
        Assert.Equal(60 * (exit - access), Cycles(CostTechnique.HardwareVmm, with, OverheadSource.InputOutput), 3);
    }
}
