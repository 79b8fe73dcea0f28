using System.Runtime.InteropServices;
using X86Virt.Engine.Memory;

namespace X86Virt.Engine.Processor;

/// <summary>Why a block is dropped.</summary>
internal enum DropReason
{
    /// <summary>Its code was stored into.</summary>
    Store,

    /// <summary>Its room is needed.</summary>
    Room,

    /// <summary>It is to be made anew in another form.</summary>
    Adaptation,

    /// <summary>All are forgotten.</summary>
    All,
}

/// <summary>
/// Decoded blocks, found by host page, offset and mode. Knows which bytes of a page hold decoded code, so that a store next to code costs
/// little and a store into code drops just the blocks it hits.
/// </summary>
internal sealed unsafe class BlockCache : IDisposable
{
    private const int Buckets = 1 << 17;
    private const nuint ArenaSize = 32 << 20;

    /// <summary>The arena is filled part by part, round and round; a part's blocks are evicted when it is filled anew.</summary>
    public const int Parts = 8;
    private const nuint PartSize = ArenaSize / Parts;
    private const int GranuleShift = 6;

    private readonly Cpu _cpu;
    private readonly PhysicalMemory _memory;
    private readonly byte* _arena;
    private readonly Block** _buckets;

    // For each page of the block of host memory: its blocks, and a bit for each 64 bytes that hold code.
    private readonly Block** _pages;
    private readonly ulong* _granules;
    private nuint _used;
    private int _part;
    private readonly nuint[] _partUsed = new nuint[Parts];
    private bool _disposed;

    public BlockCache(Cpu cpu)
    {
        _cpu = cpu;
        _memory = cpu.Memory;
        _arena = HostMemory.Allocate(ArenaSize);
        _buckets = (Block**)HostMemory.Allocate(Buckets * (ulong)sizeof(Block*));
        _pages = (Block**)HostMemory.Allocate((ulong)_memory.PageCount * (ulong)sizeof(Block*));
        _granules = (ulong*)HostMemory.Allocate((ulong)_memory.PageCount * sizeof(ulong));
        _memory.CodeWrite += OnCodeWrite;
    }

    public long Decoded { get; private set; }

    /// <summary>Blocks dropped because their code was stored into, by the guest or a device.</summary>
    public long Invalidated { get; private set; }

    /// <summary>Times that all were forgotten.</summary>
    public long Flushes { get; private set; }

    /// <summary>Advances whenever the room of blocks is used again: by an eviction or a flush.</summary>
    public long Evictions { get; private set; }

    /// <summary>Blocks dropped to make room.</summary>
    public long Evicted { get; private set; }

    /// <summary>The part that blocks are added to.</summary>
    public int Part => _part;

    /// <summary>Offsets of entries, as translated code names them, count from here.</summary>
    public byte* Arena => _arena;

    /// <summary>Called with each block that is dropped, and with null when all are forgotten.</summary>
    public Action<nint, DropReason>? Dropped { get; set; }

    private static int Bucket(ulong start, CodeMode mode) => (int)((start ^ (start >> 17) ^ ((ulong)mode << 9)) & (Buckets - 1));

    /// <summary>
    /// The block of a key, if it is all in one page; <paramref name="rip"/> is 0 for blocks that serve every address. <paramref name="crosses"/> tells
    /// that there are others, for which the page behind must be known (<see cref="FindCrossing"/>).
    /// </summary>
    public Block* Find(ulong start, CodeMode mode, ulong rip, out bool crosses)
    {
        crosses = false;
        for (Block* b = _buckets[Bucket(start, mode)]; b != null; b = b->NextInBucket)
        {
            if (b->Start != start || b->Mode != mode)
                continue;
            if (b->SecondPage >= 0)
                crosses = true;
            else if (b->Rip == rip)
                return b;
        }
        return null;
    }

    /// <summary>The block of a key that ends in a certain page.</summary>
    public Block* FindCrossing(ulong start, CodeMode mode, ulong rip, int secondPage)
    {
        for (Block* b = _buckets[Bucket(start, mode)]; b != null; b = b->NextInBucket)
        {
            if (b->Start == start && b->Mode == mode && b->Rip == rip && b->SecondPage == secondPage)
                return b;
        }
        return null;
    }

