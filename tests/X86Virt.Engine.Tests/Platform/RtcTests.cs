using Xunit;

namespace X86Virt.Engine.Tests.Platform;

public sealed class RtcTests : IDisposable
{
    private const long Second = 1_000_000_000;
    private readonly TestBoard _b = new();

    public RtcTests() => _b.SetUpPics();

    public void Dispose() => _b.Dispose();

    private byte Get(byte register)
    {
        _b.Out(0x70, register);
        return _b.In(0x71);
    }

    private void Set(byte register, byte value)
    {
        _b.Out(0x70, register);
        _b.Out(0x71, value);
    }

    private byte[] Time() => [Get(0x32), Get(9), Get(8), Get(7), Get(4), Get(2), Get(0)];

    [Fact]
    public void StartsAtTheFixedDateAndGoesWithGuestTime()
    {
        Assert.Equal([0x20, 0x26, 0x01, 0x01, 0x00, 0x00, 0x00], Time());
        Assert.Equal(5, Get(6));
        _b.Advance((31L * 86400 + 3723) * Second);
        Assert.Equal([0x20, 0x26, 0x02, 0x01, 0x01, 0x02, 0x03], Time());
    }

    [Fact]
    public void TwelveHoursAndBinary()
    {
        _b.Advance(13 * 3600 * Second);
        Set(0x0B, 0x04);
        Assert.Equal(0x81, Get(4));
        Set(0x0B, 0x00);
        Assert.Equal(0x81, Get(4));
        Set(4, 0x92);
        Set(0x0B, 0x06);
        Assert.Equal(12, Get(4));
        Assert.Equal(26, Get(9));
    }

    [Fact]
    public void FieldsMayBeWrittenInAnyOrderWhileStopped()
    {
        Set(8, 0x02);
        Set(0x0B, 0x82);
        Set(7, 0x31);
        Set(8, 0x12);
        Set(9, 0x99);
        Set(0x32, 0x19);
        Set(4, 0x23);
        Set(2, 0x59);
        Set(0, 0x59);
        _b.Advance(10 * Second);
        Assert.Equal(0x59, Get(0));
        Set(0x0B, 0x02);
        Assert.Equal([0x19, 0x99, 0x12, 0x31, 0x23, 0x59, 0x59], Time());
        _b.Advance(Second);
        Assert.Equal([0x20, 0x00, 0x01, 0x01, 0x00, 0x00, 0x00], Time());
    }

    [Fact]
    public void NoDateThatAGuestWritesLeavesTheCalendar()
    {
        Set(0x0B, 0x82);
        foreach (byte register in (byte[])[0, 2, 4, 6, 7, 8, 9, 0x32])
            Set(register, 0xFF);
        Set(0x0B, 0x02);
        _b.Advance(86400 * Second);
        Assert.Equal(0x95, Get(0x32));
    }

    [Fact]
    public void UpdateInProgressWarnsBeforeEachUpdate()
    {
        _b.Advance(Second - 300_000);
        Assert.Equal(0x26, Get(0x0A));
        _b.Advance(100_000);
        Assert.Equal(0xA6, Get(0x0A));
        _b.Advance(200_000);
        Assert.Equal(0x26, Get(0x0A));
    }

    [Fact]
    public void UpdateEndedInterruptsEverySecondOnceRegisterCIsRead()
    {
        Set(0x0B, 0x12);
        for (int i = 0; i < 3; i++)
        {
            _b.Advance(Second - 1);
            Assert.Equal(-1, _b.Acknowledge());
            _b.Advance(1);
            Assert.Equal(0x28, _b.Acknowledge());
            // PF comes at its rate whether or not it interrupts.
            Assert.Equal(0xD0, Get(0x0C));
            Assert.Equal(0, Get(0x0C));
            _b.Out(0xA0, 0x20);
            _b.Out(0x20, 0x20);
        }
        _b.Advance(Second);
        Assert.Equal(0x28, _b.Acknowledge());
        _b.Out(0xA0, 0x20);
        _b.Out(0x20, 0x20);
        _b.Advance(5 * Second);
        Assert.Equal(-1, _b.Acknowledge());
    }

    [Fact]
    public void PeriodicInterruptComesAtItsRate()
    {
        Set(0x0A, 0x26);
        Set(0x0B, 0x42);
        int count = 0;
        for (int i = 0; i < 10_000; i++)
        {
            _b.Advance(100_000);
            if (_b.Acknowledge() == 0x28)
            {
                count++;
                Assert.Equal(0xC0, Get(0x0C) & 0xC0);
                _b.Out(0xA0, 0x20);
                _b.Out(0x20, 0x20);
            }
        }
        Assert.Equal(1024, count);
    }

    [Fact]
    public void AlarmMatchesWithDoNotCareBytes()
    {
        Set(1, 0x05);
        Set(3, 0x30);
        Set(5, 0xC0);
        Set(0x0B, 0x22);
        _b.Advance((30 * 60 + 5) * Second - 1);
        Assert.Equal(-1, _b.Acknowledge());
        _b.Advance(1);
        Assert.Equal(0x28, _b.Acknowledge());
        Assert.Equal(0xF0, Get(0x0C));
        _b.Out(0xA0, 0x20);
        _b.Out(0x20, 0x20);
        _b.Advance(3600 * Second - 1);
        Assert.Equal(-1, _b.Acknowledge());
        _b.Advance(1);
        Assert.Equal(0x28, _b.Acknowledge());
    }

    [Fact]
    public void FlagsAreSetForPollingWithoutInterrupts()
    {
        Set(1, 0x07);
        Set(3, 0xFF);
        Set(5, 0xFF);
        _b.Advance(6 * Second);
        Assert.Equal(0x50, Get(0x0C));
        _b.Advance(Second);
        Assert.Equal(0x70, Get(0x0C));
        Assert.Equal(-1, _b.Acknowledge());
    }
}
