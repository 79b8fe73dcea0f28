using X86Virt.Engine.Memory;
using X86Virt.Engine.Platform;
using Xunit;

namespace X86Virt.Engine.Tests.Platform;

/// <summary>A guest that writes all over the board's registers: none of it is an exception in the host, and the board still works after a reset.</summary>
public sealed class BoardFuzzTests
{
    private const int Rounds = 200_000;

    /// <summary>A PCI device that moves about.</summary>
    private sealed class Wanderer : PciFunction, IPortDevice, IMmioDevice
    {
        public Wanderer()
            : base(new PciAddress(2, 0), new PciIdentity(0x1234, 1, 0xFF_0000))
        {
            AddBar(0, PciBarKind.Io, 64);
            AddBar(1, PciBarKind.Memory32, 0x1_0000);
            AddBar(2, PciBarKind.Memory64, 0x100_0000);
            Preset(PciRegister.InterruptPin, 1);
        }

        public override string Name => "Wanderer";

        public uint ReadPort(ushort port, int size) => 0;

        public void WritePort(ushort port, int size, uint value) => Interrupt = (value & 1) != 0;

        public ulong ReadMemory(ulong offset, int size) => 0;

        public void WriteMemory(ulong offset, int size, ulong value) => Interrupt = (value & 1) != 0;
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void RandomAccessesDoNoHarm(int seed)
    {
        var random = new Random(seed);
        using var b = new TestBoard(4 << 20);
        Wanderer wanderer = b.Board.Add(new Wanderer());
        b.Board.Reset();
        for (int i = 0; i < Rounds; i++)
        {
            int size = 1 << random.Next(3);
            switch (random.Next(6))
            {
                case 0:
                    b.Out(PciBus.AddressPort, 0x8000_0000 | (uint)random.Next(4) << 11 | (uint)random.Next(4) << 8 | (uint)random.Next(64) << 2, 4);
                    b.Out((ushort)(PciBus.DataPort + random.Next(4) / size * size), Value(random), size);
                    break;
                case 1:
                    ulong address = Pages(wanderer)[random.Next(Pages(wanderer).Count)] + (ulong)random.Next(0x400) / 8 * 8;
                    b.Memory.Write(address, 1 << random.Next(4), Value(random) | (ulong)Value(random) << 32);
                    b.Memory.Read(address, 1 << random.Next(4));
                    break;
                case 2:
                    b.Out((ushort)random.Next(0x1_0000), Value(random), size);
                    break;
                case 3:
                    Device device = b.Board.Devices[random.Next(b.Board.Devices.Count)];
                    foreach (PortRange range in device.Ports)
                        b.Out((ushort)(range.First + random.Next(range.Count)), Value(random), size);
                    break;
                case 4:
                    b.In((ushort)random.Next(0x1_0000), size);
                    break;
                default:
                    b.Advance(random.Next(2000));
                    b.Acknowledge();
                    break;
            }
        }
        Assert.All(b.Board.Devices, d => Assert.NotEmpty(d.Name + string.Concat(d.Registers.Select(r => r.Value))));

        b.Board.Reset();
        Assert.Equal("QEMU", string.Concat(Enumerable.Range(0, 4).Select(_ => (char)b.In(FirmwareConfiguration.DataPort))));
        Assert.Equal(0x8086u, b.Memory.Read(Hpet.DefaultAddress + 2, 2));
        b.SetUpPics();
        b.Out(0x43, 0x34);
        b.Out(0x40, 100);
        b.Out(0x40, 0);
        b.Advance(1_000_000);
        Assert.Equal(0x20, b.Acknowledge());
    }

    private static List<ulong> Pages(PciFunction function)
        => [Hpet.DefaultAddress, IoApic.DefaultAddress, LocalApic.DefaultAddress, .. function.Addresses.Select(a => a.Start)];

    private static uint Value(Random random) => random.Next(4) switch
    {
        0 => 0,
        1 => uint.MaxValue,
        2 => 1U << random.Next(32),
        _ => (uint)random.NextInt64(),
    };
}
