using System.Buffers.Binary;
using System.Text;
using X86Virt.Engine.Memory;

namespace X86Virt.Engine.Platform;

/// <summary>
/// QEMU's firmware configuration device ("fw_cfg"): items of bytes by 16-bit key, and named files with a directory of them. The guest
/// selects a key at port 0x510 and reads byte after byte at 0x511, or has the device copy into memory by a command whose
/// address it writes to 0x514 and 0x518, big-endian. Items are not written to.
/// </summary>
public sealed class FirmwareConfiguration(PhysicalMemory memory) : Device, IPortDevice
{
    public const ushort SelectorPort = 0x510, DataPort = 0x511, DmaPort = 0x514;

    /// <summary>Files that there is a key for.</summary>
    public const int MaximumFiles = 0x20;
    public const int MaximumNameLength = 55;

    private const ushort InvalidKey = 0xFFFF, WriteChannel = 0x4000;
    private const int DmaLength = 8, CommandLength = 16, DirectoryEntryLength = 64;
    private const uint Error = 1 << 0, ReadCommand = 1 << 1, SkipCommand = 1 << 2, SelectCommand = 1 << 3, WriteCommand = 1 << 4;

    private readonly Dictionary<ushort, ReadOnlyMemory<byte>> _items = [];
    private readonly SortedList<string, ReadOnlyMemory<byte>> _files = new(StringComparer.Ordinal);
    private ReadOnlyMemory<byte> _selected;
    private ushort _key;
    private int _position;
    private uint _dmaHigh;

    public override string Name => "Firmware config";
    public override IReadOnlyList<PortRange> Ports { get; } = [new(SelectorPort, 2, 2), new(DmaPort, DmaLength, 4)];
    public override IReadOnlyList<DeviceRegister> Registers => [new("Selector", _key), new("Position", (ulong)_position), new("Items", (ulong)_items.Count), new("Files", (ulong)_files.Count)];

    /// <summary>Names of the files, in the directory's order.</summary>
    public IEnumerable<string> Files => _files.Keys;

    private static ReadOnlySpan<byte> DmaSignature => "QEMU CFG"u8;

    public void Set(ushort key, ReadOnlyMemory<byte> content) => _items[key] = content;

    public void Set16(ushort key, ushort value) => Set(key, BitConverter.GetBytes(value));

    public void Set32(ushort key, uint value) => Set(key, BitConverter.GetBytes(value));

    public void Set64(ushort key, ulong value) => Set(key, BitConverter.GetBytes(value));

    public void Remove(ushort key) => _items.Remove(key);

    public static bool IsFileName(string name) => name.Length is > 0 and <= MaximumNameLength && Ascii.IsValid(name);

    /// <summary>Adds a file or replaces it; names are paths of ASCII characters.</summary>
    public void SetFile(string name, ReadOnlyMemory<byte> content)
    {
        if (!IsFileName(name))
            throw new ArgumentException($"'{name}' cannot name a firmware configuration file; give 1 to {MaximumNameLength} ASCII characters.", nameof(name));
        if (_files.Count == MaximumFiles && !_files.ContainsKey(name))
            throw new ArgumentException($"There is no room for the firmware configuration file '{name}': {MaximumFiles} files are there. Leave one out.", nameof(name));
        _files[name] = content;
        Set(FirmwareKey.FileDirectory, Directory());
    }

    private byte[] Directory()
    {
        byte[] directory = new byte[4 + _files.Count * DirectoryEntryLength];
        BinaryPrimitives.WriteInt32BigEndian(directory, _files.Count);
        for (int i = 0; i < _files.Count; i++)
        {
            Span<byte> entry = directory.AsSpan(4 + i * DirectoryEntryLength, DirectoryEntryLength);
            BinaryPrimitives.WriteInt32BigEndian(entry, _files.Values[i].Length);
            BinaryPrimitives.WriteUInt16BigEndian(entry[4..], (ushort)(FirmwareKey.FirstFile + i));
            Encoding.ASCII.GetBytes(_files.Keys[i], entry[8..]);
        }
        return directory;
    }

    public override void Reset()
    {
        Select(FirmwareKey.Signature);
        _dmaHigh = 0;
    }

    private void Select(ushort key)
    {
        key &= unchecked((ushort)~WriteChannel);
        int file = key - FirmwareKey.FirstFile;
        bool isFile = file >= 0 && file < _files.Count;
        bool exists = isFile || _items.ContainsKey(key);
        _selected = isFile ? _files.Values[file] : exists ? _items[key] : default;
        _key = exists ? key : InvalidKey;
        _position = 0;
    }

    public uint ReadPort(ushort port, int size)
    {
        if (port >= DmaPort)
        {
            uint value = 0;
            for (int i = 0; i < size; i++)
                value |= (uint)DmaSignature[port - DmaPort + i] << i * 8;
            return value;
        }
        // Both ports give the next byte; there is nothing to be had in words.
        if (size != 1)
            return uint.MaxValue >> (32 - size * 8);
        return _position < _selected.Length ? _selected.Span[_position++] : 0U;
    }

    public void WritePort(ushort port, int size, uint value)
    {
        if (port == SelectorPort && size == 2)
        {
            Select((ushort)value);
        }
        else if (size == 4 && port == DmaPort)
        {
            _dmaHigh = BinaryPrimitives.ReverseEndianness(value);
        }
        else if (size == 4 && port == DmaPort + 4)
        {
            Execute((ulong)_dmaHigh << 32 | BinaryPrimitives.ReverseEndianness(value));
            _dmaHigh = 0;
        }
    }

    /// <summary>Carries out the command at an address: control, length, address. Its control becomes 0, or the error bit.</summary>
    private void Execute(ulong address)
    {
        Span<byte> command = stackalloc byte[CommandLength];
        if (memory.Read(address, command) != CommandLength)
        {
            Answer(address, Error);
            return;
        }
        uint control = BinaryPrimitives.ReadUInt32BigEndian(command);
        uint length = BinaryPrimitives.ReadUInt32BigEndian(command[4..]);
        ulong target = BinaryPrimitives.ReadUInt64BigEndian(command[8..]);
        if ((control & SelectCommand) != 0)
            Select((ushort)(control >> 16));
        bool done = true;
        if ((control & ReadCommand) != 0)
            done = CopyOut(target, length);
        else if ((control & WriteCommand) != 0)
            done = length == 0;
        else if ((control & SkipCommand) != 0)
            _position = (int)Math.Min((long)_position + length, _selected.Length);
        Answer(address, done ? 0 : Error);
    }

    private void Answer(ulong address, uint control)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, control);
        memory.Write(address, bytes);
    }

    /// <summary>Copies from the selected item, and zeros from its end on; false at the first byte that is not RAM.</summary>
    private bool CopyOut(ulong target, uint length)
    {
        const int chunk = 0x1000;
        int there = (int)Math.Min(length, (uint)(_selected.Length - _position));
        ReadOnlySpan<byte> content = _selected.Span.Slice(_position, there);
        _position += there;
        if (memory.Write(target, content) != there)
            return false;
        ReadOnlySpan<byte> zeros = stackalloc byte[chunk];
        for (uint done = (uint)there; done < length;)
        {
            int part = (int)Math.Min(length - done, chunk);
            if (memory.Write(target + done, zeros[..part]) != part)
                return false;
            done += (uint)part;
        }
        return true;
    }
}
