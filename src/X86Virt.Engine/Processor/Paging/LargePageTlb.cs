namespace X86Virt.Engine.Processor;

/// <summary>
/// The entries for large pages that processors have beside those for small ones, as many as a Core 2 (Intel optimization manual). The TLB itself holds pieces of 4 KiB, whatever the page; here
/// it is only known which of its misses the large entries would have spared. Flushed as the TLB is; an address has its place by its lowest bits.
/// </summary>
internal sealed class LargePageTlb
{
    /// <summary>Entries, of 2 MiB each; larger pages take one for each 2 MiB of theirs that is used.</summary>
    public const int Entries = 32;

    private const int Shift = 21;
    private const ulong GlobalBit = 1UL << 63;

    // The numbers of pages, plus one.
    private readonly ulong[] _pages = new ulong[Entries];

    /// <summary>Whether the large page of an address is held. It is from now on.</summary>
    public bool Hold(ulong linear, PagePermissions permissions)
    {
        ref ulong page = ref _pages[Place(linear)];
        ulong wanted = (linear >> Shift) + 1;
        bool held = (page & ~GlobalBit) == wanted;
        page = wanted | ((permissions & PagePermissions.Global) != 0 ? GlobalBit : 0);
        return held;
    }

    /// <summary>Drops every page, or all but global ones.</summary>
    public void Flush(bool keepGlobal)
    {
        for (int i = 0; i < Entries; i++)
        {
            if (!keepGlobal || (_pages[i] & GlobalBit) == 0)
                _pages[i] = 0;
        }
    }

    /// <summary>Drops the page of an address.</summary>
    public void FlushPage(ulong linear)
    {
        ref ulong page = ref _pages[Place(linear)];
        if ((page & ~GlobalBit) == (linear >> Shift) + 1)
            page = 0;
    }

    private static int Place(ulong linear) => (int)(linear >> Shift) & (Entries - 1);
}
