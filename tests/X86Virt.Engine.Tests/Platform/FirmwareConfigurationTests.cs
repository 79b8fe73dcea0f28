using System.Buffers.Binary;
using System.Text;
using X86Virt.Engine.Memory;
using X86Virt.Engine.Platform;
using Xunit;

namespace X86Virt.Engine.Tests.Platform;

/// <summary>The firmware configuration device, by its ports and by DMA.</summary>
public sealed class FirmwareConfigurationTests : IDisposable
{
    private const ushort Selector = FirmwareConfiguration.SelectorPort, Data = FirmwareConfiguration.DataPort, Dma = FirmwareConfiguration.DmaPort;
    private const ulong Command = 0x1000, Buffer = 0x2000;
    private const uint Error = 1, Read = 2, Skip = 4, SelectKey = 8, Write = 16;

    private readonly TestBoard _b = new(options: new BoardOptions
    {
        FirmwareItems = new Dictionary<string, ReadOnlyMemory<byte>> { ["opt/test"] = "hello"u8.ToArray() },
    });

    public void Dispose() => _b.Dispose();

    private byte[] Item(ushort key, int length)
    {
        _b.Out(Selector, key, 2);
        return [.. Enumerable.Range(0, length).Select(_ => _b.In(Data))];
    }

    private Dictionary<string, (ushort Key, int Size)> Directory()
    {
        int count = BinaryPrimitives.ReadInt32BigEndian(Item(FirmwareKey.FileDirectory, 4));
        var files = new Dictionary<string, (ushort, int)>();
        for (int i = 0; i < count; i++)
        {
            byte[] entry = [.. Enumerable.Range(0, 64).Select(_ => _b.In(Data))];
            string name = Encoding.ASCII.GetString(entry, 8, 56).TrimEnd('\0');
            files.Add(name, (BinaryPrimitives.ReadUInt16BigEndian(entry.AsSpan(4)), BinaryPrimitives.ReadInt32BigEndian(entry)));
        }
        return files;
    }

    private byte[] File(string name)
    {
        (ushort key, int size) = Directory()[name];
        return Item(key, size);
    }

