using System.Buffers.Binary;
using System.IO.Compression;

namespace X86Virt.Engine.Boot;

/// <summary>
/// The bytes of an image and the name that messages call it by. Images are hostile: every field is read through here, checked
/// against the length, with offsets of 64 bits that cannot wrap.
/// </summary>
public sealed class BootFile(string name, ReadOnlyMemory<byte> content)
{
    /// <summary>Largest image, and largest result of decompression, so that no file can exhaust the host.</summary>
    private const int ImageLimit = 1 << 30;

    public string Name { get; } = name;
    public ReadOnlyMemory<byte> Content { get; } = content;
    public ReadOnlySpan<byte> Span => Content.Span;
    public ulong Length => (ulong)Content.Length;

    /// <summary>Reads a whole file; a <see cref="BootException"/> says why where that is not possible.</summary>
    /// <param name="path">Path in the host's file system.</param>
    /// <param name="limit">A longer file is refused unread: the machine's memory size, for what goes into memory as it is.</param>
    public static BootFile Read(string path, ulong limit = ImageLimit)
    {
        if (Directory.Exists(path))
            throw new BootException(BootFailure.Unreadable, path, "this is a folder", "Give the path of a file in it.");
        byte[] content;
        int most = (int)Math.Min(limit, ImageLimit);
        try
        {
            using FileStream stream = File.OpenRead(path);
            if (stream.CanSeek && stream.Length > most)
                throw TooLong($"has {stream.Length} bytes");
            // What the host makes up as it is read, a pipe or a device, has no length.
            content = new byte[stream.CanSeek && stream.Length > 0 ? stream.Length : most];
            int length = stream.ReadAtLeast(content, content.Length, throwOnEndOfStream: false);
            if (length == content.Length && stream.ReadByte() >= 0)
                throw TooLong("has no end in sight");
            Array.Resize(ref content, length);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw new BootException(BootFailure.Unreadable, path, $"the file cannot be read ({e.Message.TrimEnd('.')})", "Check the path and its permissions.", e);
        }
        return content.Length != 0 ? new BootFile(path, content)
            : throw new BootException(BootFailure.Empty, path, "the file has 0 bytes", "Fetch or build the image again.");

        BootException TooLong(string length)
            => new(BootFailure.TooLarge, path, $"the file {length}, of which at most {most} fit", "Give a smaller file, or the machine more memory (-Memory).");
    }

    /// <summary>The file itself, or what it holds if it is compressed with gzip.</summary>
    public BootFile Decompressed()
    {
        ReadOnlySpan<byte> s = Span;
        if (s.StartsWith((ReadOnlySpan<byte>)[0xFD, (byte)'7', (byte)'z', (byte)'X', (byte)'Z', 0]))
            throw Unsupported("is compressed with xz", "Decompress it first: xz -d.");
        if (s.StartsWith((ReadOnlySpan<byte>)[0x28, 0xB5, 0x2F, 0xFD]))
            throw Unsupported("is compressed with zstd", "Decompress it first: zstd -d.");
        if (!s.StartsWith((ReadOnlySpan<byte>)[0x1F, 0x8B]))
            return this;
        using var result = new MemoryStream();
        try
        {
            using var gzip = new GZipStream(new MemoryStream(Content.ToArray()), CompressionMode.Decompress);
            byte[] buffer = new byte[1 << 16];
            for (int n; (n = gzip.Read(buffer)) > 0;)
            {
                if (result.Length + n > ImageLimit)
                    throw new BootException(BootFailure.TooLarge, Name, $"the image decompresses to more than {ImageLimit >> 20} MiB", "Give an image, not an archive.");
                result.Write(buffer, 0, n);
            }
        }
        catch (InvalidDataException e)
        {
            throw new BootException(BootFailure.Invalid, Name, $"the gzip data is damaged ({e.Message.TrimEnd('.')})", "Fetch the image again.", e);
        }
        if (result.Length == 0)
            throw new BootException(BootFailure.Truncated, Name, "the gzip data holds 0 bytes", "Fetch the image again.");
        return new BootFile(Name, result.ToArray());
    }

    /// <summary><paramref name="length"/> bytes at <paramref name="offset"/>; <paramref name="what"/> names them if they are not there.</summary>
    public ReadOnlySpan<byte> Slice(ulong offset, ulong length, string what)
        => offset <= Length && length <= Length - offset ? Span.Slice((int)offset, (int)length)
            : throw new BootException(BootFailure.Truncated, Name, $"the image is truncated: {what} takes {length} bytes at offset 0x{offset:x} of a file of {Length} bytes", "Fetch or build the image again.");

    public byte U8(ulong offset, string what) => Slice(offset, 1, what)[0];

    public ushort U16(ulong offset, string what) => BinaryPrimitives.ReadUInt16LittleEndian(Slice(offset, 2, what));

    public uint U32(ulong offset, string what) => BinaryPrimitives.ReadUInt32LittleEndian(Slice(offset, 4, what));

    public ulong U64(ulong offset, string what) => BinaryPrimitives.ReadUInt64LittleEndian(Slice(offset, 8, what));

    internal BootException Invalid(string problem, string remedy = "Fetch or build the image again.") => new(BootFailure.Invalid, Name, problem, remedy);

    internal BootException Unsupported(string problem, string remedy) => new(BootFailure.Unsupported, Name, problem, remedy);
}
