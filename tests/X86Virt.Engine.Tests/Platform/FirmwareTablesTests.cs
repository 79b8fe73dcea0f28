using System.Buffers.Binary;
using System.Text;
using X86Virt.Engine.Platform;
using Xunit;

namespace X86Virt.Engine.Tests.Platform;

/// <summary>What the tables say, read as an operating system reads them.</summary>
public sealed class FirmwareTablesTests : IDisposable
{
    private readonly TestBoard _b = new(16 << 20);

    public void Dispose() => _b.Dispose();

    /// <summary>Names in the DSDT by path, with the bytes of their values; every length is checked against what it holds.</summary>
    private static Dictionary<string, byte[]> Names(ReadOnlySpan<byte> aml)
    {
        var names = new Dictionary<string, byte[]>();
        Terms(aml, "", names);
        return names;
    }

    private static void Terms(ReadOnlySpan<byte> aml, string path, Dictionary<string, byte[]> names)
    {
        while (aml.Length > 0)
        {
            switch (aml[0])
            {
                case 0x08:
                    int length = ValueLength(aml[5..]);
                    names.Add($"{path}.{Encoding.ASCII.GetString(aml[1..5])}", aml.Slice(5, length).ToArray());
                    aml = aml[(5 + length)..];
                    break;
                case 0x10:
                    ReadOnlySpan<byte> scope = Sized(aml[1..], out int scopeLength);
                    Assert.Equal((byte)'\\', scope[0]);
                    Terms(scope[5..], $"{path}.{Encoding.ASCII.GetString(scope[1..5])}", names);
                    aml = aml[(1 + scopeLength)..];
                    break;
                case 0x5B:
                    Assert.Equal(0x82, aml[1]);
                    ReadOnlySpan<byte> device = Sized(aml[2..], out int deviceLength);
                    Terms(device[4..], $"{path}.{Encoding.ASCII.GetString(device[..4])}", names);
                    aml = aml[(2 + deviceLength)..];
                    break;
                default:
                    Assert.Fail($"There is no term 0x{aml[0]:x} in {path}.");
                    break;
            }
        }
    }

    /// <summary>What a PkgLength counts, without itself.</summary>
    private static ReadOnlySpan<byte> Sized(ReadOnlySpan<byte> aml, out int length)
    {
        int following = aml[0] >> 6;
        length = following == 0 ? aml[0] & 0x3F : aml[0] & 0xF;
        for (int i = 0; i < following; i++)
            length |= aml[1 + i] << (4 + 8 * i);
        return aml[(1 + following)..length];
    }

    private static int ValueLength(ReadOnlySpan<byte> aml)
    {
        switch (aml[0])
        {
            case 0x00 or 0x01:
                return 1;
            case 0x0A:
                return 2;
            case 0x0B:
                return 3;
            case 0x0C:
                return 5;
            case 0x0D:
                return aml.IndexOf((byte)0) + 1;
            case 0x11 or 0x12:
                Sized(aml[1..], out int length);
                return 1 + length;
            default:
                Assert.Fail($"There is no value 0x{aml[0]:x}.");
                return 0;
        }
    }

    private static uint Integer(ReadOnlySpan<byte> aml) => aml[0] switch
    {
        0x0A => aml[1],
        0x0B => BinaryPrimitives.ReadUInt16LittleEndian(aml[1..]),
        0x0C => BinaryPrimitives.ReadUInt32LittleEndian(aml[1..]),
        _ => aml[0],
    };

    private static List<byte[]> Elements(ReadOnlySpan<byte> package)
    {
        Assert.Equal(0x12, package[0]);
        ReadOnlySpan<byte> rest = Sized(package[1..], out _);
        int count = rest[0];
        rest = rest[1..];
        var elements = new List<byte[]>();
        while (rest.Length > 0)
        {
            int length = ValueLength(rest);
            elements.Add(rest[..length].ToArray());
            rest = rest[length..];
        }
        Assert.Equal(count, elements.Count);
        return elements;
    }

    /// <summary>The resource descriptors of a buffer, as hexadecimal digits.</summary>
    private static List<string> Resources(ReadOnlySpan<byte> buffer)
    {
        Assert.Equal(0x11, buffer[0]);
        ReadOnlySpan<byte> rest = Sized(buffer[1..], out _);
        int sizeLength = ValueLength(rest);
        uint size = Integer(rest);
        rest = rest[sizeLength..];
        Assert.Equal(size, (uint)rest.Length);
        var resources = new List<string>();
        while (rest[0] != 0x79)
        {
            int length = (rest[0] & 0x80) == 0 ? 1 + (rest[0] & 7) : 3 + BinaryPrimitives.ReadUInt16LittleEndian(rest[1..]);
            resources.Add(Convert.ToHexString(rest[..length]));
            rest = rest[length..];
        }
        Assert.Equal(2, rest.Length);
        return resources;
    }

    private Dictionary<string, byte[]> Dsdt()
    {
        byte[] all = new byte[0x2000];
        _b.Memory.Read(BoardMemory.AcpiTables, all.AsSpan());
        int at = all.AsSpan().IndexOf("DSDT"u8);
        return Names(all.AsSpan(at, BinaryPrimitives.ReadInt32LittleEndian(all.AsSpan(at + 4)))[36..]);
    }

