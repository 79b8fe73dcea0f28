namespace X86Virt.Engine.Processor;

/// <summary>One exception as it was raised, for people who ask why a guest stopped.</summary>
/// <param name="Vector">Which exception.</param>
/// <param name="ErrorCode">Its error code; null if it has none.</param>
/// <param name="CodeSelector">CS.</param>
/// <param name="Rip">Offset in CS of the instruction that raised it, or behind it for a trap.</param>
/// <param name="Address">The linear address of a page fault; null for other exceptions.</param>
/// <param name="Retired">Instructions retired before it.</param>
public readonly record struct ExceptionRecord(Vector Vector, uint? ErrorCode, ushort CodeSelector, ulong Rip, ulong? Address, long Retired)
{
    public override string ToString()
        => $"#{(byte)Vector} ({Vector}){(ErrorCode is uint code ? $" error code {code:x}" : "")} at {CodeSelector:x4}:{Rip:x}{(Address is ulong a ? $", address {a:x}" : "")}";
}

/// <summary>The last few exceptions, oldest first.</summary>
public sealed class ExceptionHistory
{
    private const int Capacity = 8;

    private readonly ExceptionRecord[] _records = new ExceptionRecord[Capacity];
    private long _count;

    internal void Add(in ExceptionRecord record) => _records[_count++ % Capacity] = record;

    internal void Clear() => _count = 0;

    public IReadOnlyList<ExceptionRecord> ToList()
    {
        var list = new List<ExceptionRecord>(Capacity);
        for (long i = Math.Max(0, _count - Capacity); i < _count; i++)
            list.Add(_records[i % Capacity]);
        return list;
    }
}
