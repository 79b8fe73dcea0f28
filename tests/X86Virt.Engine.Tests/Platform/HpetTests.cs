using X86Virt.Engine.Platform;
using Xunit;

namespace X86Virt.Engine.Tests.Platform;

/// <summary>The HPET at 100 MHz: a tick is 10 instructions at the default rate.</summary>
public sealed class HpetTests : IDisposable
{
    private const ulong Hpet = X86Virt.Engine.Platform.Hpet.DefaultAddress;
    private const ulong Configuration = Hpet + 0x10, Status = Hpet + 0x20, Counter = Hpet + 0xF0, Timer0 = Hpet + 0x100, Timer1 = Hpet + 0x120, Timer2 = Hpet + 0x140;
    private const uint Enable = 1, Legacy = 2;
    private const uint Level = 1 << 1, InterruptEnable = 1 << 2, Periodic = 1 << 3, SetAccumulator = 1 << 6, Narrow = 1 << 8;
    private const int Route16 = 16 << 9;

    private readonly TestBoard _b = new();

    public void Dispose() => _b.Dispose();

    private ulong Read64(ulong address) => _b.Memory.Read(address, 8);

    /// <summary>Counts the interrupts that arrive at the PIC's input 0 or 8 within some ticks.</summary>
    private int Interrupts(long ticks)
    {
        int count = 0;
        for (long i = 0; i < ticks; i++)
        {
            _b.Advance(10);
            for (int vector; (vector = _b.Acknowledge()) >= 0; count++)
            {
                if (vector >= 0x28)
                    _b.Out(0xA0, 0x20);
                _b.Out(0x20, 0x20);
            }
        }
        return count;
    }

    [Fact]
    public void CapabilitiesSayWhatIsThere()
    {
        Assert.Equal(0x0098_9680_8086_A201UL, Read64(Hpet));
        Assert.Equal(0x00FF_0100_0000_0030UL, Read64(Timer0));
        Assert.Equal(ulong.MaxValue, Read64(Timer2 + 8));
        Assert.Equal(0UL, Read64(Hpet + 0x160));
        Assert.Equal(0x8086u, _b.Memory.Read(Hpet + 2, 2));
    }

    [Fact]
    public void TheCounterRunsWhileItIsEnabled()
    {
        _b.Advance(1000);
        Assert.Equal(0UL, Read64(Counter));
        _b.Memory.Write(Counter, 8, 0xFFFF_FFF0);
        _b.Write(Configuration, Enable);
        _b.Advance(1000);
        Assert.Equal(0x1_0000_0054UL, Read64(Counter));
        Assert.Equal(0x54u, _b.Read(Counter));
        Assert.Equal(1u, _b.Read(Counter + 4));
        _b.Write(Counter, 0);
        Assert.Equal(0x1_0000_0054UL, Read64(Counter));
        _b.Write(Configuration, 0);
        _b.Advance(1000);
        Assert.Equal(0x1_0000_0054UL, Read64(Counter));
        _b.Write(Configuration, Enable);
        _b.Advance(100);
        Assert.Equal(0x1_0000_005EUL, Read64(Counter));
    }

    [Fact]
    public void LegacyReplacementTakesTheInterruptsOfPitAndRtc()
    {
        _b.SetUpPics();
        _b.Out(0x43, 0x34);
        _b.Out(0x40, 100);
        _b.Out(0x40, 0);
        Assert.NotEqual(0, Interrupts(20_000));
        _b.Write(Configuration, Enable | Legacy);
        Assert.Equal(0, Interrupts(20_000));
        _b.Memory.Write(Timer0 + 8, 8, Read64(Counter) + 50);
        _b.Write(Timer0, InterruptEnable);
        Assert.Equal((0, 1, 0), (Interrupts(49), Interrupts(1), Interrupts(20_000)));
        _b.Memory.Write(Timer1 + 8, 8, Read64(Counter) + 50);
        _b.Write(Timer1, InterruptEnable);
        _b.Advance(500);
        Assert.Equal(0x28, _b.Acknowledge());
        _b.Out(0xA0, 0x20);
        _b.Out(0x20, 0x20);
        _b.Write(Configuration, Enable);
        Assert.NotEqual(0, Interrupts(20_000));
    }

