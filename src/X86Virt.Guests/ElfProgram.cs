using System.Buffers.Binary;

namespace X86Virt.Guests;

/// <summary>A static ELF64 program for x86-64 Linux with one segment, readable and executable (System V gABI, chapters 4 and 5).</summary>
internal static class ElfProgram
{
    private const int HeaderLength = 64, ProgramHeaderLength = 56;
    private const ushort Executable = 2, X86_64 = 62;
    private const uint Version = 1, Load = 1, ReadAndExecute = 5;
    private const ulong PageSize = 0x1000;

    /// <summary>Where the file is mapped.</summary>
    public const uint BaseAddress = 0x40_0000;

    /// <summary>Where the bytes behind the headers are.</summary>
    public const uint ContentAddress = BaseAddress + HeaderLength + ProgramHeaderLength;

    public static byte[] Build(ReadOnlySpan<byte> content, ulong entryPoint)
    {
        var image = new byte[HeaderLength + ProgramHeaderLength + content.Length];
        Span<byte> header = image;
        "\u007fELF"u8.CopyTo(header);
        header[4] = 2; // 64-bit
        header[5] = 1; // little-endian
        header[6] = (byte)Version;
        BinaryPrimitives.WriteUInt16LittleEndian(header[16..], Executable);
        BinaryPrimitives.WriteUInt16LittleEndian(header[18..], X86_64);
        BinaryPrimitives.WriteUInt32LittleEndian(header[20..], Version);
        BinaryPrimitives.WriteUInt64LittleEndian(header[24..], entryPoint);
        BinaryPrimitives.WriteUInt64LittleEndian(header[32..], HeaderLength);
        BinaryPrimitives.WriteUInt16LittleEndian(header[52..], HeaderLength);
        BinaryPrimitives.WriteUInt16LittleEndian(header[54..], ProgramHeaderLength);
        BinaryPrimitives.WriteUInt16LittleEndian(header[56..], 1);

        Span<byte> segment = header[HeaderLength..];
        BinaryPrimitives.WriteUInt32LittleEndian(segment, Load);
        BinaryPrimitives.WriteUInt32LittleEndian(segment[4..], ReadAndExecute);
        BinaryPrimitives.WriteUInt64LittleEndian(segment[16..], BaseAddress);
        BinaryPrimitives.WriteUInt64LittleEndian(segment[24..], BaseAddress);
        BinaryPrimitives.WriteUInt64LittleEndian(segment[32..], (ulong)image.Length);
        BinaryPrimitives.WriteUInt64LittleEndian(segment[40..], (ulong)image.Length);
        BinaryPrimitives.WriteUInt64LittleEndian(segment[48..], PageSize);
        content.CopyTo(header[(HeaderLength + ProgramHeaderLength)..]);
        return image;
    }
}
