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

    /// <summary>The entries behind the first <paramref name="position"/>, as far as they are still there.</summary>
    public List<ExitEntry> ReadBeyond(long position)
    {
        long end = Count;
        var read = new List<ExitEntry>();
        for (long i = Math.Max(position, Oldest(end)); i < end; i++)
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