    /// <summary>Has the device carry a command out and returns what it left in the control word.</summary>
    private uint Execute(uint control, uint length, ulong address, ulong command = Command)
    {
        byte[] bytes = new byte[16];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, control);
        BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(4), length);
        BinaryPrimitives.WriteUInt64BigEndian(bytes.AsSpan(8), address);
        _b.Memory.Write(command, bytes);
        Start(command);
        return BinaryPrimitives.ReverseEndianness(_b.Read(command));
    }

    private void Start(ulong command)
    {
        _b.Out(Dma, BinaryPrimitives.ReverseEndianness((uint)(command >> 32)), 4);
        _b.Out(Dma + 4, BinaryPrimitives.ReverseEndianness((uint)command), 4);
    }

    private string Text(ulong address, int length)
    {
        byte[] bytes = new byte[length];
        _b.Memory.Read(address, bytes.AsSpan());
        return Encoding.ASCII.GetString(bytes);
    }

    [Fact]
    public void TheSignatureIsSelectedAtReset()
    {
        Assert.Equal("QEMU\0", Encoding.ASCII.GetString([.. Enumerable.Range(0, 5).Select(_ => _b.In(Data))]));
        Assert.Equal([3, 0, 0, 0], Item(FirmwareKey.Id, 4));
        Assert.Equal(BitConverter.GetBytes(2UL << 20), Item(FirmwareKey.RamSize, 8));
        Assert.Equal([1, 0], Item(FirmwareKey.ProcessorCount, 2));
        _b.Board.Reset();
        Assert.Equal((byte)'Q', _b.In(Data));
    }

    [Fact]
    public void AnUnknownKeyAndTheEndOfAnItemReadZero()
    {
        Assert.Equal([0, 0], Item(0x1234, 2));
        Assert.Equal([(byte)'U', 0, 0], Item(FirmwareKey.Signature, 6)[3..]);
    }

    [Fact]
    public void TheDirectoryListsFilesByNameAndFindsThem()
    {
        Dictionary<string, (ushort Key, int Size)> files = Directory();
        Assert.Equal(["bootorder", "etc/acpi/rsdp", "etc/acpi/tables", "etc/e820", "etc/system-states", "etc/table-loader", "opt/test"], files.Keys);
        Assert.Equal(Enumerable.Range(FirmwareKey.FirstFile, files.Count), files.Values.Select(f => (int)f.Key));
        Assert.Equal("hello"u8.ToArray(), File("opt/test"));
        byte[] ranges = File("etc/e820");
        Assert.Equal((0UL, 2UL << 20, 1u), (BitConverter.ToUInt64(ranges), BitConverter.ToUInt64(ranges, 8), BitConverter.ToUInt32(ranges, 16)));
    }

    [Fact]
    public void TheDmaPortShowsItsSignature()
        => Assert.Equal("QEMU CFG", Encoding.ASCII.GetString([.. BitConverter.GetBytes(_b.In(Dma, 4)), .. BitConverter.GetBytes(_b.In(Dma + 4, 4))]));

    [Fact]
    public void DmaSelectsSkipsAndReadsAndFillsWithZeros()
    {
        (ushort key, _) = Directory()["opt/test"];
        _b.Memory.Write(Buffer, "XXXXXXXX"u8);
        Assert.Equal(0u, Execute((uint)key << 16 | SelectKey | Skip, 1, 0));
        Assert.Equal(0u, Execute(Read, 2, Buffer));
        Assert.Equal("elXXXXXX", Text(Buffer, 8));
        Assert.Equal(0u, Execute(Read, 5, Buffer));
        Assert.Equal("lo\0\0\0XXX", Text(Buffer, 8));
        Assert.Equal(0u, Execute((uint)key << 16 | SelectKey | Read, 5, Buffer + 0xFFE));
        Assert.Equal("hello", Text(Buffer + 0xFFE, 5));
    }

    [Theory]
    [InlineData(0xFFFF_F000_0000_0000UL)]
    [InlineData(0xFFFF_FFFF_FFFF_FFFEUL)]
    [InlineData(0xA_0000UL)]
    [InlineData(0xFEE0_0000UL)]
    [InlineData((2UL << 20) - 2)]
    public void ABadTargetIsAnErrorAndNothingElse(ulong target)
    {
        uint apic = _b.Read(TestBoard.Apic + 0x80);
        Assert.Equal(Error, Execute(SelectKey | Read, 4, target));
        Assert.Equal(Error, Execute(SelectKey | Read, uint.MaxValue, target));
        Assert.Equal(apic, _b.Read(TestBoard.Apic + 0x80));
        Assert.Equal(0u, Execute(SelectKey | Read, 4, Buffer));
        Assert.Equal("QEMU", Text(Buffer, 4));
    }

    [Fact]
    public void ACommandThatIsNotInMemoryIsIgnoredAndItemsAreNotWritten()
    {
        Start(0xFFFF_FFFF_FFFF_FFF8);
        Start(0xA_0000);
        Start((2UL << 20) - 8);
        Assert.Equal(Error, BinaryPrimitives.ReverseEndianness(_b.Read((2UL << 20) - 8)));
        Assert.Equal(Error, Execute(SelectKey | Write, 4, Buffer));
        Assert.Equal((byte)'Q', _b.In(Data));
    }

    [Fact]
    public void DmaIntoTrackedCodeIsNoticed()
    {
        int page = PageOf(Buffer);
        var seen = new List<(int, int, int)>();
        _b.Memory.CodeWrite += (p, offset, length) => seen.Add((p, offset, length));
        _b.Memory.Track(page, PageTracking.Code);
        Assert.Equal(0u, Execute(SelectKey | Read, 4, Buffer + 8));
        Assert.Equal([(page, 8, 4)], seen);
    }

    private unsafe int PageOf(ulong address)
    {
        _b.Memory.Lookup(address, out byte* host);
        return _b.Memory.PageIndex(host);
    }

    [Fact]
    public void TheLoadersScriptGivesTheTablesThatTheBoardPlacesItself()
    {
        byte[] tables = File("etc/acpi/tables"), rsdp = File("etc/acpi/rsdp"), script = File("etc/table-loader");
        var files = new Dictionary<string, (byte[] Bytes, uint Address)> { ["etc/acpi/tables"] = (tables, 0), ["etc/acpi/rsdp"] = (rsdp, 0) };
        uint next = (uint)BoardMemory.TablesStart;
        string Name(int at) => Encoding.ASCII.GetString(script, at, 56).TrimEnd('\0');
        for (int at = 0; at < script.Length; at += 128)
        {
            switch (BitConverter.ToUInt32(script, at))
            {
                case 1:
                    uint alignment = BitConverter.ToUInt32(script, at + 60);
                    next = (next + alignment - 1) & ~(alignment - 1);
                    files[Name(at + 4)] = (files[Name(at + 4)].Bytes, next);
                    next += (uint)files[Name(at + 4)].Bytes.Length;
                    break;
                case 2:
                    Span<byte> field = files[Name(at + 4)].Bytes.AsSpan((int)BitConverter.ToUInt32(script, at + 116), script[at + 120]);
                    ulong value = (field.Length == 8 ? BitConverter.ToUInt64(field) : BitConverter.ToUInt32(field)) + files[Name(at + 60)].Address;
                    BitConverter.GetBytes(value).AsSpan(0, field.Length).CopyTo(field);
                    break;
                case 3:
                    byte[] bytes = files[Name(at + 4)].Bytes;
                    int[] numbers = [.. Enumerable.Range(0, 3).Select(i => BitConverter.ToInt32(script, at + 60 + i * 4))];
                    bytes[numbers[0]] = (byte)-bytes.Skip(numbers[1]).Take(numbers[2]).Sum(b => b);
                    break;
                default:
                    Assert.Fail($"command {BitConverter.ToUInt32(script, at)}");
                    break;
            }
        }
        foreach ((byte[] expected, uint address) in files.Values)
        {
            byte[] placed = new byte[expected.Length];
            _b.Memory.Read(address, placed.AsSpan());
            Assert.Equal(expected, placed);
        }
    }

    [Fact]
    public void NamesAreCheckedWithAReason()
    {
        FirmwareConfiguration f = _b.Board.FirmwareConfiguration;
        Assert.Contains("55", Assert.Throws<ArgumentException>(() => f.SetFile(new string('a', 56), default)).Message, StringComparison.Ordinal);
        for (int i = Directory().Count; i < FirmwareConfiguration.MaximumFiles; i++)
            f.SetFile($"opt/{i}", default);
        Assert.Contains("opt/more", Assert.Throws<ArgumentException>(() => f.SetFile("opt/more", default)).Message, StringComparison.Ordinal);
        f.SetFile("opt/test", new byte[] { 1 });
        Assert.Equal([1], File("opt/test"));
    }
}
