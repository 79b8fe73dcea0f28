using X86Virt.Engine.Platform;
using Xunit;

namespace X86Virt.Engine.Tests.Platform;

public sealed class PortBusTests
{
    private sealed class Recorder : IPortDevice
    {
        public List<(ushort Port, int Size, uint Value)> Writes { get; } = [];

        public uint ReadPort(ushort port, int size) => port & 0xFFU;

        public void WritePort(ushort port, int size, uint value) => Writes.Add((port, size, value));
    }

    private readonly PortBus _bus = new();
    private readonly Recorder _device = new();

    [Fact]
    public void NobodyReadsAllOnesAndIsCounted()
    {
        Assert.Equal(0xFFFF_FFFF, _bus.Read(0x1234, 4));
        _bus.Write(0x1234, 2, 0);
        Assert.Equal((4L, 2L), (_bus.UnclaimedReads, _bus.UnclaimedWrites));
        Assert.Equal(2, _bus.Unclaimed[0x1234]);
    }

    [Fact]
    public void WideAccessToAByteDeviceGoesToConsecutivePorts()
    {
        _bus.Claim(new PortRange(0x10, 2), _device);
        Assert.Equal(0xFFFF_1110, _bus.Read(0x10, 4));
        _bus.Write(0x10, 4, 0xDDCC_BBAA);
        Assert.Equal([(0x10, 1, 0xAAU), (0x11, 1, 0xBBU)], _device.Writes);
        Assert.Equal(2, _bus.UnclaimedWrites);
    }

    [Fact]
    public void WideDeviceTakesItInOnePieceUnlessItsPortsEnd()
    {
        _bus.Claim(new PortRange(0x20, 4, 4), _device);
        _bus.Write(0x20, 4, 0x1234_5678);
        _bus.Write(0x22, 4, 0x1234_5678);
        Assert.Equal([(0x20, 4, 0x1234_5678U), (0x22, 2, 0x5678U)], _device.Writes);
    }

    [Fact]
    public void LastPortDoesNotWrapIntoPortZero()
    {
        _bus.Claim(new PortRange(0, 1), _device);
        Assert.Equal(0x00FF, (int)_bus.Read(0xFFFF, 2));
    }

    [Fact]
    public void TwoClaimsOfAPortAreRefusedByName()
    {
        _bus.Claim(new PortRange(0x30, 4), _device);
        var e = Assert.Throws<InvalidOperationException>(() => _bus.Claim(new PortRange(0x33, 1), _device));
        Assert.Contains("0x33", e.Message, StringComparison.Ordinal);
        _bus.Release(new PortRange(0x30, 4));
        _bus.Claim(new PortRange(0x33, 1), _device);
        Assert.Equal(0x33U, _bus.Read(0x33, 1));
        Assert.Equal(0xFFU, _bus.Read(0x30, 1));
    }
}
