namespace X86Virt.Engine.Monitors;

/// <summary>
/// The last entries of a row, written by the machine's thread and read by any other: the writer never waits, and a reader finds out that it was too slow.
/// </summary>
internal sealed class ExitRing(int size)
{
    // A power of two.
    private readonly ExitEntry[] _entries = new ExitEntry[size];
    private long _published;

    /// <summary>How many there were so far.</summary>
    public long Count => Volatile.Read(ref _published);

    /// <summary>The place of the next entry, which nobody sees before <see cref="Publish"/>.</summary>
    public ref ExitEntry Next => ref _entries[_published & (_entries.Length - 1)];

    public void Publish() => Volatile.Write(ref _published, _published + 1);

    /// <summary>
    /// At most so many entries behind the first <paramref name="position"/>, the oldest that are still there; those behind <paramref name="next"/> were not looked at.
    /// </summary>
    public List<ExitEntry> ReadBeyond(long position, int most, out long next)
    {
        long end = Count;
        long first = Math.Max(position, Oldest(end));
        next = Math.Max(position, most < end - first ? first + most : end);
        var read = new List<ExitEntry>((int)(next - first));
        for (long i = first; i < next; i++)
        {
            ExitEntry copy = _entries[i & (_entries.Length - 1)];
            Interlocked.MemoryBarrier();
            if (i >= Oldest(Count))
                read.Add(copy);
        }
        return read;
    }

    /// <summary>One place less than there are: the next entry is being written.</summary>
    private long Oldest(long end) => Math.Max(0, end - (_entries.Length - 1));
}
