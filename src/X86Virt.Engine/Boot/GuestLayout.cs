using System.Buffers.Binary;
using System.Text;
using X86Virt.Engine.Memory;

namespace X86Virt.Engine.Boot;

/// <summary>
/// Who occupies which guest-physical memory while a guest is loaded: every range lies in usable RAM and meets no other.
/// </summary>
internal sealed class GuestLayout
{
    private readonly PhysicalMemory _memory;
    private readonly List<BootRange> _ranges = [];

    public GuestLayout(BootTarget target)
    {
        _memory = target.Memory;
        Usable = Merge(target.MemoryMap);
        if (Usable.Count == 0)
            throw new ArgumentException("The memory map has no usable (type 1) range.", nameof(target));
    }

    /// <summary>Usable ranges as [start, end), ascending, neighbours joined.</summary>
    public List<(ulong Start, ulong End)> Usable { get; }

    public IReadOnlyList<BootRange> Ranges => [.. _ranges.OrderBy(r => r.Address)];

    private static List<(ulong Start, ulong End)> Merge(IReadOnlyList<E820Entry> map)
    {
        var merged = new List<(ulong Start, ulong End)>();
        foreach (E820Entry e in map.Where(e => e.Type == E820Entry.Usable && e.Length != 0 && e.Address <= ulong.MaxValue - e.Length).OrderBy(e => e.Address))
        {
            if (merged.Count != 0 && e.Address <= merged[^1].End)
                merged[^1] = (merged[^1].Start, Math.Max(merged[^1].End, e.Address + e.Length));
            else
                merged.Add((e.Address, e.Address + e.Length));
        }
        return merged;
    }

    /// <summary>End of the usable range that holds <paramref name="address"/>, or the address itself if none does.</summary>
    public ulong EndOfRam(ulong address)
    {
        foreach ((ulong start, ulong end) in Usable)
        {
            if (address >= start && address < end)
                return end;
        }
        return address;
    }

    /// <summary>Takes a range without filling it; says for which file it is if that cannot be.</summary>
    public void Reserve(string file, string what, ulong address, ulong length)
    {
        if (length == 0)
            return;
        ulong end = EndOfRam(address);
        if (length > end - address)
        {
            throw new BootException(BootFailure.TooLarge, file,
                $"{what} needs {Size(length)} at 0x{address:x}, where the machine has {Size(end - address)} of RAM", "Give the machine more memory (-Memory), or load it elsewhere.");
        }
        foreach (BootRange r in _ranges)
        {
            if (address < r.Address + r.Length && r.Address < address + length)
            {
                throw new BootException(BootFailure.Overlap, file,
                    $"{what} at 0x{address:x}-0x{address + length - 1:x} overlaps {r.What} at 0x{r.Address:x}-0x{r.Address + r.Length - 1:x}", "Load it at another address.");
            }
        }
        _ranges.Add(new BootRange(what, address, length));
    }

    /// <summary>Reserves a range and fills it with <paramref name="content"/> and zeros after that.</summary>
    public void Place(string file, string what, ulong address, ReadOnlySpan<byte> content, ulong length)
    {
        Reserve(file, what, address, length);
        Fill(address, content, length);
    }

    public void Place(string file, string what, ulong address, ReadOnlySpan<byte> content) => Place(file, what, address, content, (ulong)content.Length);

    /// <summary>Fills a range that is reserved already.</summary>
    public void Fill(ulong address, ReadOnlySpan<byte> content, ulong length)
    {
        _memory.Write(address, content);
        ReadOnlySpan<byte> zeros = stackalloc byte[0x1000];
        for (ulong done = (ulong)content.Length; done < length;)
        {
            int chunk = (int)Math.Min(length - done, 0x1000);
            _memory.Write(address + done, zeros[..chunk]);
            done += (ulong)chunk;
        }
    }

    /// <summary>Reserves the highest free range that starts at or above <paramref name="lowest"/> and ends below <paramref name="limit"/>.</summary>
    public ulong AllocateHigh(string file, string what, ulong length, ulong alignment, ulong lowest, ulong limit)
    {
        ulong best = 0;
        bool found = false;
        foreach ((ulong start, ulong end) in Free(lowest, limit))
        {
            if (end - start < length)
                continue;
            ulong address = (end - length) & ~(alignment - 1);
            if (address >= start)
                (best, found) = (address, true);
        }
        return Take(file, what, length, lowest, limit, best, found);
    }

    /// <summary>Reserves the lowest free range that starts at or above <paramref name="lowest"/> and ends below <paramref name="limit"/>.</summary>
    public ulong AllocateLow(string file, string what, ulong length, ulong alignment, ulong lowest, ulong limit)
    {
        foreach ((ulong start, ulong end) in Free(lowest, limit))
        {
            if (start > ulong.MaxValue - alignment)
                break;
            ulong address = (start + alignment - 1) & ~(alignment - 1);
            if (address <= end && length <= end - address)
                return Take(file, what, length, lowest, limit, address, true);
        }
        return Take(file, what, length, lowest, limit, 0, false);
    }

    /// <summary>Pages for the processor's tables and the like: below 640 KiB if there is room, else the lowest free ones.</summary>
    public ulong AllocateTables(string file, string what, ulong length)
    {
        const ulong Lowest = 0x1_0000, LowEnd = 0xA_0000, HighStart = 0x10_0000, HighEnd = 1UL << 32;
        return Free(Lowest, LowEnd).Any(f => f.End - f.Start >= length + 0x1000)
            ? AllocateHigh(file, what, length, 0x1000, Lowest, LowEnd)
            : AllocateLow(file, what, length, 0x1000, HighStart, HighEnd);
    }

    private ulong Take(string file, string what, ulong length, ulong lowest, ulong limit, ulong address, bool found)
    {
        if (!found)
        {
            throw new BootException(BootFailure.TooLarge, file,
                $"{what} of {Size(length)} finds no room in free RAM between 0x{lowest:x} and 0x{limit:x}", "Give the machine more memory (-Memory).");
        }
        Reserve(file, what, address, length);
        return address;
    }

    private IEnumerable<(ulong Start, ulong End)> Free(ulong lowest, ulong limit)
    {
        BootRange[] taken = [.. _ranges.OrderBy(r => r.Address)];
        foreach ((ulong usableStart, ulong usableEnd) in Usable)
        {
            ulong start = Math.Max(usableStart, lowest), end = Math.Min(usableEnd, limit);
            foreach (BootRange r in taken)
            {
                if (r.Address + r.Length <= start || r.Address >= end)
                    continue;
                if (r.Address > start)
                    yield return (start, r.Address);
                start = r.Address + r.Length;
            }
            if (start < end)
                yield return (start, end);
        }
    }

    /// <summary>A command line as the guest reads it: ASCII and a final NUL.</summary>
    public static byte[] Text(string file, string text)
    {
        foreach (char c in text)
        {
            if (c is < ' ' or > '~')
                throw new BootException(BootFailure.Invalid, file, $"the command line has the character U+{(int)c:X4}", "Use printable ASCII only (-CommandLine).");
        }
        return Encoding.ASCII.GetBytes(text + '\0');
    }

    public static void Put(Span<byte> record, int offset, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(record[offset..], value);

    public static void Put(Span<byte> record, int offset, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(record[offset..], value);

    public static void Put(Span<byte> record, int offset, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(record[offset..], value);

    private static string Size(ulong bytes) => bytes < 1 << 20 ? $"{bytes} bytes" : $"{bytes / (1024.0 * 1024):0.#} MiB";
}
