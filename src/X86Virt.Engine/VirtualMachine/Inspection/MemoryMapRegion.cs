using System.Runtime.InteropServices;
using X86Virt.Engine.Memory;
using X86Virt.Engine.Monitors;
using X86Virt.Engine.Processor;

namespace X86Virt.Engine;

/// <summary>What a part of a guest's physical address space is; what is told first, where a picture has room for one thing.</summary>
public enum MemoryMapState
{
    /// <summary>A device answers.</summary>
    Device,

    /// <summary>Memory that stores do not change.</summary>
    Rom,

    /// <summary>A page table with a shadow; stores to it are traced.</summary>
    PageTable,

    /// <summary>Code was decoded or translated from here; not told with nested paging, which has sizes and D bits to tell.</summary>
    Code,

    /// <summary>Nested page tables map it.</summary>
    Mapped,

    /// <summary>RAM that holds something.</summary>
    Ram,

    /// <summary>RAM that is all zero; without nested paging nobody knows whether the guest has used it.</summary>
    Zero,

    /// <summary>RAM that the guest has not used: nested page tables do not map it.</summary>
    Untouched,
}

/// <summary>A part of a guest's physical address space that is alike.</summary>
/// <param name="Start">Guest-physical address.</param>
/// <param name="Length">Bytes.</param>
/// <param name="State">What it is.</param>
/// <param name="PageSize">Bytes in the nested pages that map it; null if there are none.</param>
/// <param name="Dirty">The guest has stored to those pages.</param>
[StructLayout(LayoutKind.Auto)]
public readonly record struct MemoryMapRegion(ulong Start, ulong Length, MemoryMapState State, ulong? PageSize = null, bool Dirty = false)
{
    private const ulong PageBytes = 0x1000;

    /// <summary>All that answers, by address.</summary>
    internal static unsafe IReadOnlyList<MemoryMapRegion> Read(PhysicalMemory memory, NestedPageTables? nested)
    {
        NestedPage[] pages = nested == null ? [] : [.. nested.Pages()];
        var map = new List<MemoryMapRegion>();
        int next = 0;
        foreach (MemoryRegion region in memory.ReadMap())
        {
            if (region.Kind == RegionKind.Unmapped)
                continue;
            if (region.Host == null)
            {
                Add(map, new MemoryMapRegion(region.Start, region.End - region.Start, MemoryMapState.Device));
                continue;
            }
            for (ulong address = region.Start; address < region.End; address += PageBytes)
            {
                while (next < pages.Length && pages[next].GuestAddress + pages[next].Size <= address)
                    next++;
                byte* host = region.Host + (address - region.Start);
                bool mapped = next < pages.Length && pages[next].GuestAddress <= address;
                Add(map, region.Kind == RegionKind.Ram && mapped
                    ? new MemoryMapRegion(address, PageBytes, MemoryMapState.Mapped, pages[next].Size, (pages[next].Entry & PageEntry.Dirty) != 0)
                    : new MemoryMapRegion(address, PageBytes, StateOf(memory, region.Kind, host, nested != null)));
            }
        }
        return map;
    }

    private static unsafe MemoryMapState StateOf(PhysicalMemory memory, RegionKind kind, byte* host, bool nested)
    {
        if (kind == RegionKind.Rom)
            return MemoryMapState.Rom;
        if (nested)
            return MemoryMapState.Untouched;
        PageTracking tracking = memory.Tracking(memory.PageIndex(host));
        return (tracking & PageTracking.Trace) != 0 ? MemoryMapState.PageTable
            : (tracking & (PageTracking.Code | PageTracking.SiliconCode)) != 0 ? MemoryMapState.Code
            : new ReadOnlySpan<byte>(host, (int)PageBytes).ContainsAnyExcept((byte)0) ? MemoryMapState.Ram : MemoryMapState.Zero;
    }

    private static void Add(List<MemoryMapRegion> map, MemoryMapRegion next)
    {
        if (map.Count > 0 && map[^1] is var last && last.Start + last.Length == next.Start && last with { Start = 0, Length = 0 } == next with { Start = 0, Length = 0 })
            map[^1] = last with { Length = last.Length + next.Length };
        else
            map.Add(next);
    }
}
