namespace X86Virt.Engine.Monitors;

/// <summary>Pages of page-table entries in the monitor's memory, given out empty and taken back.</summary>
internal sealed unsafe class TablePages(MonitorMemory memory)
{
    private readonly MonitorMemory _memory = memory;
    private readonly Stack<ulong> _free = [];

    /// <summary>Every page that was ever given out.</summary>
    public List<ulong> All { get; } = [];

    /// <summary>There was no room for a page.</summary>
    public bool IsFull { get; private set; }

    /// <summary>0 if there is no room.</summary>
    public ulong Allocate()
    {
        if (_free.TryPop(out ulong page))
        {
            new Span<byte>(_memory.At(page), (int)MonitorMemory.PageSize).Clear();
            return page;
        }
        page = _memory.Allocate(1);
        IsFull = page == 0;
        if (!IsFull)
            All.Add(page);
        return page;
    }

    public void Free(ulong page)
    {
        // Whoever looks through all of them finds nothing here.
        new Span<byte>(_memory.At(page), (int)MonitorMemory.PageSize).Clear();
        _free.Push(page);
        IsFull = false;
    }
}
