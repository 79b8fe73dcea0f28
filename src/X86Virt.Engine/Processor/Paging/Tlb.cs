using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace X86Virt.Engine.Processor;

/// <summary>
/// The fast half of a TLB entry. A tag is the linear page address if an access of that kind may go straight to host memory at
/// linear + <see cref="Addend"/>, and no page's address otherwise (devices, tracked pages, pages with data breakpoints).
/// </summary>
[StructLayout(LayoutKind.Sequential, Size = 32)]
public struct TlbEntry
{
    /// <summary>
    /// A tag that nothing matches which is looked up in a slot. No page address has low bits set; and as every bit of the slot's number is
    /// wrong, the exclusive-or with such an address, which translated code compares with the page size, is a page at least.
    /// </summary>
    public static ulong NoMatch(int slot) => ((~(ulong)slot & Processor.Tlb.IndexMask) << 12) | 0xFFF;

    public static bool Matches(ulong tag) => (tag & 0xFFF) == 0;

    public ulong ReadTag;
    public ulong WriteTag;
    public ulong FetchTag;
    public nint Addend;
}

/// <summary>The slow half: the translation as the walk found it, kept until flushed, whatever became of the page tables.</summary>
[StructLayout(LayoutKind.Sequential, Size = 24)]
public struct TlbTranslation
{
    public ulong LinearPage;
    public ulong PhysicalPage;
    public PagePermissions Permissions;
}

/// <summary>How many translations a TLB holds: of 4 KiB pages, pieces of larger ones, and how many of both are global.</summary>
internal record struct TlbContents(int Small, int Large, int Global);

/// <summary>What a page walk allows in one access mode.</summary>
[Flags]
public enum PagePermissions : byte
{
    None = 0,
    Read = 1,
    Write = 2,
    Fetch = 4,

    /// <summary>The D bit is set: writes need no walk.</summary>
    Dirty = 8,
    Global = 16,

    /// <summary>Part of a page larger than 4 KiB, which INVLPG drops as a whole.</summary>
    Large = 32,
}

/// <summary>
/// The processor's TLBs, one for each <see cref="AccessMode"/>. Architecturally lazy: a translation stays until INVLPG, a CR3 write
/// or another flush, even if the guest has changed its page tables. Flushing costs what was filled, not the size.
/// </summary>
public sealed unsafe class Tlb : IDisposable
{
    public const int Entries = 4096;
    public const ulong IndexMask = Entries - 1;
    private const ulong NoPage = ulong.MaxValue;
    private const int Modes = 4;
    private const int Total = Entries * Modes;
    internal const int SizeInBytes = Total * 32;

    private readonly TlbEntry* _entries;
    private readonly long* _derived;
    private readonly TlbTranslation* _translations;

    // Slots filled since the last flush, so that a flush touches only those; Total at most, each once.
    private readonly ushort* _filled;
    private readonly bool* _isFilled;
    private int _filledCount;

    // Linear range that covers every large page filled since the last full flush.
    private ulong _largeFirst = ulong.MaxValue;
    private ulong _largeLast;
    private bool _disposed;

    /// <param name="entries">Room for <see cref="SizeInBytes"/> bytes, next to the processor's state.</param>
    /// <param name="derived">What translated code took from entries for a while (<see cref="CpuState.AccessGroups"/>), which goes when any of them changes.</param>
    public Tlb(TlbEntry* entries, long* derived)
    {
        _entries = entries;
        _derived = derived;
        _translations = (TlbTranslation*)NativeMemory.AlignedAlloc(Total * (nuint)sizeof(TlbTranslation), 64);
        _filled = (ushort*)NativeMemory.Alloc(Total * sizeof(ushort));
        _isFilled = (bool*)NativeMemory.AllocZeroed(Total);
        for (int i = 0; i < Total; i++)
            Clear(i);
    }

    public long Fills { get; private set; }
    public long Flushes { get; private set; }

    /// <summary>Those of the flushes that kept global pages.</summary>
    public long NonGlobalFlushes { get; private set; }
    public long PageFlushes { get; private set; }

    /// <summary>What the walks of its misses read.</summary>
    internal PageWalkCache WalkCache { get; } = new();

    /// <summary>What entries for large pages would have spared.</summary>
    internal LargePageTlb LargePages { get; } = new();

    /// <summary>Entries that there is room for.</summary>
    internal static int Capacity => Total;

    /// <summary>What it holds.</summary>
    internal TlbContents Contents
    {
        get
        {
            var contents = new TlbContents();
            for (int i = 0; i < _filledCount; i++)
            {
                TlbTranslation* t = _translations + _filled[i];
                if (t->LinearPage == NoPage)
                    continue;
                if ((t->Permissions & PagePermissions.Large) != 0)
                    contents.Large++;
                else
                    contents.Small++;
                if ((t->Permissions & PagePermissions.Global) != 0)
                    contents.Global++;
            }
            return contents;
        }
    }

    public TlbEntry* Of(AccessMode mode) => _entries + (int)mode * Entries;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Slot(AccessMode mode, ulong linear) => (int)mode * Entries + (int)((linear >> 12) & IndexMask);

    /// <summary>The translation of the page of <paramref name="linear"/> in a mode, or null.</summary>
    public TlbTranslation* Find(AccessMode mode, ulong linear)
    {
        TlbTranslation* t = _translations + Slot(mode, linear);
        return t->LinearPage == (linear & ~0xFFFUL) ? t : null;
    }

