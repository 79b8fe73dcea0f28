using X86Virt.Engine.Memory;

namespace X86Virt.Engine.Monitors;

/// <summary>
/// Host-physical memory as the monitor lays it out: its own part first, where 32 bits reach it, for control blocks, permission maps and page tables; the guest's memory
/// from a multiple of the largest page on. The monitor's is given out a page at a time, zeroed.
/// </summary>
internal sealed unsafe class MonitorMemory(PhysicalMemory guest)
{
    public const ulong PageSize = 0x1000;
    private const ulong LargestPage = 1 << 30, ShadowTables = 128UL << 20;

    private readonly PhysicalMemory _guest = guest;
    private readonly ulong _end = guest.BlockSize - guest.MonitorOffset;

    // Address 0 stands for none.
    private ulong _next = PageSize;

    /// <summary>Bytes to set aside for a guest: its nested page tables if every page is mapped alone, or shadow page tables, and what else there is. Touched as needed.</summary>
    public static ulong SizeFor(ulong ramSize) => ((ramSize / 256) & ~(PageSize - 1)) + ShadowTables;

    /// <summary>Host-physical address at which the guest's memory begins.</summary>
    public ulong GuestBase => (_end + LargestPage - 1) & ~(LargestPage - 1);

    /// <summary>Host-physical address of a byte of the guest's memory.</summary>
    public ulong AddressOf(byte* host) => GuestBase + (ulong)(host - _guest.Block);

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

    /// <summary>Where in the process a host-physical address of the monitor's part is.</summary>
    public byte* At(ulong address) => _guest.Block + _guest.MonitorOffset + address;
}
