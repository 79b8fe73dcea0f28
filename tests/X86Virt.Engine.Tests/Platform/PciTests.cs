using X86Virt.Engine.Memory;
using X86Virt.Engine.Platform;
using Xunit;

namespace X86Virt.Engine.Tests.Platform;

/// <summary>Configuration mechanism 1, base address registers, interrupt routing and the bridges.</summary>
public sealed class PciTests : IDisposable
{
    /// <summary>A device with one of each kind of base address register, whose interrupt a test drives.</summary>
    private sealed class Probe(PciAddress address) : PciFunction(address, new PciIdentity(0x1234, 0x5678, 0xFF_0102, 7)), IPortDevice, IMmioDevice
    {
        public override string Name => "Probe";
        public List<(ulong At, int Size, ulong Value)> Writes { get; } = [];

        public Probe WithBars()
        {
            AddBar(0, PciBarKind.Io, 32);
            AddBar(1, PciBarKind.Memory32, 0x2000);
            AddBar(2, PciBarKind.Memory64, 0x1_0000);
            return this;
        }

        public Probe WithPin(byte pin)
        {
            Preset(PciRegister.InterruptPin, pin);
            return this;
        }

        public void Assert(bool level) => Interrupt = level;

        public uint ReadPort(ushort port, int size) => port & 0x1FU;

        public void WritePort(ushort port, int size, uint value) => Writes.Add((port, size, value));

        public ulong ReadMemory(ulong offset, int size) => offset;

        public void WriteMemory(ulong offset, int size, ulong value) => Writes.Add((offset, size, value));
    }

    private const int Bar0 = 0x10, Bar1 = 0x14, Bar2 = 0x18, Bar2High = 0x1C;

    private readonly TestBoard _b = new();

    public void Dispose() => _b.Dispose();

    private static uint At(int device, int function, int offset) => 0x8000_0000 | (uint)(device << 11 | function << 8 | offset & 0xFC);

    private uint Read(int device, int function, int offset, int size = 4)
    {
        _b.Out(PciBus.AddressPort, At(device, function, offset), 4);
        return _b.In((ushort)(PciBus.DataPort + (offset & 3)), size);
    }

    private void Write(int device, int function, int offset, uint value, int size = 4)
    {
        _b.Out(PciBus.AddressPort, At(device, function, offset), 4);
        _b.Out((ushort)(PciBus.DataPort + (offset & 3)), value, size);
    }

    private Probe Add(int device, byte pin = 0)
    {
        Probe probe = _b.Board.Add(new Probe(new PciAddress(device, 0)).WithBars().WithPin(pin));
        _b.Board.Reset();
        return probe;
    }

    [Fact]
    public void TheBoardHasThePcsChipset()
    {
        Assert.Equal(0x1237_8086u, Read(0, 0, 0));
        Assert.Equal(0x0600_0002u, Read(0, 0, 8));
        Assert.Equal(0x7000_8086u, Read(1, 0, 0));
        Assert.Equal(0x0601_0000u, Read(1, 0, 8));
        Assert.Equal(0x80u, Read(1, 0, 0x0E, 1));
        Assert.Equal(0x7113_8086u, Read(1, 3, 0));
        Assert.Equal(0x0680_0003u, Read(1, 3, 8));
        Assert.Equal(["00:00.0", "00:01.0", "00:01.3"], _b.Board.Pci.Functions.Select(f => f.Address.ToString()));
    }

    [Fact]
    public void NobodyReadsAllOnes()
    {
        Assert.Equal(uint.MaxValue, Read(5, 0, 0));
        Assert.Equal(0xFFFFu, Read(5, 0, 0, 2));
        _b.Out(PciBus.AddressPort, 0x8001_0000, 4);
        Assert.Equal(uint.MaxValue, _b.In(PciBus.DataPort, 4));
        _b.Out(PciBus.AddressPort, 0, 4);
        Assert.Equal(uint.MaxValue, _b.In(PciBus.DataPort, 4));
    }

    [Fact]
    public void TheRegisterIsReadInBytesWordsAndDwords()
    {
        Assert.Equal(0x86u, Read(0, 0, 0, 1));
        Assert.Equal(0x12u, Read(0, 0, 3, 1));
        Assert.Equal(0x1237u, Read(0, 0, 2, 2));
        Write(0, 0, 0x0D, 0x40, 1);
        Assert.Equal(0x4000u, Read(0, 0, 0x0C));
        Write(0, 0, 0, 0);
        Assert.Equal(0x1237_8086u, Read(0, 0, 0));
    }