    [Fact]
    public void PeriodicModeMovesTheComparatorOn()
    {
        _b.SetUpPics();
        _b.Write(Configuration, Enable | Legacy);
        _b.Write(Timer0, InterruptEnable | Periodic | SetAccumulator | Narrow);
        Assert.Equal(SetAccumulator, _b.Read(Timer0) & SetAccumulator);
        _b.Write(Timer0 + 8, 300);
        Assert.Equal(0u, _b.Read(Timer0) & SetAccumulator);
        _b.Write(Timer0 + 8, 100);
        Assert.Equal(300u, _b.Read(Timer0 + 8));
        Assert.Equal((0, 1, 0, 1, 10), (Interrupts(299), Interrupts(1), Interrupts(99), Interrupts(1), Interrupts(1000)));
        Assert.Equal(1500u, _b.Read(Timer0 + 8));
        _b.Write(Timer0, 0);
        Assert.Equal(0, Interrupts(1000));
    }

    [Fact]
    public void AComparatorOf32BitsMatchesOnceARound()
    {
        _b.SetUpPics();
        _b.Memory.Write(Counter, 8, 0x5_FFFF_FFF0);
        _b.Write(Timer0, InterruptEnable | Narrow);
        _b.Write(Timer0 + 8, 0x10);
        _b.Write(Configuration, Enable | Legacy);
        Assert.Equal((0, 1), (Interrupts(31), Interrupts(1)));
        _b.Advance(((1L << 32) - 1) * 10);
        Assert.Equal(-1, _b.Acknowledge());
        _b.Advance(10);
        Assert.Equal(0x20, _b.Acknowledge());
    }

    [Fact]
    public void ALevelStaysUntilItsStatusIsCleared()
    {
        _b.Write(Timer2, InterruptEnable | Level | Route16);
        _b.Memory.Write(Timer2 + 8, 8, 100);
        _b.Write(Configuration, Enable);
        _b.Advance(999);
        Assert.False(_b.Board.Interrupts.IsAsserted(16));
        _b.Advance(1);
        Assert.True(_b.Board.Interrupts.IsAsserted(16));
        Assert.Equal(4u, _b.Read(Status));
        _b.Write(Status, 3);
        Assert.True(_b.Board.Interrupts.IsAsserted(16));
        _b.Write(Timer2, InterruptEnable | Level | 17 << 9);
        Assert.Equal((false, true), (_b.Board.Interrupts.IsAsserted(16), _b.Board.Interrupts.IsAsserted(17)));
        _b.Write(Status, 4);
        Assert.False(_b.Board.Interrupts.IsAsserted(17));
        Assert.Equal(0u, _b.Read(Status));
    }

    [Fact]
    public void APeriodOfNothingAndAnAbsurdOneDoNoHarm()
    {
        _b.Write(Configuration, Enable | Legacy);
        _b.Write(Timer0, InterruptEnable | Periodic | SetAccumulator);
        _b.Memory.Write(Timer0 + 8, 8, 10);
        _b.Memory.Write(Timer0 + 8, 8, 0);
        _b.Advance(1000);
        _b.Memory.Write(Timer0 + 8, 8, ulong.MaxValue);
        _b.Advance(1000);
        _b.Write(Timer1, InterruptEnable | Periodic | SetAccumulator);
        _b.Memory.Write(Timer1 + 8, 8, Read64(Counter) + 1);
        _b.Memory.Write(Timer1 + 8, 8, 1);
        _b.Advance(1000);
        Assert.Equal(Read64(Counter) + 1, Read64(Timer1 + 8));
    }

    [Fact]
    public void ResetGivesTheInterruptsBack()
    {
        _b.Write(Configuration, Enable | Legacy);
        _b.Write(Timer2, InterruptEnable | Level | Route16);
        _b.Memory.Write(Timer2 + 8, 8, 1);
        _b.Advance(100);
        _b.Board.Reset();
        Assert.False(_b.Board.Interrupts.IsAsserted(16));
        Assert.Equal((0u, 0u, 0u), (_b.Read(Configuration), _b.Read(Status), _b.Read(Counter)));
        _b.SetUpPics();
        _b.Out(0x43, 0x34);
        _b.Out(0x40, 100);
        _b.Out(0x40, 0);
        Assert.NotEqual(0, Interrupts(20_000));
    }
}
