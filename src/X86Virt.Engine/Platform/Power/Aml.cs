using System.Buffers.Binary;
using System.Text;

namespace X86Virt.Engine.Platform;

/// <summary>Writes ACPI machine language: each method gives the bytes of one term (ACPI 6.5, 20.2) or resource descriptor (6.4).</summary>
internal static class Aml
{
    private const byte ZeroOp = 0x00, OneOp = 0x01, NameOp = 0x08, BytePrefix = 0x0A, WordPrefix = 0x0B, DwordPrefix = 0x0C, StringPrefix = 0x0D;
    private const byte ScopeOp = 0x10, BufferOp = 0x11, PackageOp = 0x12, RootPrefix = 0x5C, ExtendedPrefix = 0x5B, DeviceOp = 0x82;

    // Terms

    /// <param name="path">A name of 4 characters, from the root.</param>
    /// <param name="terms">What is in the scope.</param>
    public static byte[] Scope(string path, params ReadOnlySpan<byte[]> terms) => [ScopeOp, .. Sized([RootPrefix, .. Segment(path)], terms)];

    public static byte[] Device(string name, params ReadOnlySpan<byte[]> terms) => [ExtendedPrefix, DeviceOp, .. Sized(Segment(name), terms)];

    public static byte[] Name(string name, byte[] value) => [NameOp, .. Segment(name), .. value];

    public static byte[] Package(params ReadOnlySpan<byte[]> elements) => [PackageOp, .. Sized([(byte)elements.Length], elements)];

    public static byte[] Integer(uint value) => value switch
    {
        0 => [ZeroOp],
        1 => [OneOp],
        <= byte.MaxValue => [BytePrefix, (byte)value],
        <= ushort.MaxValue => [WordPrefix, .. Word(value)],
        _ => [DwordPrefix, .. Dword(value)],
    };

    public static byte[] Text(string value) => [StringPrefix, .. Encoding.ASCII.GetBytes(value), 0];

    /// <summary>A hardware identifier like PNP0A03, as the integer that it is compressed to (EISA ID).</summary>
    public static byte[] EisaId(string id)
    {
        uint letters = (uint)((id[0] - '@') << 10 | (id[1] - '@') << 5 | id[2] - '@');
        uint number = Convert.ToUInt32(id[3..], 16);
        return [DwordPrefix, .. Dword(BinaryPrimitives.ReverseEndianness(letters << 16 | number))];
    }

    private static byte[] Segment(string name) => Encoding.ASCII.GetBytes(name.PadRight(4, '_'));

    private static byte[] Word(uint value) => BitConverter.GetBytes((ushort)value);

    private static byte[] Dword(uint value) => BitConverter.GetBytes(value);

    /// <summary>PkgLength, then what it counts; it counts itself, too.</summary>
    private static byte[] Sized(byte[] head, ReadOnlySpan<byte[]> terms)
    {
        byte[] body = [.. head, .. Joined(terms)];
        int length = body.Length + 1;
        if (length < 0x40)
            return [(byte)length, .. body];
        // The first byte counts the bytes that follow it and holds the lowest 4 bits.
        length++;
        if (length < 0x1000)
            return [(byte)(0x40 | length & 0xF), (byte)(length >> 4), .. body];
        length++;
        return [(byte)(0x80 | length & 0xF), (byte)(length >> 4), (byte)(length >> 12), .. body];
    }

    public static byte[] Joined(params ReadOnlySpan<byte[]> parts)
    {
        var all = new List<byte>();
        foreach (byte[] part in parts)
            all.AddRange(part);
        return [.. all];
    }

    // Resources

    /// <summary>A buffer of resource descriptors with its end tag.</summary>
    public static byte[] Resources(params ReadOnlySpan<byte[]> descriptors)
    {
        byte[] bytes = [.. Joined(descriptors), 0x79, 0];
        return [BufferOp, .. Sized(Integer((uint)bytes.Length), [bytes])];
    }

    /// <summary>Ports that are where they are.</summary>
    public static byte[] Ports(PortRange range) => Ports(range.First, range.Count);

    public static byte[] Ports(int first, int count) => [0x47, 1, .. Word((uint)first), .. Word((uint)first), 1, (byte)count];

    /// <summary>An ISA interrupt: edge-triggered, active high.</summary>
    public static byte[] Irq(int irq) => [0x22, .. Word(1U << irq)];

    /// <summary>Memory below 4 GiB that is where it is, read and written.</summary>
    public static byte[] FixedMemory(uint start, uint length) => [0x86, 9, 0, 1, .. Dword(start), .. Dword(length)];

    // Windows of a bridge: what it passes on. Minimum and maximum are fixed.
    private const byte Produces = 0x0C, EntireRange = 3, ReadWriteCacheable = 3, ReadWrite = 1;

    public static byte[] BusNumbers(int first, int last) => [0x88, 13, 0, 2, Produces, 0, .. Word(0), .. Word((uint)first), .. Word((uint)last), .. Word(0), .. Word((uint)(last - first + 1))];

    public static byte[] PortWindow(int first, int last) => [0x88, 13, 0, 1, Produces, EntireRange, .. Word(0), .. Word((uint)first), .. Word((uint)last), .. Word(0), .. Word((uint)(last - first + 1))];

    public static byte[] MemoryWindow(uint first, uint last, bool cacheable = false)
        => [0x87, 23, 0, 0, Produces, cacheable ? ReadWriteCacheable : ReadWrite, .. Dword(0), .. Dword(first), .. Dword(last), .. Dword(0), .. Dword(last - first + 1)];
}