    [Fact]
    public void OnlyADwordIsTheAddress()
    {
        _b.Out(PciBus.AddressPort, 0x8000_0800, 4);
        _b.Out(PciBus.AddressPort, 0, 1);
        _b.Out(PciBus.AddressPort + 3, 1, 1);
        Assert.Equal(0x8000_0800u, _b.In(PciBus.AddressPort, 4));
        Assert.False(_b.Board.TakeReset());
        _b.Out(SystemControl.ResetControl, 0x0E);
        Assert.True(_b.Board.TakeReset());
        Assert.Equal(0x0Au, _b.In(SystemControl.ResetControl));
        Assert.Equal(0x8000_0800u, _b.In(PciBus.AddressPort, 4));
    }

    [Fact]
    public void AllOnesInABaseAddressShowItsSizeAndKind()
    {
        Add(3);
        foreach (int bar in (int[])[Bar0, Bar1, Bar2, Bar2High])
            Write(3, 0, bar, uint.MaxValue);
        Assert.Equal(0xFFFF_FFE1u, Read(3, 0, Bar0));
        Assert.Equal(0xFFFF_E000u, Read(3, 0, Bar1));
        Assert.Equal(0xFFFF_000Cu, Read(3, 0, Bar2));
        Assert.Equal(0xFFFF_FFFFu, Read(3, 0, Bar2High));
        Write(3, 0, 0x20, uint.MaxValue);
        Assert.Equal(0u, Read(3, 0, 0x20));
    }

    [Fact]
    public void AnAddressIsDecodedWhileTheCommandRegisterAllowsIt()
    {
        Probe probe = Add(3);
        Write(3, 0, Bar0, 0xD000);
        Write(3, 0, Bar1, 0xF000_0000);
        Write(3, 0, Bar2, 0);
        Write(3, 0, Bar2High, 2);
        Assert.Equal([new PortRange(0xD000, 32, 4)], probe.Ports);
        Assert.Equal([new AddressRange(0xF000_0000, 0x2000), new AddressRange(0x2_0000_0000, 0x1_0000)], probe.Addresses);
        Assert.Equal(4u, _b.In(0xD004, 4));
        Assert.Equal(0x1FF8u, _b.Read(0xF000_1FF8));
        Assert.Equal(0x8000u, _b.Read(0x2_0000_8000));
        Write(3, 0, PciRegister.Command, (uint)PciCommand.IoSpace, 2);
        Assert.Equal(uint.MaxValue, _b.Read(0xF000_0000));
        Assert.Equal(4u, _b.In(0xD004, 4));
        Write(3, 0, PciRegister.Command, 0, 2);
        Assert.Equal(uint.MaxValue, _b.In(0xD004, 4));
        Assert.Empty(probe.Ports);
    }

    [Theory]
    [InlineData(Bar0, 0x3E0u)]
    [InlineData(Bar0, 0x0u)]
    [InlineData(Bar0, 0xFFFF_FFE0u)]
    [InlineData(Bar1, 0x10_0000u)]
    [InlineData(Bar1, 0xC_0000u)]
    [InlineData(Bar1, 0xFEE0_0000u)]
    [InlineData(Bar1, 0xFFFF_E000u)]
    public void AnAddressWhereSomethingElseIsGivesNothing(int bar, uint address)
    {
        Probe probe = Add(3);
        uint ram = _b.Read(0x10_0000), shadow = _b.Read(0xC_0000), apic = _b.Read(TestBoard.Apic + 0x30), lsr = _b.In(0x3FD);
        int decoded = probe.Ports.Count + probe.Addresses.Count;
        Write(3, 0, bar, address);
        Assert.Equal(decoded - 1, probe.Ports.Count + probe.Addresses.Count);
        Write(3, 0, PciRegister.Command, 0, 2);
        Assert.Equal((ram, shadow, apic, lsr), (_b.Read(0x10_0000), _b.Read(0xC_0000), _b.Read(TestBoard.Apic + 0x30), _b.In(0x3FD)));
    }

    [Fact]
    public void FirmwareAssignsAddressesAndInterrupts()
    {
        Probe a = Add(3, 1);
        Probe b = Add(4, 2);
        Assert.All((Probe[])[a, b], p => Assert.Equal((1, 2), (p.Ports.Count, p.Addresses.Count)));
        AddressRange[] all = [.. a.Addresses.Concat(b.Addresses).OrderBy(r => r.Start)];
        Assert.All(all.Zip(all.Skip(1)), pair => Assert.True(pair.First.Start + pair.First.Length <= pair.Second.Start));
        Assert.All(all, r => Assert.Equal(0UL, r.Start & (r.Length - 1)));
        Assert.Equal((11u, 10u), (Read(3, 0, PciRegister.InterruptLine, 1), Read(4, 0, PciRegister.InterruptLine, 1)));
        Assert.Equal(0x0C00u, _b.In(0x4D0, 2));
    }

