using Xunit;

namespace X86Virt.Engine.Tests.Platform;

public sealed class PitTests : IDisposable
{
    private const long Second = 1_000_000_000;
    private readonly TestBoard _b = new();

    public PitTests() => _b.SetUpPics();

    public void Dispose() => _b.Dispose();

    /// <summary>To the first nanosecond of the n-th timer tick from here (the time is at a tick's start).</summary>
    private void AdvanceTicks(long ticks)
    {
        var crystal = new Engine.Platform.Frequency(Engine.Platform.Pit.Hertz);
        long now = _b.Board.Clock.Now;
        _b.Advance(crystal.TimeOf(crystal.TicksAt(now) + ticks) - now);
    }

    private int Count(int counter, byte latch)
    {
        _b.Out(0x43, latch);
        return _b.In((ushort)(0x40 + counter)) | _b.In((ushort)(0x40 + counter)) << 8;
    }

    private bool Output(int counter)
    {
        _b.Out(0x43, (uint)(0xE0 | 2 << counter));
        return (_b.In((ushort)(0x40 + counter)) & 0x80) != 0;
    }

    private void Program(int counter, byte mode, int count)
    {
        _b.Out(0x43, (uint)(counter << 6 | 0x30 | mode << 1));
        _b.Out((ushort)(0x40 + counter), (uint)(byte)count);
        _b.Out((ushort)(0x40 + counter), (uint)(byte)(count >> 8));
    }

    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    public void PeriodicModesInterruptAtTheirRate(byte mode)
    {
        Program(0, mode, 11932);
        int interrupts = 0;
        for (int i = 0; i < 1000; i++)
        {
            _b.Advance(Second / 1000);
            if (_b.Acknowledge() == 0x20)
            {
                interrupts++;
                _b.Out(0x20, 0x20);
            }
        }
        // The first edge may be that of OUT going high with the control word.
        Assert.InRange(interrupts, 99, 101);
    }

    [Fact]
    public void ModeZeroRaisesOutOnceAndTheCountGoesOnDown()
    {
        Program(0, 0, 1000);
        Assert.False(Output(0));
        AdvanceTicks(999);
        Assert.False(Output(0));
        Assert.Equal(1, Count(0, 0x00));
        Assert.Equal(-1, _b.Acknowledge());
        AdvanceTicks(1);
        Assert.True(Output(0));
        Assert.Equal(0x20, _b.Acknowledge());
        AdvanceTicks(1);
        Assert.Equal(0xFFFF, Count(0, 0x00));
        Assert.True(Output(0));
    }

    [Fact]
    public void TheFirstByteOfACountStopsModeZero()
    {
        Program(0, 0, 100);
        _b.Out(0x40, 50);
        AdvanceTicks(200);
        Assert.False(Output(0));
        _b.Out(0x40, 0);
        AdvanceTicks(49);
        Assert.False(Output(0));
        AdvanceTicks(1);
        Assert.True(Output(0));
    }

    [Fact]
    public void ModeTwoIsLowForTheLastTickOnly()
    {
        Program(0, 2, 10);
        for (int tick = 0; tick < 25; tick++)
        {
            Assert.Equal(tick % 10 != 9, Output(0));
            Assert.Equal(10 - tick % 10, Count(0, 0x00));
            AdvanceTicks(1);
        }
    }

    [Fact]
    public void ModeThreeIsHighForTheLongerHalf()
    {
        Program(0, 3, 5);
        bool[] expected = [true, true, true, false, false, true, true, true, false, false];
        foreach (bool level in expected)
        {
            Assert.Equal(level, Output(0));
            AdvanceTicks(1);
        }
    }

    [Fact]
    public void ANewCountInModeTwoWaitsForThePeriodToEnd()
    {
        Program(0, 2, 10);
        AdvanceTicks(4);
        _b.Out(0x40, 6);
        _b.Out(0x40, 0);
        Assert.Equal(6, Count(0, 0x00));
        AdvanceTicks(5);
        Assert.False(Output(0));
        AdvanceTicks(1);
        Assert.Equal(6, Count(0, 0x00));
        AdvanceTicks(5);
        Assert.False(Output(0));
        AdvanceTicks(1);
        Assert.Equal(6, Count(0, 0x00));
    }

    [Fact]
    public void ModeFourStrobesLowForOneTick()
    {
        Program(0, 4, 20);
        _b.Acknowledge();
        _b.Out(0x20, 0x20);
        AdvanceTicks(19);
        Assert.True(Output(0));
        AdvanceTicks(1);
        Assert.False(Output(0));
        Assert.Equal(-1, _b.Acknowledge());
        AdvanceTicks(1);
        Assert.True(Output(0));
        Assert.Equal(0x20, _b.Acknowledge());
    }

    [Fact]
    public void TheGateOfCounterTwoHoldsModeZeroAndTriggersModeOne()
    {
        _b.Out(0x61, 0);
        Program(2, 0, 100);
        AdvanceTicks(500);
        Assert.Equal(0, _b.In(0x61) & 0x21);
        _b.Out(0x61, 1);
        AdvanceTicks(60);
        _b.Out(0x61, 0);
        AdvanceTicks(500);
        Assert.Equal(40, Count(2, 0x80));
        _b.Out(0x61, 1);
        AdvanceTicks(40);
        Assert.Equal(0x21, _b.In(0x61) & 0x21);

        _b.Out(0x61, 0);
        Program(2, 1, 30);
        AdvanceTicks(100);
        Assert.True(Output(2));
        _b.Out(0x61, 1);
        Assert.False(Output(2));
        AdvanceTicks(29);
        Assert.False(Output(2));
        AdvanceTicks(1);
        Assert.True(Output(2));
    }

    [Fact]
    public void BinaryCodedCountsWrapAtTenThousand()
    {
        _b.Out(0x43, 0x31);
        _b.Out(0x40, 0x00);
        _b.Out(0x40, 0x01);
        AdvanceTicks(1);
        Assert.Equal(0x0099, Count(0, 0x00));
        AdvanceTicks(100);
        Assert.Equal(0x9999, Count(0, 0x00));
    }

    [Fact]
    public void ALatchedCountStaysUntilBothBytesAreReadAndStatusComesFirst()
    {
        Program(0, 2, 0);
        AdvanceTicks(0x100);
        _b.Out(0x43, 0xC2);
        AdvanceTicks(0x1000);
        Assert.Equal(0xB4, _b.In(0x40));
        Assert.Equal(0x00, _b.In(0x40));
        Assert.Equal(0xFF, _b.In(0x40));
        Assert.Equal(0xEF00 & 0xFF, _b.In(0x40));
    }

    [Fact]
    public void StatusShowsACountThatIsNotInForceYet()
    {
        _b.Out(0x43, 0x34);
        _b.Out(0x43, 0xE2);
        Assert.Equal(0xF4, _b.In(0x40));
    }

    [Fact]
    public void TheRefreshBitToggles()
    {
        byte before = _b.In(0x61);
        AdvanceTicks(18);
        Assert.Equal(0x10, (before ^ _b.In(0x61)) & 0x10);
    }
}