    /// <summary>Keeps a translation; <see cref="Open"/> decides afterwards which accesses may go straight to memory.</summary>
    public TlbTranslation* Fill(AccessMode mode, ulong linear, ulong physical, PagePermissions permissions)
    {
        ForgetDerived();
        int slot = Slot(mode, linear);
        if (!_isFilled[slot])
        {
            _isFilled[slot] = true;
            _filled[_filledCount++] = (ushort)slot;
        }
        Fills++;
        if ((permissions & PagePermissions.Large) != 0)
        {
            _largeFirst = Math.Min(_largeFirst, linear & ~0x3FFF_FFFFUL);
            _largeLast = Math.Max(_largeLast, linear | 0x3FFF_FFFFUL);
        }
        TlbTranslation* t = _translations + slot;
        t->LinearPage = linear & ~0xFFFUL;
        t->PhysicalPage = physical & ~0xFFFUL;
        t->Permissions = permissions;
        ClearFast(slot);
        return t;
    }

    /// <summary>Lets the accesses in <paramref name="fast"/> go straight to <paramref name="hostPage"/>.</summary>
    public void Open(AccessMode mode, ulong linear, byte* hostPage, PagePermissions fast)
    {
        int slot = Slot(mode, linear);
        TlbEntry* e = _entries + slot;
        ulong page = linear & ~0xFFFUL;
        ulong none = TlbEntry.NoMatch(slot);
        e->Addend = (nint)hostPage - (nint)page;
        e->ReadTag = (fast & PagePermissions.Read) != 0 ? page : none;
        e->WriteTag = (fast & PagePermissions.Write) != 0 ? page : none;
        e->FetchTag = (fast & PagePermissions.Fetch) != 0 ? page : none;
    }

    /// <summary>Makes stores to a page of host memory take the slow path from now on (it became code or a traced table).</summary>
    public void CloseWrites(byte* hostPage)
    {
        ForgetDerived();
        for (int i = 0; i < _filledCount; i++)
        {
            TlbEntry* e = _entries + _filled[i];
            if (TlbEntry.Matches(e->WriteTag) && (byte*)((nint)e->WriteTag + e->Addend) == hostPage)
                e->WriteTag = TlbEntry.NoMatch(_filled[i]);
        }
    }

    /// <summary>Drops every translation, or all but global ones.</summary>
    public void Flush(bool keepGlobal)
    {
        Flushes++;
        if (keepGlobal)
            NonGlobalFlushes++;
        WalkCache.Flush();
        LargePages.Flush(keepGlobal);
        ForgetDerived();
        int kept = 0;
        for (int i = 0; i < _filledCount; i++)
        {
            int slot = _filled[i];
            if (keepGlobal && (_translations[slot].Permissions & PagePermissions.Global) != 0)
            {
                _filled[kept++] = (ushort)slot;
                continue;
            }
            _isFilled[slot] = false;
            Clear(slot);
        }
        _filledCount = kept;
        if (kept == 0)
        {
            _largeFirst = ulong.MaxValue;
            _largeLast = 0;
        }
    }

    /// <summary>Keeps the translations but sends every access through the slow path once (the physical map or tracking changed).</summary>
    public void CloseAll()
    {
        ForgetDerived();
        for (int i = 0; i < _filledCount; i++)
            ClearFast(_filled[i]);
    }

    /// <summary>INVLPG: drops the page of <paramref name="linear"/> in every mode, global or not; true if all of a large page was dropped.</summary>
    public bool FlushPage(ulong linear)
    {
        PageFlushes++;
        WalkCache.Flush();
        LargePages.FlushPage(linear);
        ForgetDerived();
        if (linear >= _largeFirst && linear <= _largeLast && IsLarge(linear))
        {
            FlushLarge(linear);
            return true;
        }
        ulong page = linear & ~0xFFFUL;
        for (int mode = 0; mode < Modes; mode++)
        {
            int slot = Slot((AccessMode)mode, linear);
            if (_translations[slot].LinearPage == page)
                Clear(slot);
        }
        return false;
    }

    // Whether the page is large is not known once its piece was evicted; then it must be taken for large.
    private bool IsLarge(ulong linear)
    {
        for (int mode = 0; mode < Modes; mode++)
        {
            TlbTranslation* t = Find((AccessMode)mode, linear);
            if (t != null && (t->Permissions & PagePermissions.Large) == 0)
                return false;
        }
        return true;
    }

    private void FlushLarge(ulong linear)
    {
        // It may be one of 1 GiB.
        LargePages.Flush(keepGlobal: false);
        ulong first = linear & ~0x3FFF_FFFFUL;
        for (int i = 0; i < _filledCount; i++)
        {
            TlbTranslation* t = _translations + _filled[i];
            if (t->LinearPage - first <= 0x3FFF_FFFF)
                Clear(_filled[i]);
        }
    }

    private void ForgetDerived() => new Span<long>(_derived, CpuState.AccessGroupSlots).Clear();

    private void Clear(int slot)
    {
        _translations[slot].LinearPage = NoPage;
        _translations[slot].Permissions = PagePermissions.None;
        ClearFast(slot);
    }

    private void ClearFast(int slot)
    {
        TlbEntry* e = _entries + slot;
        e->ReadTag = e->WriteTag = e->FetchTag = TlbEntry.NoMatch(slot);
    }

    public void Dispose()
    {
        if (_disposed)
            return;
        _disposed = true;
        NativeMemory.AlignedFree(_translations);
        NativeMemory.Free(_filled);
        NativeMemory.Free(_isFilled);
    }
}
