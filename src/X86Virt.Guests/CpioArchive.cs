using System.Globalization;
using System.IO.Compression;
using System.Text;

namespace X86Virt.Guests;

/// <summary>
/// A cpio archive in the "newc" format, as Linux unpacks it for an initial RAM disk (Documentation/driver-api/early-userspace/
/// buffer-format.rst). The same entries in the same order give the same bytes: owner root, time 0, inodes in order.
/// </summary>
public sealed class CpioArchive
{
    private const int Directory = 0x4000, CharacterDevice = 0x2000, RegularFile = 0x8000, SymbolicLink = 0xA000;
    private const int Alignment = 4;

    private readonly List<byte> _bytes = [];
    private readonly HashSet<string> _paths = new(StringComparer.Ordinal);
    private int _inode;

    /// <summary>Adds a directory; its parents must have been added before.</summary>
    public void AddDirectory(string path, int permissions = 0x1ED /* 0755 */) => Add(path, Directory | permissions, [], 2);

    public void AddFile(string path, byte[] content, int permissions = 0x1A4 /* 0644 */) => Add(path, RegularFile | permissions, content, 1);

    /// <summary>Adds a file that may be executed.</summary>
    public void AddProgram(string path, byte[] content) => AddFile(path, content, 0x1ED);

    public void AddLink(string path, string target) => Add(path, SymbolicLink | 0x1FF, Encoding.UTF8.GetBytes(target), 1);

    public void AddDevice(string path, int major, int minor, int permissions = 0x180 /* 0600 */) => Add(path, CharacterDevice | permissions, [], 1, major, minor);

    /// <summary>The archive with its trailer. More entries may follow in a later call.</summary>
    public byte[] ToArray()
    {
        List<byte> all = [.. _bytes];
        WriteEntry(all, "TRAILER!!!", 0, 0, [], 1, 0, 0);
        return [.. all];
    }

    /// <summary>The archive, compressed with gzip.</summary>
    public byte[] ToGzip()
    {
        using var result = new MemoryStream();
        using (var gzip = new GZipStream(result, CompressionLevel.Optimal))
            gzip.Write(ToArray());
        return result.ToArray();
    }

    /// <summary>An initial RAM disk with the archive's entries behind its own: the kernel unpacks one archive after the other, with zeros between.</summary>
    public byte[] AppendTo(byte[] ramDisk) => [.. ramDisk, .. new byte[-ramDisk.Length & (Alignment - 1)], .. ToGzip()];

    private void Add(string path, int mode, byte[] content, int links, int major = 0, int minor = 0)
    {
        if (path.Length == 0 || path[0] == '/' || path.Contains('\0', StringComparison.Ordinal))
            throw new ArgumentException($"'{path}' is no archive path. Give it relative to the root, without a leading slash.", nameof(path));
        int slash = path.LastIndexOf('/');
        if (slash > 0 && !_paths.Contains(path[..slash]))
            throw new ArgumentException($"'{path}' is in a directory that the archive does not have. Add '{path[..slash]}' first.", nameof(path));
        if (!_paths.Add(path))
            throw new ArgumentException($"The archive has '{path}' already.", nameof(path));
        WriteEntry(_bytes, path, ++_inode, mode, content, links, major, minor);
    }

    private static void WriteEntry(List<byte> archive, string path, int inode, int mode, byte[] content, int links, int major, int minor)
    {
        byte[] name = Encoding.UTF8.GetBytes(path + '\0');
        var header = new StringBuilder("070701");

        // Inode, mode, user, group, links, time, size, device (2), special device (2), name length, checksum (unused).
        foreach (int field in (ReadOnlySpan<int>)[inode, mode, 0, 0, links, 0, content.Length, 0, 0, major, minor, name.Length, 0])
            header.Append(field.ToString("X8", CultureInfo.InvariantCulture));
        archive.AddRange(Encoding.ASCII.GetBytes(header.ToString()));
        archive.AddRange(name);
        Pad(archive);
        archive.AddRange(content);
        Pad(archive);
    }

    private static void Pad(List<byte> archive)
    {
        while (archive.Count % Alignment != 0)
            archive.Add(0);
    }
}
