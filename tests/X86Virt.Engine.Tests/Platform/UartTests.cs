using System.Text;
using Xunit;

namespace X86Virt.Engine.Tests.Platform;

public sealed class UartTests : IDisposable
{
    private const ushort Com1 = 0x3F8;
    private readonly TestBoard _b = new();
    private readonly List<byte> _sent = [];

    public UartTests()
    {
        _b.SetUpPics();
        _b.Board.ConsoleOutput += bytes => _sent.AddRange(bytes);
    }

    public void Dispose() => _b.Dispose();

    private void EnableFifo(byte trigger = 0xC0) => _b.Out(Com1 + 2, (uint)(0x07 | trigger));

    private void SetRate(ushort divisor)
    {
        _b.Out(Com1 + 3, 0x83);
        _b.Out(Com1, (uint)(byte)divisor);
        _b.Out(Com1 + 1, (uint)(divisor >> 8));
        _b.Out(Com1 + 3, 0x03);
    }

    [Fact]
    public void BytesLeaveAtOnceAndTheTransmitterIsAlwaysEmpty()
    {
        foreach (byte c in "hello"u8)
        {
            Assert.Equal(0x60, _b.In(Com1 + 5));
            _b.Out(Com1, c);
        }
        Assert.Equal("hello", Encoding.ASCII.GetString([.. _sent]));
    }

    [Fact]
    public void EnablingTheTransmitInterruptRaisesItAndReadingTheIdentificationClearsIt()
    {
        _b.Out(Com1 + 1, 2);
        Assert.Equal(0x24, _b.Acknowledge());
        Assert.Equal(0x02, _b.In(Com1 + 2));
        Assert.Equal(0x01, _b.In(Com1 + 2));
        _b.Out(0x20, 0x20);
        Assert.Equal(-1, _b.Acknowledge());
        _b.Out(Com1, 'x');
        Assert.Equal(0x24, _b.Acknowledge());
        _b.Out(0x20, 0x20);
        // Not read, not written: no second edge. Written: another.
        Assert.Equal(-1, _b.Acknowledge());
        _b.Out(Com1, 'y');
        Assert.Equal(0x24, _b.Acknowledge());
    }

    [Fact]
    public void InputWaitsUntilThereIsRoom()
    {
        SetRate(1);
        byte[] text = [.. Enumerable.Range(0, 100).Select(i => (byte)i)];
        EnableFifo();
        _b.Board.SendConsoleInput(text);
        var received = new List<byte>();
        for (int rounds = 0; rounds < 50 && received.Count < text.Length; rounds++)
        {
            while ((_b.In(Com1 + 5) & 1) != 0)
                received.Add(_b.In(Com1));
            Assert.Equal(0, _b.In(Com1 + 5) & 0x1E);
            _b.Advance(100_000);
        }
        Assert.Equal(text, received);
    }

    [Fact]
    public void WithoutFifosOneByteAtATime()
    {
        SetRate(1);
        _b.Out(Com1 + 1, 1);
        _b.Board.SendConsoleInput("ab"u8);
        Assert.Equal(0x04, _b.In(Com1 + 2));
        Assert.Equal((byte)'a', _b.In(Com1));
        Assert.Equal(0x01, _b.In(Com1 + 2));
        _b.Advance(90_000);
        Assert.Equal(0x04, _b.In(Com1 + 2));
        Assert.Equal((byte)'b', _b.In(Com1));
    }

    [Fact]
    public void BelowTheTriggerLevelTheTimeOutInterruptComes()
    {
        SetRate(12);
        EnableFifo();
        _b.Out(Com1 + 1, 1);
        _b.Board.SendConsoleInput("abc"u8);
        Assert.Equal(0xC1, _b.In(Com1 + 2));
        // Four characters of ten bits at 9600 bits a second.
        _b.Advance(4_166_600);
        Assert.Equal(0xC1, _b.In(Com1 + 2));
        _b.Advance(100);
        Assert.Equal(0xCC, _b.In(Com1 + 2));
        Assert.Equal(0x24, _b.Acknowledge());
        _b.In(Com1);
        Assert.Equal(0xC1, _b.In(Com1 + 2));
        _b.Advance(5_000_000);
        Assert.Equal(0xCC, _b.In(Com1 + 2));
    }

    [Fact]
    public void AtTheTriggerLevelTheDataInterruptComes()
    {
        EnableFifo(0x40);
        _b.Out(Com1 + 1, 1);
        _b.Board.SendConsoleInput("abc"u8);
        Assert.Equal(0xC1, _b.In(Com1 + 2));
        _b.Board.SendConsoleInput("d"u8);
        Assert.Equal(0xC4, _b.In(Com1 + 2));
        _b.In(Com1);
        Assert.Equal(0xC1, _b.In(Com1 + 2));
    }

    [Fact]
    public void LoopbackConnectsDataAndModemLines()
    {
        _b.Out(Com1 + 4, 0x1A);
        Assert.Equal(0x90, _b.In(Com1 + 6) & 0xF0);
        _b.Out(Com1 + 4, 0x15);
        Assert.Equal(0x60, _b.In(Com1 + 6) & 0xF0);
        _b.Out(Com1 + 4, 0x10);
        Assert.Equal(0x06, _b.In(Com1 + 6));
        _b.Out(Com1, 'z');
        Assert.Empty(_sent);
        Assert.Equal((byte)'z', _b.In(Com1));
        _b.Out(Com1, 1);
        _b.Out(Com1, 2);
        Assert.Equal(0x63, _b.In(Com1 + 5));
        Assert.Equal(0x61, _b.In(Com1 + 5));
        _b.Out(Com1 + 4, 0);
        Assert.Equal(0xB0, _b.In(Com1 + 6) & 0xF0);
    }

    [Fact]
    public void ABreakIsALineStatusInterrupt()
    {
        _b.Out(Com1 + 1, 4);
        _b.Board.Serial[0].SendBreak();
        Assert.Equal(0x06, _b.In(Com1 + 2));
        Assert.Equal(0x71, _b.In(Com1 + 5));
        Assert.Equal(0x01, _b.In(Com1 + 2));
    }

    [Fact]
    public void RegistersThatProbesLookAt()
    {
        Assert.Equal(0, _b.In(Com1 + 1));
        _b.Out(Com1 + 1, 0xFF);
        Assert.Equal(0x0F, _b.In(Com1 + 1));
        _b.Out(Com1 + 7, 0xA5);
        Assert.Equal(0xA5, _b.In(Com1 + 7));
        _b.Out(Com1 + 2, 1);
        Assert.Equal(0xC0, _b.In(Com1 + 2) & 0xC0);
        _b.Out(Com1 + 2, 0);
        Assert.Equal(0, _b.In(Com1 + 2) & 0xC0);
    }

    [Fact]
    public void PortsThreeAndOneShareAnInterruptLine()
    {
        _b.Out(0x3E8 + 1, 2);
        Assert.Equal(0x24, _b.Acknowledge());
        _b.Out(0x20, 0x20);
        _b.Out(0x2F8 + 1, 2);
        Assert.Equal(0x23, _b.Acknowledge());
    }
}
