namespace X86Virt.Engine.Processor;

/// <summary>How often each model-specific register was accessed. The processor's thread counts, any may read.</summary>
public sealed class MsrCounts
{
    private readonly SortedDictionary<uint, long> _counts = [];
    private long _total;

    /// <summary>Accesses of all registers.</summary>
    public long Total => Volatile.Read(ref _total);

    /// <summary>By register number, in ascending order.</summary>
    public IReadOnlyDictionary<uint, long> Snapshot()
    {
        lock (_counts)
            return new SortedDictionary<uint, long>(_counts);
    }

    internal void Note(uint index)
    {
        lock (_counts)
            _counts[index] = _counts.GetValueOrDefault(index) + 1;
        Volatile.Write(ref _total, _total + 1);
    }
}
