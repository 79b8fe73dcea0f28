using Xunit;

namespace X86Virt.Engine.Tests.Execution;

/// <summary>Counts grouped by source of overhead.</summary>
public sealed class OverheadTests
{
    private static readonly TranslationCacheInfo s_translation = new()
    {
        Machine = "", Size = 0, Used = 0, Units = 0, UnitsTranslated = 0, InstructionsTranslated = 12, HostBytesTranslated = 0, TranslationTime = TimeSpan.FromSeconds(2),
        Dispatches = 0, Callouts = 0, ChainsMade = 0, ChainsBroken = 0, DroppedForStores = 0, DroppedForRoom = 0,
        Clears = 0, Adapted = 0, Reverted = 0, LeftDecoded = 0, UnitLimit = 64, Features = default,
    };

    private static IReadOnlyList<Overhead> BySource(TranslationCacheInfo? translation, params ExitCount[] exits)
        => Overhead.BySource(new MachineStatistics(0, exits), translation);

    [Theory]
    [InlineData(ExitKind.SystemCall, null, OverheadSource.SystemCall)]
    [InlineData(ExitKind.PortIo, 0x80L, OverheadSource.InputOutput)]
    [InlineData(ExitKind.DeviceMemory, null, OverheadSource.InputOutput)]
    [InlineData(ExitKind.ControlRegisterWrite, 8L, OverheadSource.TaskPriority)]
    [InlineData(ExitKind.ControlRegisterWrite, 3L, OverheadSource.Other)]
    [InlineData(ExitKind.MsrWrite, 0x808L, OverheadSource.TaskPriority)]
    [InlineData(ExitKind.MsrWrite, 0x80BL, OverheadSource.Other)]
    [InlineData(ExitKind.Exception, 14L, OverheadSource.PageFault)]
    [InlineData(ExitKind.Exception, 13L, OverheadSource.Other)]
    [InlineData(ExitKind.HiddenPageFault, null, OverheadSource.PageFault)]
    [InlineData(ExitKind.TraceWrite, null, OverheadSource.PageTableWrite)]
    [InlineData(ExitKind.TimeStamp, null, OverheadSource.TimeStamp)]
    [InlineData(ExitKind.Cpuid, null, OverheadSource.Other)]
    public void AnEventHasOneSource(ExitKind kind, long? number, OverheadSource source)
    {
        IReadOnlyList<Overhead> all = BySource(null, new ExitCount(kind, number, "", 7));
        Assert.Equal(Enum.GetValues<OverheadSource>(), all.Select(o => o.Source));
        Assert.All(all, o => Assert.Equal(o.Source == source ? 7 : 0, o.Count));
    }

    [Theory]
    [InlineData(ExitKind.UnclaimedPort)]
    [InlineData(ExitKind.UnknownMsr)]
    [InlineData(ExitKind.TruePageFault)]
    [InlineData(ExitKind.Callout)]
    [InlineData(ExitKind.AddressSpaceSwitch)]
    public void WhatIsCountedElsewhereIsNotCountedTwice(ExitKind kind)
        => Assert.All(BySource(null, new ExitCount(kind, null, "simulated", 7)), o => Assert.Equal(0, o.Count));

    [Fact]
    public void IndirectBranchesAreCallReturnWhereSomethingIsTranslated()
    {
        ExitCount[] exits = [new ExitCount(ExitKind.IndirectBranch, null, "", 3), new ExitCount(ExitKind.Callout, null, "simulated", 4)];
        Assert.Equal(3, BySource(s_translation, exits)[(int)OverheadSource.CallReturn].Count);
        Assert.Equal(0, BySource(null, exits)[(int)OverheadSource.CallReturn].Count);
    }

    [Fact]
    public void TranslationHasItsHostTime()
        => Assert.Equal(new Overhead(OverheadSource.Translation, 12, TimeSpan.FromSeconds(2)), BySource(s_translation)[(int)OverheadSource.Translation]);
}
