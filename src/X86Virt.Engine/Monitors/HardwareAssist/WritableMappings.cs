using X86Virt.Engine.Memory;
using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Monitors;

/// <summary>
/// Which shadow entries let the guest store to a page, so that they can be made read-only when the page becomes a page table: the one there is, mostly, or
/// that there are several, which are then looked for.
/// </summary>
internal sealed unsafe class WritableMappings : IDisposable
{
    private const ulong Several = 1, AddressMask = 0x000F_FFFF_FFFF_F000;
    private const int PagesPerLarge = 512, EntriesPerPage = 512;

    private readonly MonitorMemory _memory;
    private readonly ulong* _small, _large;
    private readonly ulong _size;

    /// <param name="memory">Where the entries are.</param>
    /// <param name="pages">Pages of the guest's memory.</param>
    public WritableMappings(MonitorMemory memory, int pages)
    {
        _memory = memory;
        // Touched as needed.
        _size = ((ulong)pages + (ulong)pages / PagesPerLarge + 1) * sizeof(ulong);
        _small = (ulong*)HostMemory.Allocate(_size);
        _large = _small + pages;
    }

    /// <summary>An entry maps a page of the guest's memory, or a large one that begins there, for stores.</summary>
    public void Add(int page, bool large, ulong entry)
    {
        ref ulong known = ref large ? ref _large[page / PagesPerLarge] : ref _small[page];
        known = known == 0 || known == entry || !Maps(known, page, large) ? entry : Several;
    }

    /// <summary>Makes every mapping of a page read-only; takes those of a large page around it away.</summary>
    public void Protect(int page, TablePages tables)
    {
        Protect(ref _small[page], page, large: false, tables);
        Protect(ref _large[page / PagesPerLarge], page / PagesPerLarge * PagesPerLarge, large: true, tables);
    }

    private void Protect(ref ulong known, int page, bool large, TablePages tables)
    {
        if (known == 0)
            return;
        if (known != Several)
        {
            if (Maps(known, page, large))
                Protect(At(known), large);
        }
        else
        {
            foreach (ulong table in tables.All)
            {
                for (int i = 0; i < EntriesPerPage; i++)
                {
                    ulong entry = table + (ulong)i * sizeof(ulong);
                    if (Maps(entry, page, large))
                        Protect(At(entry), large);
                }
            }
        }
        known = 0;
    }

    private static void Protect(ulong* entry, bool large) => *entry = large ? 0 : *entry & ~PageEntry.Rw;

    /// <summary>Whether an entry maps a page for stores. What looks like a large page in a table of the lowest level is a PAT bit, which is never set here.</summary>
    private bool Maps(ulong entry, int page, bool large)
    {
        ulong value = *At(entry);
        const ulong Wanted = PageEntry.Present | PageEntry.Rw | PageEntry.Dirty;
        return (value & Wanted) == Wanted && (value & PageEntry.Ps) != 0 == large && (value & AddressMask) == _memory.GuestBase + ((ulong)page << 12);
    }

    private ulong* At(ulong entry) => (ulong*)_memory.At(entry);

    public void Dispose() => HostMemory.Free((byte*)_small, _size);
}