    [Fact]
    public void DevicesAreWhereTheyAnswer()
    {
        Dictionary<string, byte[]> names = Dsdt();
        // An I/O descriptor is 47, decoding, minimum, maximum, alignment, length; an interrupt is 22 and a mask.
        Assert.Equal(["4701F803F8030108", "221000"], Resources(names["._SB_.PCI0.ISA_.COM1._CRS"]));
        Assert.Equal(["4701E802E8020108", "220800"], Resources(names["._SB_.PCI0.ISA_.COM4._CRS"]));
        Assert.Equal(["4701700070000102", "220001"], Resources(names["._SB_.PCI0.ISA_.RTC_._CRS"]));
        Assert.Equal("220010", Resources(names["._SB_.PCI0.ISA_.MOU_._CRS"]).Single());
        Assert.Contains("4701600060000101", Resources(names["._SB_.PCI0.ISA_.KBD_._CRS"]));
        Assert.Equal("470110051005010C", Resources(names["._SB_.PCI0.ISA_.FWCF._CRS"]).Single());
        Assert.Equal("860900010000D0FE00040000", Resources(names["._SB_.HPET._CRS"]).Single());
        // PNP0501 in EISA's compression.
        Assert.Equal(0x0105_D041u, Integer(names["._SB_.PCI0.ISA_.COM1._HID"]));
        Assert.Equal(0x0001_0000u, Integer(names["._SB_.PCI0.ISA_._ADR"]));
    }

    [Fact]
    public void TheRootBridgePassesOnWhatIsNotTheBoards()
    {
        List<string> windows = Resources(Dsdt()["._SB_.PCI0._CRS"]);
        Assert.Equal(6, windows.Count);
        Assert.Equal("4701F80CF80C0108", windows[1]);
        Assert.EndsWith("0000" + "F70C" + "0000" + "F80C", windows[2], StringComparison.Ordinal);
        Assert.EndsWith("000D" + "FFFF" + "0000" + "00F3", windows[3], StringComparison.Ordinal);
        Assert.EndsWith("000000E0" + "FFFFBFFE" + "00000000" + "0000C01E", windows[5], StringComparison.Ordinal);
    }

    [Fact]
    public void InterruptRoutesAreThoseOfTheBridge()
    {
        List<byte[]> routes = Elements(Dsdt()["._SB_.PCI0._PRT"]);
        Assert.Equal(128, routes.Count);
        IsaBridge bridge = _b.Board.Devices.OfType<IsaBridge>().Single();
        foreach (byte[] route in routes)
        {
            uint[] r = [.. Elements(route).Select(e => Integer(e))];
            (int device, int pin) = ((int)(r[0] >> 16), (int)r[1] + 1);
            uint expected = bridge.ReadConfiguration(IsaBridge.PirqRoute + PciBus.PirqOf(new PciAddress(device, 0), pin), 1);
            Assert.Equal((0xFFFFu, 0u, device == 1 && pin == 1 ? PowerManagement.Sci : expected), (r[0] & 0xFFFF, r[2], r[3]));
        }
    }

    [Fact]
    public void SoftOffIsTheSleepTypeThatSwitchesOff()
        => Assert.Equal([0u, 0u, 0u, 0u], Elements(Dsdt()["._S5_"]).Select(e => Integer(e)));

    [Fact]
    public void TheMultiprocessorTableAddsUpAndNamesEveryInterruptOnce()
    {
        byte[] bytes = new byte[0x400];
        _b.Memory.Read(BoardMemory.MpTables, bytes.AsSpan());
        Assert.Equal("_MP_", Encoding.ASCII.GetString(bytes, 0, 4));
        Assert.Equal(0, (byte)bytes.Take(16).Sum(b => b));
        Assert.Equal(BoardMemory.MpTables + 16u, BitConverter.ToUInt32(bytes, 4));
        byte[] table = bytes[16..(16 + BitConverter.ToUInt16(bytes, 20))];
        Assert.Equal("PCMP", Encoding.ASCII.GetString(table, 0, 4));
        Assert.Equal(0, (byte)table.Sum(b => b));
        Assert.Equal((uint)LocalApic.DefaultAddress, BitConverter.ToUInt32(table, 36));

        var kinds = new List<byte>();
        var pins = new Dictionary<(byte Bus, byte Source), byte>();
        int at = 44;
        for (; at < table.Length; at += table[at] == 0 ? 20 : 8)
        {
            kinds.Add(table[at]);
            if (table[at] == 3)
                pins.Add((table[at + 4], table[at + 5]), table[at + 7]);
        }
        Assert.Equal(table.Length, at);
        Assert.Equal(BitConverter.ToUInt16(table, 34), kinds.Count);
        Assert.Equal((1, 2, 1, 2), (kinds.Count(k => k == 0), kinds.Count(k => k == 1), kinds.Count(k => k == 2), kinds.Count(k => k == 4)));
        Assert.Equal((2, 4, 8), (pins[(1, 0)], pins[(1, 4)], pins[(1, 8)]));
        // Device 1's INTA is the power management function's.
        Assert.Equal(PowerManagement.Sci, pins[(0, 1 << 2)]);
    }
}