    /// <summary>Room for a block of so many instructions and its terminator; the caller fills it and calls <see cref="Add"/>.</summary>
    public Block* Reserve(int instructions)
    {
        if (!HasRoom(instructions))
            NextPart();
        return (Block*)(_arena + (nuint)_part * PartSize + _used);
    }

    public bool HasRoom(int instructions) => _used + SizeOf(instructions) <= PartSize;

    private static nuint SizeOf(int instructions)
        => ((nuint)(sizeof(Block) + (instructions + 1) * sizeof(Op) + instructions * sizeof(TranslatedOp)) + 63) & ~(nuint)63;

    private static nuint SizeOf(Block* block) => SizeOf(block->Count);

    /// <summary>Goes on to the next part, and evicts what it holds. Only between blocks.</summary>
    public void NextPart()
    {
        _partUsed[_part] = _used;
        _part = (_part + 1) % Parts;
        _used = 0;
        Evictions++;
        byte* start = _arena + (nuint)_part * PartSize;
        nuint used = _partUsed[_part];
        if (used == 0)
            return;
        for (nuint offset = 0; offset < used;)
        {
            var block = (Block*)(start + offset);
            offset += SizeOf(block);
            if (block->Valid)
                Evict(block);
        }
        _partUsed[_part] = 0;
        CpuState* s = _cpu.State;
        if (s->PatchedOp >= (Op*)start && s->PatchedOp < (Op*)(start + PartSize))
            s->PatchedOp = null;
        _cpu.InvalidateLookups();
    }

    private void Evict(Block* block)
    {
        Evicted++;
        block->Valid = false;
        Unlink(&_buckets[Bucket(block->Start, block->Mode)], block);
        int first = (int)(block->Start >> 12);
        EvictFromPage(first, block);
        if (block->SecondPage >= 0 && block->SecondPage != first)
            EvictFromPage(block->SecondPage, block);
        Dropped?.Invoke((nint)block, DropReason.Room);
    }

    private void EvictFromPage(int page, Block* block)
    {
        UnlinkFromPage(page, block);
        if (_pages[page] == null)
            Forget(page);
    }

    public void Add(Block* block)
    {
        _used += SizeOf(block);
        Decoded++;
        Block** bucket = &_buckets[Bucket(block->Start, block->Mode)];
        block->NextInBucket = *bucket;
        *bucket = block;
        int page = (int)(block->Start >> 12);
        block->NextInPage = _pages[page];
        _pages[page] = block;
        Mark(page, block);
        if (block->SecondPage >= 0 && block->SecondPage != page)
        {
            // Chained under the second page by its own link, so that a store there finds it.
            block->NextInSecondPage = _pages[block->SecondPage];
            _pages[block->SecondPage] = block;
            Mark(block->SecondPage, block);
        }
    }

    private void Mark(int page, Block* block)
    {
        _granules[page] |= Granules(page, block);
        if ((_memory.Tracking(page) & _cpu.CodeTracking) == 0)
        {
            _memory.Track(page, _cpu.CodeTracking);
            _cpu.CloseWrites(_memory.Block + ((ulong)page << 12));
        }
    }

    /// <summary>The granules of a page that a block covers.</summary>
    private static ulong Granules(int page, Block* block)
    {
        int first = (int)(block->Start & 0xFFF);
        int last = first + block->Bytes - 1;
        if (page != (int)(block->Start >> 12))
            (first, last) = (0, last - 0x1000);
        return Range(first, Math.Min(last, 0xFFF));
    }

    private static ulong Range(int first, int last)
    {
        int low = first >> GranuleShift, high = last >> GranuleShift;
        return (~0UL >> (63 - (high - low))) << low;
    }

    private static Block** LinkIn(Block* block, int page)
        => (int)(block->Start >> 12) == page ? &block->NextInPage : &block->NextInSecondPage;

