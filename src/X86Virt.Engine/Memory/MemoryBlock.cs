namespace X86Virt.Engine.Memory;

/// <summary>Why stores to a page of RAM must reach C#.</summary>
[Flags]
public enum PageTracking : byte
{
    None = 0,

    /// <summary>Code was decoded or translated from the page.</summary>
    Code = 1,

    /// <summary>The page holds a guest page table that is shadowed.</summary>
    Trace = 2,

    /// <summary>Code was decoded or translated from the page for virtual silicon, which executes it under a monitor.</summary>
    SiliconCode = 4,
}

/// <summary>Host memory in one piece, and which of its pages somebody wants to know the stores to. Address spaces map it.</summary>
internal sealed unsafe class MemoryBlock : IDisposable
{
    private readonly PageTracking* _tracking;

    /// <param name="size">Bytes, whole pages.</param>
    /// <param name="dense">Bytes from the start on that are used all over; the others are touched here and there.</param>
    public MemoryBlock(ulong size, ulong dense)
    {
        Size = size;
        Pages = HostMemory.Allocate(size);
        HostMemory.PreferLargePages(Pages, dense);
        _tracking = (PageTracking*)HostMemory.Allocate(size >> 12);
    }

    public byte* Pages { get; }
    public ulong Size { get; }

    /// <summary>Raised after a store to a page that holds code: page index, offset in the page, length.</summary>
    public event Action<int, int, int>? CodeWrite;

    /// <summary>Raised after a store to a traced page, likewise.</summary>
    public event Action<int, int, int>? TraceWrite;

    public PageTracking Tracking(int page) => _tracking[page];

    public void Track(int page, PageTracking why) => _tracking[page] |= why;

    public void Untrack(int page, PageTracking why) => _tracking[page] &= ~why;

    public void NotifyWrite(byte* host, int length)
    {
        int page = (int)((ulong)(host - Pages) >> 12);
        PageTracking why = _tracking[page];
        if (why == PageTracking.None)
            return;
        int offset = (int)(host - Pages) & 0xFFF;
        if ((why & (PageTracking.Code | PageTracking.SiliconCode)) != 0)
            CodeWrite?.Invoke(page, offset, length);
        if ((why & PageTracking.Trace) != 0)
            TraceWrite?.Invoke(page, offset, length);
    }

    public void Dispose()
    {
        HostMemory.Free(Pages, Size);
        HostMemory.Free((byte*)_tracking, Size >> 12);
    }
}