    [Fact]
    public void APinReachesTheInterruptThatItsRequestIsRoutedTo()
    {
        Probe a = Add(3, 1), b = Add(7, 1);
        a.Assert(true);
        Assert.True(_b.Board.Interrupts.IsAsserted(11));
        Assert.Equal(8u, Read(3, 0, PciRegister.Status, 2) & 8);
        b.Assert(true);
        a.Assert(false);
        Assert.True(_b.Board.Interrupts.IsAsserted(11));
        Write(1, 0, IsaBridge.PirqRoute + 2, 5, 1);
        Assert.Equal((false, true), (_b.Board.Interrupts.IsAsserted(11), _b.Board.Interrupts.IsAsserted(5)));
        Write(1, 0, IsaBridge.PirqRoute + 2, 0x80, 1);
        Assert.False(_b.Board.Interrupts.IsAsserted(5));
        Write(1, 0, IsaBridge.PirqRoute + 2, 2, 1);
        Write(1, 0, IsaBridge.PirqRoute + 2, 9, 1);
        Assert.True(_b.Board.Interrupts.IsAsserted(9));
        Write(7, 0, PciRegister.Command, (uint)PciCommand.InterruptDisable, 2);
        Assert.False(_b.Board.Interrupts.IsAsserted(9));
        Assert.Equal(8u, Read(7, 0, PciRegister.Status, 2) & 8);
        Write(7, 0, PciRegister.Command, 0, 2);
        Assert.True(_b.Board.Interrupts.IsAsserted(9));
        _b.Board.Reset();
        Assert.False(_b.Board.Interrupts.IsAsserted(9));
    }

    [Fact]
    public void TwoDevicesInOnePlaceAreRefusedByName()
    {
        var e = Assert.Throws<InvalidOperationException>(() => _b.Board.Add(new Probe(new PciAddress(1, 3))));
        Assert.Contains("00:01.3", e.Message, StringComparison.Ordinal);
        Assert.Contains("Power management", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void PamRegistersSwitchRamBelowOneMegabyte()
    {
        _b.Write(0xC_4000, 0x1111_1111);
        Write(0, 0, 0x5A, 0x13, 1);
        _b.Write(0xC_4000, 0x2222_2222);
        Assert.Equal(0x1111_1111u, _b.Read(0xC_4000));
        Write(0, 0, 0x5A, 0x03, 1);
        Assert.Equal(uint.MaxValue, _b.Read(0xC_4000));
        Write(0, 0, 0x5A, 0xFF, 1);
        Assert.Equal(0x33u, Read(0, 0, 0x5A, 1));
        Assert.Equal(0x1111_1111u, _b.Read(0xC_4000));
    }

    [Fact]
    public void FirmwareIsSeenBelowFourGigabytesAndWhereNoRamIs()
    {
        byte[] image = new byte[0x4_0000];
        image[^16] = 0xEA;
        image[0] = 0x55;
        image[0x2_0000] = 0xAA;
        using var b = new TestBoard(options: new BoardOptions { Firmware = image });
        Assert.Equal(0xEAu, b.Read(0xFFFF_FFF0));
        Assert.Equal(0x55u, b.Read(0xFFFC_0000));
        Assert.Equal((0xEAu, 0xAAu), (b.Read(0xF_FFF0), b.Read(0xE_0000)));
        Assert.Equal(uint.MaxValue, b.Read(0xD_0000));
        b.Write(0xF_FFF0, 0);
        Assert.Equal(0xEAu, b.Read(0xF_FFF0));
        // Firmware copies itself: RAM writable, then read-only.
        b.Out(PciBus.AddressPort, 0x8000_0058, 4);
        b.Out(PciBus.DataPort + 1, 0x30);
        b.Write(0xF_FFF0, 0x1234_5678);
        Assert.Equal(0x1234_5678u, b.Read(0xF_FFF0));
        b.Out(PciBus.DataPort + 1, 0x10);
        b.Write(0xF_FFF0, 0);
        Assert.Equal(0x1234_5678u, b.Read(0xF_FFF0));
        Assert.Equal(0xEAu, b.Read(0xFFFF_FFF0));
        b.Board.Reset();
        Assert.Equal(0xEAu, b.Read(0xF_FFF0));
    }
}