    private void OnCodeWrite(int page, int offset, int length)
    {
        ulong touched = Range(offset, Math.Min(offset + length - 1, 0xFFF));
        if ((_granules[page] & touched) == 0)
            return;
        ulong remaining = 0;
        Block** link = &_pages[page];
        while (*link != null)
        {
            Block* block = *link;
            ulong granules = Granules(page, block);
            if (Overlaps(block, page, offset, length))
            {
                *link = *LinkIn(block, page);
                Invalidate(block, page, DropReason.Store);
                Invalidated++;
            }
            else
            {
                remaining |= granules;
                link = LinkIn(block, page);
            }
        }
        _granules[page] = remaining;
        if (_pages[page] == null)
            _memory.Untrack(page, _cpu.CodeTracking);
    }

    private static bool Overlaps(Block* block, int page, int offset, int length)
    {
        ulong at = ((ulong)page << 12) + (ulong)offset;
        if (page == (int)(block->Start >> 12))
            return at < block->Start + block->Bytes && block->Start < at + (ulong)length;
        int tail = (int)(block->Start & 0xFFF) + block->Bytes - 0x1000;
        return offset < tail;
    }

    /// <summary>
    /// Takes a block out of every list but that of <paramref name="page"/> and makes each of its entries leave: it may be the one
    /// that is being executed. Its room is used again only after a flush, between blocks.
    /// </summary>
    private void Invalidate(Block* block, int page, DropReason reason)
    {
        block->Valid = false;
        Unlink(&_buckets[Bucket(block->Start, block->Mode)], block);
        int first = (int)(block->Start >> 12);
        int other = first == page ? block->SecondPage : first;
        if (other >= 0 && other != page)
            UnlinkFromPage(other, block);
        Op* ops = Block.Ops(block);
        for (int i = 0; i < block->Count; i++)
            ops[i].Handler = &Control.Leave;
        if (!CodeLookup.TryRemove(_cpu.State, block))
            _cpu.InvalidateLookups();
        Dropped?.Invoke((nint)block, reason);
    }

    /// <summary>Drops a block as a store into its code would; it may be the one that is being executed.</summary>
    public void Drop(Block* block)
    {
        int page = (int)(block->Start >> 12);
        UnlinkFromPage(page, block);
        Invalidate(block, page, DropReason.Adaptation);
    }

    private static void Unlink(Block** link, Block* block)
    {
        while (*link != block)
            link = &(*link)->NextInBucket;
        *link = block->NextInBucket;
    }

    private void UnlinkFromPage(int page, Block* block)
    {
        Block** link = &_pages[page];
        while (*link != block)
            link = LinkIn(*link, page);
        *link = *LinkIn(block, page);
    }

    /// <summary>Forgets every block. Only between blocks.</summary>
    public void Flush()
    {
        Flushes++;
        Evictions++;
        for (int i = 0; i < Buckets; i++)
        {
            for (Block* b = _buckets[i]; b != null; b = b->NextInBucket)
            {
                Forget((int)(b->Start >> 12));
                if (b->SecondPage >= 0)
                    Forget(b->SecondPage);
            }
            _buckets[i] = null;
        }
        _used = 0;
        _part = 0;
        Array.Clear(_partUsed);
        Dropped?.Invoke(0, DropReason.All);
        _cpu.State->PatchedOp = null;
        _cpu.InvalidateLookups();
    }

    /// <summary>All blocks, in no order.</summary>
    public List<nint> All()
    {
        var all = new List<nint>();
        for (int i = 0; i < Buckets; i++)
        {
            for (Block* b = _buckets[i]; b != null; b = b->NextInBucket)
                all.Add((nint)b);
        }
        return all;
    }

    private void Forget(int page)
    {
        _pages[page] = null;
        _granules[page] = 0;
        _memory.Untrack(page, _cpu.CodeTracking);
    }

    public void Dispose()
    {
        if (_disposed)
            return;
        _disposed = true;
        _memory.CodeWrite -= OnCodeWrite;
        Flush();
        HostMemory.Free(_arena, ArenaSize);
        HostMemory.Free((byte*)_buckets, Buckets * (ulong)sizeof(Block*));
        HostMemory.Free((byte*)_pages, (ulong)_memory.PageCount * (ulong)sizeof(Block*));
        HostMemory.Free((byte*)_granules, (ulong)_memory.PageCount * sizeof(ulong));
    }
}
