namespace X86Virt.Engine.Processor;

/// <summary>
/// The direct-mapped tables, one for each <see cref="CodeMode"/>, that lead from a linear address to the code of the block that starts there.
/// An entry's tag is the address without its page offset, exclusive-or <see cref="CpuState.LookupKey"/>, whose 12 bits (access mode, guest mode
/// and a generation that is never 0) stand where a shifted address has none; the place in the table tells the rest of the address. So one comparison
/// decides, an empty entry (0) matches nothing, and advancing the generation drops all entries at once.
/// </summary>
internal static unsafe class CodeLookup
{
    public const int Entries = 1 << 12;
    public const int IndexMask = Entries - 1;

    /// <summary>The least shift that leaves the bits of the address that the place in the table does not tell.</summary>
    public const int TagShift = 12;

    /// <summary>Bits of the filter that tells which pages have entries.</summary>
    public const int PageBits = 1024;

    public const int Modes = 256;

    /// <summary>Entries for code in pages that are not global, as far as they are listed.</summary>
    private const int MostLocal = 4096;
    private const int TableSize = 3 * Entries * sizeof(ulong);
    private const int LocalOffset = CpuState.LookupOffset + Modes * TableSize;
    public const int SizeInBytes = Modes * TableSize + MostLocal * sizeof(int);

    /// <summary>Offsets of a mode's tags, and of the executable addresses and blocks they guard, from the state.</summary>
    public static int TagsOffset(CodeMode mode) => CpuState.LookupOffset + (int)(mode & CodeMode.Mask) * TableSize;

    public static int HostsOffset(CodeMode mode) => TagsOffset(mode) + Entries * sizeof(ulong);

    private static int BlocksOffset(CodeMode mode) => TagsOffset(mode) + 2 * Entries * sizeof(ulong);

    public static int Index(ulong linear) => (int)(linear ^ (linear >> TagShift)) & IndexMask;

    /// <summary>The block that starts at a linear address, in the mode in force; null if it must be found otherwise.</summary>
    public static Block* Find(CpuState* s, ulong linear)
    {
        int index = Index(linear);
        byte* state = (byte*)s;
        return ((ulong*)(state + TagsOffset(s->Mode)))[index] == ((linear >> TagShift) ^ s->LookupKey)
            ? ((Block**)(state + BlocksOffset(s->Mode)))[index]
            : null;
    }

    /// <param name="s">The state, whose mode and key are those of the entry.</param>
    /// <param name="linear">Where the block starts.</param>
    /// <param name="block">The block.</param>
    /// <param name="host">Executable address of its host code; null where blocks are only decoded.</param>
    public static void Set(CpuState* s, ulong linear, Block* block, byte* host)
    {
        int index = Index(linear);
        byte* state = (byte*)s;
        MarkPage(s, linear);
        if (block->SecondPage >= 0)
            MarkPage(s, linear + 0x1000);
        s->LookupModes[(int)(s->Mode & CodeMode.Mask) >> 6] |= 1UL << (int)s->Mode;
        ((ulong*)(state + TagsOffset(s->Mode)))[index] = (linear >> TagShift) ^ s->LookupKey;
        ((byte**)(state + HostsOffset(s->Mode)))[index] = host;
        ((Block**)(state + BlocksOffset(s->Mode)))[index] = block;
        if (block->SecondPage < 0 && IsGlobal(s, linear))
            return;
        if (s->LocalLookups < MostLocal)
            ((int*)(state + LocalOffset))[s->LocalLookups] = (int)(s->Mode & CodeMode.Mask) * Entries + index;
        s->LocalLookups++;
    }

    /// <summary>Drops the entry of a block; false if it may have one at an address that it does not tell.</summary>
    public static bool TryRemove(CpuState* s, Block* block)
    {
        if (block->HostCode == null || (block->Mode & CodeMode.Flat) == 0)
            return false;
        byte* state = (byte*)s;
        int index = Index(block->Rip);
        if (((Block**)(state + BlocksOffset(block->Mode)))[index] == block)
            ((ulong*)(state + TagsOffset(block->Mode)))[index] = 0;
        return true;
    }

    private static bool IsGlobal(CpuState* s, ulong linear)
    {
        TlbTranslation* t = Cpu.Of(s).Tlb.Find(s->AccessMode, linear);
        return t != null && (t->Permissions & PagePermissions.Global) != 0;
    }

    private static void MarkPage(CpuState* s, ulong linear) => s->LookupPages[(linear >> 18) & (PageBits / 64 - 1)] |= 1UL << (int)(linear >> 12);

    /// <summary>Whether there may be entries for code in the page of a linear address.</summary>
    public static bool MayHavePage(CpuState* s, ulong linear) => (s->LookupPages[(linear >> 18) & (PageBits / 64 - 1)] >> (int)(linear >> 12) & 1) != 0;

    /// <summary>Drops all entries but those for code in global pages.</summary>
    public static void InvalidateLocal(CpuState* s)
    {
        if (s->LocalLookups > MostLocal)
        {
            Invalidate(s);
            return;
        }
        int* local = (int*)((byte*)s + LocalOffset);
        for (int i = 0; i < s->LocalLookups; i++)
            ((ulong*)((byte*)s + TagsOffset((CodeMode)(local[i] / Entries))))[local[i] & IndexMask] = 0;
        s->LocalLookups = 0;
    }

    /// <summary>Drops all entries.</summary>
    public static void Invalidate(CpuState* s)
    {
        s->LocalLookups = 0;
        new Span<ulong>(s->LookupPages, PageBits / 64).Clear();
        s->LookupKey += ModeChange.LookupGeneration;
        if (s->LookupKey >= ModeChange.LookupGeneration)
            return;
        // The generations start again: what is left of the first ones must go.
        s->LookupKey += ModeChange.LookupGeneration;
        for (int mode = 0; mode < Modes; mode++)
        {
            if ((s->LookupModes[mode >> 6] & (1UL << mode)) != 0)
                new Span<ulong>((byte*)s + TagsOffset((CodeMode)mode), Entries).Clear();
        }
        new Span<ulong>(s->LookupModes, Modes / 64).Clear();
    }
}
