using System.Buffers.Binary;
using System.Text;
using X86Virt.Engine.Memory;

namespace X86Virt.Engine.Platform;

/// <summary>
/// ACPI tables that have no address yet: the tables, the RSDP, and what is to be mended when both are placed. They are placed by
/// <see cref="Place"/>, or by firmware that follows <see cref="LoaderScript"/>.
/// </summary>
internal sealed class AcpiImage
{
    public const string TablesFile = "etc/acpi/tables", RsdpFile = "etc/acpi/rsdp";

    private const int CommandLength = 128, FileNameLength = 56;
    private const uint Allocate = 1, AddPointer = 2, AddChecksum = 3;
    private const byte HighZone = 1, LowZone = 2;
    private const uint TablesAlignment = 64, RsdpAlignment = 16;

    /// <summary>A field that holds an offset into the tables and is to hold the address there.</summary>
    private readonly record struct Pointer(bool InRsdp, int Offset, int Size);

    /// <summary>A byte that makes a range add up to 0.</summary>
    private readonly record struct ChecksumRange(bool InRsdp, int Offset, int Start, int Length);

    private readonly List<byte> _tables = [];
    private readonly List<Pointer> _pointers = [];
    private readonly List<ChecksumRange> _checksums = [];
    private byte[] _rsdp = [];

    public byte[] Tables => [.. _tables];
    public byte[] Rsdp => _rsdp;

    /// <summary>Appends a table as it is; returns its offset.</summary>
    public int Add(ReadOnlySpan<byte> table, int alignment)
    {
        while (_tables.Count % alignment != 0)
            _tables.Add(0);
        int offset = _tables.Count;
        _tables.AddRange(table);
        return offset;
    }

    /// <summary>Appends a table behind a header (ACPI 6.5, 5.2.6).</summary>
    /// <param name="signature">4 characters.</param>
    /// <param name="revision">Of the table's layout.</param>
    /// <param name="content">All behind the header.</param>
    /// <param name="pointers">Offset in the table and size of each pointer in it.</param>
    public int AddTable(string signature, byte revision, ReadOnlySpan<byte> content, params ReadOnlySpan<(int Offset, int Size)> pointers)
    {
        const int headerLength = 36;
        byte[] table = new byte[headerLength + content.Length];
        Encoding.ASCII.GetBytes(signature, table);
        BinaryPrimitives.WriteInt32LittleEndian(table.AsSpan(4), table.Length);
        table[8] = revision;
        Encoding.ASCII.GetBytes("X86VRTX86VIRT ", table.AsSpan(10));
        BinaryPrimitives.WriteInt32LittleEndian(table.AsSpan(24), 1);
        Encoding.ASCII.GetBytes("X86V", table.AsSpan(28));
        BinaryPrimitives.WriteInt32LittleEndian(table.AsSpan(32), 1);
        content.CopyTo(table.AsSpan(headerLength));
        int at = Add(table, 16);
        foreach ((int offset, int size) in pointers)
            _pointers.Add(new Pointer(false, at + offset, size));
        _checksums.Add(new ChecksumRange(false, at + 9, at, table.Length));
        return at;
    }

    /// <summary>Makes the RSDP, version 2 (ACPI 6.5, 5.2.5.3), which leads to both root tables.</summary>
    public void SetRsdp(int rsdt, int xsdt)
    {
        const int length = 36, firstVersionLength = 20;
        _rsdp = new byte[length];
        Encoding.ASCII.GetBytes("RSD PTR ", _rsdp);
        Encoding.ASCII.GetBytes("X86VRT", _rsdp.AsSpan(9));
        _rsdp[15] = 2;
        BinaryPrimitives.WriteInt32LittleEndian(_rsdp.AsSpan(16), rsdt);
        _rsdp[20] = length;
        BinaryPrimitives.WriteInt32LittleEndian(_rsdp.AsSpan(24), xsdt);
        _pointers.Add(new Pointer(true, 16, 4));
        _pointers.Add(new Pointer(true, 24, 8));
        _checksums.Add(new ChecksumRange(true, 8, 0, firstVersionLength));
        _checksums.Add(new ChecksumRange(true, 32, 0, length));
    }

    /// <summary>Puts the RSDP at an address and the tables behind it; returns the end.</summary>
    public ulong Place(PhysicalMemory memory, uint address)
    {
        byte[] tables = Tables, rsdp = [.. _rsdp];
        uint tablesAddress = (address + (uint)rsdp.Length + TablesAlignment - 1) & ~(TablesAlignment - 1);
        foreach (Pointer p in _pointers)
        {
            Span<byte> field = (p.InRsdp ? rsdp : tables).AsSpan(p.Offset);
            BinaryPrimitives.WriteUInt32LittleEndian(field, BinaryPrimitives.ReadUInt32LittleEndian(field) + tablesAddress);
        }
        foreach (ChecksumRange c in _checksums)
        {
            byte[] file = c.InRsdp ? rsdp : tables;
            byte sum = 0;
            foreach (byte b in file.AsSpan(c.Start, c.Length))
                sum += b;
            file[c.Offset] = (byte)-sum;
        }
        memory.Write(address, rsdp);
        memory.Write(tablesAddress, tables);
        return tablesAddress + (ulong)tables.Length;
    }

    /// <summary>The same steps as commands of QEMU's table loader, 128 bytes each: allocate both files, add addresses, add checksums.</summary>
    public byte[] LoaderScript()
    {
        var script = new List<byte>();
        Add(Allocate, File(RsdpFile), Dword(RsdpAlignment), [LowZone]);
        Add(Allocate, File(TablesFile), Dword(TablesAlignment), [HighZone]);
        foreach (Pointer p in _pointers)
            Add(AddPointer, File(p.InRsdp ? RsdpFile : TablesFile), File(TablesFile), Dword((uint)p.Offset), [(byte)p.Size]);
        foreach (ChecksumRange c in _checksums)
            Add(AddChecksum, File(c.InRsdp ? RsdpFile : TablesFile), Dword((uint)c.Offset), Dword((uint)c.Start), Dword((uint)c.Length));
        return [.. script];

        void Add(uint command, params ReadOnlySpan<byte[]> arguments)
        {
            byte[] bytes = [.. Dword(command), .. Aml.Joined(arguments)];
            Array.Resize(ref bytes, CommandLength);
            script.AddRange(bytes);
        }

        static byte[] Dword(uint value) => BitConverter.GetBytes(value);

        static byte[] File(string name)
        {
            byte[] bytes = Encoding.ASCII.GetBytes(name);
            Array.Resize(ref bytes, FileNameLength);
            return bytes;
        }
    }
}
