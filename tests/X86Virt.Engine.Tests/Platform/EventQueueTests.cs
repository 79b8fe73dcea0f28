using X86Virt.Engine.Platform;
using Xunit;

namespace X86Virt.Engine.Tests.Platform;

public sealed unsafe class EventQueueTests
{
    [Theory]
    [InlineData(1_000_000_000)]
    [InlineData(3_000_000_000)]
    [InlineData(2_400_000_001)]
    [InlineData(7_000_000)]
    public void ATimerIsDueAtTheFirstInstructionAtOrAfterItsDeadline(long rate)
    {
        using var b = new TestBoard(options: new BoardOptions { ClockRate = rate });
        foreach (long deadline in (ReadOnlySpan<long>)[1, 999, 1_000_000_007, 86_400_000_000_001])
        {
            bool ran = false;
            // Timers only ever bring the deadline forward.
            b.Cpu.SetDeadline(long.MaxValue);
            b.Board.Events.CreateTimer("test", () => ran = true).Set(deadline);
            long at = b.Board.NextEventAt;
            Assert.Equal(at, b.Cpu.State->Deadline);
            b.Cpu.State->Budget = 1;
            Assert.True(b.Board.Clock.Now < deadline);
            b.Board.RunDueEvents();
            Assert.False(ran);
            b.Cpu.State->Budget = 0;
            Assert.True(b.Board.Clock.Now >= deadline);
            b.Board.RunDueEvents();
            Assert.True(ran);
        }
    }

    [Fact]
    public void EqualDeadlinesRunInTheOrderOfSetting()
    {
        using var b = new TestBoard();
        var order = new List<int>();
        GuestTimer[] timers = [.. Enumerable.Range(0, 4).Select(i => b.Board.Events.CreateTimer($"t{i}", () => order.Add(i)))];
        timers[2].Set(100);
        timers[0].Set(100);
        timers[1].Set(50);
        timers[3].Set(100);
        timers[2].Set(100);
        b.Advance(100);
        Assert.Equal([1, 0, 3, 2], order);
    }

    [Fact]
    public void SettingAnEarlierTimerBringsTheDeadlineForwardAndALaterOneLeavesIt()
    {
        using var b = new TestBoard();
        GuestTimer early = b.Board.Events.CreateTimer("early", () => { }), late = b.Board.Events.CreateTimer("late", () => { });
        b.Cpu.SetDeadline(10_000);
        late.Set(20_000);
        Assert.Equal(10_000, b.Cpu.State->Deadline);
        early.Set(500);
        Assert.Equal(500, b.Cpu.State->Deadline);
        Assert.Equal(0, b.Cpu.State->Retired);
        early.Cancel();
        Assert.Equal(20_000, b.Board.NextEventAt);
    }

    [Fact]
    public void AnIdleProcessorSkipsToTheNextTimerAndTimeGoesOnFromThere()
    {
        using var b = new TestBoard();
        long seen = 0;
        b.Board.Events.CreateTimer("test", () => seen = b.Board.Clock.Now).Set(5_000_000);
        b.Advance(10);
        Assert.True(b.Board.SkipIdle());
        Assert.Equal(5_000_000, seen);
        Assert.Equal(5_000_000, (long)b.Board.TimeStamp);
        Assert.Equal(10, b.Cpu.State->Retired);
        Assert.False(b.Board.SkipIdle());
        b.Advance(7);
        Assert.Equal(5_000_007, b.Board.Clock.Now);
    }

    [Theory]
    [InlineData(1_193_182)]
    [InlineData(32_768)]
    [InlineData(3_579_545)]
    [InlineData(9_000_000_000)]
    public void AFrequencyConvertsToTheFirstNanosecondOfATick(long hertz)
    {
        var f = new Frequency(hertz);
        foreach (long tick in (ReadOnlySpan<long>)[0, 1, 2, 17, 65_535, 1_000_000_007, 123_456_789_012])
        {
            long time = f.TimeOf(tick);
            Assert.True(f.TicksAt(time) >= tick);
            Assert.True(time == 0 || f.TicksAt(time - 1) < tick);
        }
    }
}
