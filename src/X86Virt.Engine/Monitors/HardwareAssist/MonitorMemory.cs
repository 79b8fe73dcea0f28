using X86Virt.Engine.Memory;

namespace X86Virt.Engine.Monitors;

/// <summary>
/// The monitor's own part of host-physical memory, behind the guest's: a page at a time, zeroed, for control blocks, permission maps and page tables.
/// </summary>
internal sealed unsafe class MonitorMemory
{
    private const ulong PageSize = 0x1000;

    private readonly PhysicalMemory _memory;
    private readonly ulong _end;
    private ulong _next;

    public MonitorMemory(PhysicalMemory guest)
    {
        _memory = guest;
        _next = guest.MonitorOffset;
        _end = guest.BlockSize;
    }

    /// <summary>Bytes to set aside behind a guest's memory: its page tables if every page is mapped alone, and as much for everything else.</summary>
    public static ulong SizeFor(ulong ramSize) => ((ramSize / 256) & ~(PageSize - 1)) + (8UL << 20);

    /// <summary>Pages in a row; their host-physical address. 0 if there is no room for them.</summary>
    public ulong Allocate(int pages)
    {
        ulong size = (ulong)pages * PageSize;
        if (_end - _next < size)
            return 0;
        ulong address = _next;
        _next += size;
        new Span<byte>(At(address), (int)size).Clear();
        return address;
    }

    /// <summary>Where in the process a host-physical address is.</summary>
    public byte* At(ulong address) => _memory.Block + address;

    /// <summary>Gives back all that was allocated after a moment.</summary>
    public void Release(ulong mark) => _next = mark;

    /// <summary>The present moment, for <see cref="Release"/>.</summary>
    public ulong Mark => _next;
}
