using Xunit;

namespace X86Virt.Engine.Tests.Platform;

public sealed class PicTests : IDisposable
{
    private readonly TestBoard _b = new();

    public PicTests() => _b.SetUpPics();

    public void Dispose() => _b.Dispose();

    private void Pulse(int irq)
    {
        // The timer's output is high from power-on.
        _b.Board.Pic.SetInput(irq, false);
        _b.Board.Pic.SetInput(irq, true);
        _b.Board.Pic.SetInput(irq, false);
    }

    private byte InService(ushort port)
    {
        _b.Out(port, 0x0B);
        byte value = _b.In(port);
        _b.Out(port, 0x0A);
        return value;
    }

    [Fact]
    public void LowerInputsComeFirstAndBlockHigherOnesUntilTheirEnd()
    {
        Pulse(4);
        Pulse(1);
        Assert.Equal(0x21, _b.Acknowledge());
        Assert.Equal(-1, _b.Acknowledge());
        Pulse(0);
        Assert.Equal(0x20, _b.Acknowledge());
        _b.Out(0x20, 0x20);
        Assert.Equal(0x02, InService(0x20));
        _b.Out(0x20, 0x20);
        Assert.Equal(0x24, _b.Acknowledge());
    }

    [Fact]
    public void TheSlaveIsServedThroughTheCascadeInPriorityBetweenOneAndThree()
    {
        Pulse(3);
        Pulse(14);
        Pulse(12);
        Assert.Equal(0x2C, _b.Acknowledge());
        Assert.Equal((0x04, 0x10), (InService(0x20), InService(0xA0)));
        _b.Out(0xA0, 0x20);
        _b.Out(0x20, 0x20);
        Assert.Equal(0x2E, _b.Acknowledge());
        _b.Out(0xA0, 0x66);
        _b.Out(0x20, 0x62);
        Assert.Equal(0x23, _b.Acknowledge());
    }

    [Fact]
    public void AMaskHoldsRequestsBackWithoutLosingThem()
    {
        _b.Out(0x21, 0x10);
        Pulse(4);
        Assert.Equal(-1, _b.Acknowledge());
        Assert.Equal(0x10, _b.In(0x20));
        _b.Out(0x21, 0);
        Assert.Equal(0x24, _b.Acknowledge());
    }

    [Fact]
    public void ARequestThatIsGoneAtTheAcknowledgeGivesInputSeven()
    {
        _b.Out(0x4D0, 0x20);
        _b.Board.Pic.SetInput(5, true);
        Assert.True(_b.Board.InterruptPending);
        _b.Board.Pic.SetInput(5, false);
        Assert.False(_b.Board.InterruptPending);
        Assert.Equal(0x27, _b.Board.AcknowledgeInterrupt());
        Assert.Equal(0, InService(0x20));

        _b.Out(0x4D1, 0x04);
        _b.Board.Pic.SetInput(10, true);
        _b.Board.Pic.SetInput(10, false);
        Assert.Equal(0x2F, _b.Acknowledge());
        Assert.Equal((0x04, 0x00), (InService(0x20), InService(0xA0)));
    }

    [Fact]
    public void ALevelInterruptsAgainAfterItsEndWhileItStays()
    {
        _b.Out(0x4D0, 0xFF);
        Assert.Equal(0xF8, _b.In(0x4D0));
        _b.Board.Pic.SetInput(5, true);
        Assert.Equal(0x25, _b.Acknowledge());
        _b.Out(0x20, 0x65);
        Assert.Equal(0x25, _b.Acknowledge());
        _b.Board.Pic.SetInput(5, false);
        _b.Out(0x20, 0x65);
        Assert.Equal(-1, _b.Acknowledge());
    }

    [Fact]
    public void AutomaticEndLeavesNothingInService()
    {
        _b.Out(0x20, 0x11);
        _b.Out(0x21, 0x40);
        _b.Out(0x21, 4);
        _b.Out(0x21, 3);
        Pulse(6);
        Pulse(7);
        Assert.Equal(0x46, _b.Acknowledge());
        Assert.Equal(0, InService(0x20));
        Assert.Equal(0x47, _b.Acknowledge());
    }

    [Fact]
    public void BothSlaveRequestsArriveWithAutomaticEnd()
    {
        _b.Out(0xA0, 0x11);
        _b.Out(0xA1, 0x28);
        _b.Out(0xA1, 2);
        _b.Out(0xA1, 3);
        Pulse(12);
        Pulse(14);
        Assert.Equal(0x2C, _b.Acknowledge());
        _b.Out(0x20, 0x20);
        Assert.Equal(0x2E, _b.Acknowledge());
    }

    [Fact]
    public void RotationMakesTheServedInputTheLast()
    {
        Pulse(3);
        Assert.Equal(0x23, _b.Acknowledge());
        _b.Out(0x20, 0xA0);
        Pulse(3);
        Pulse(4);
        Pulse(0);
        Assert.Equal(0x24, _b.Acknowledge());
        _b.Out(0x20, 0x20);
        Assert.Equal(0x20, _b.Acknowledge());
        _b.Out(0x20, 0x20);
        Assert.Equal(0x23, _b.Acknowledge());
        _b.Out(0x20, 0xC7);
        _b.Out(0x20, 0x20);
        Pulse(4);
        Pulse(0);
        Assert.Equal(0x20, _b.Acknowledge());
    }

    [Fact]
    public void SpecialMaskModeLetsLowerInputsThroughAMaskedOneInService()
    {
        Pulse(1);
        Assert.Equal(0x21, _b.Acknowledge());
        Pulse(5);
        Assert.Equal(-1, _b.Acknowledge());
        _b.Out(0x21, 0x02);
        _b.Out(0x20, 0x68);
        Assert.Equal(0x25, _b.Acknowledge());
    }

    [Fact]
    public void APollAcknowledges()
    {
        Pulse(6);
        _b.Out(0x20, 0x0C);
        Assert.Equal(0x86, _b.In(0x20));
        Assert.Equal(0x40, InService(0x20));
        _b.Out(0x20, 0x0C);
        Assert.Equal(0, _b.In(0x20));
    }

    [Fact]
    public void InitialisationClearsMasksAndRequests()
    {
        _b.Out(0x21, 0xFF);
        Pulse(4);
        _b.SetUpPics(0x30);
        Assert.Equal(0, _b.In(0x21));
        Assert.Equal(-1, _b.Acknowledge());
        Pulse(4);
        Assert.Equal(0x34, _b.Acknowledge());
    }
}
