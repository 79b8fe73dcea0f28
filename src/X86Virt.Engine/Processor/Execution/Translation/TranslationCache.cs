using X86Virt.Engine.Memory;

namespace X86Virt.Engine.Processor;

/// <summary>
/// The memory that translated code runs from. The guest cannot reach it: it is no guest memory, and no mapping of it is both writable and
/// executable. It is filled region by region, round and round; a region's units are evicted when it is filled anew. In a region the units' bodies
/// stand one behind the other, what they seldom run (exits, slow accesses) stands apart.
/// </summary>
internal sealed unsafe class TranslationCache : IDisposable
{
    public const long MinimumSize = 512 << 10;
    private const int ThunkSize = 4096;

    private readonly ExecutableMemory _memory;
    private readonly HostAssembler _assembler;
    private readonly long _regionSize;

    // Chained jumps, in lists by the unit they lead to; index 0 ends a list. Nodes out of use are in a list of their own.
    private Link[] _links = new Link[1024];
    private int _linkCount = 1;
    private int _freeLinks;

    private int _region;
    private byte* _hotEnd, _coldEnd;

    // The jump that ends the body written last, while it still leads to its own exit.
    private byte* _lastGoto;
    private int _lastGotoUnchained;

    private struct Link
    {
        /// <summary>Null once the unit it belonged to was evicted.</summary>
        public byte* Jump;

        /// <summary>The displacement to its own exit, which unchaining puts back.</summary>
        public int Unchained;
        public int Next;
    }

    /// <param name="size">In bytes, <see cref="MinimumSize"/> at least.</param>
    /// <param name="regions">How many parts it is evicted by.</param>
    /// <param name="assembler">Writes the code.</param>
    public TranslationCache(long size, int regions, HostAssembler assembler)
    {
        _memory = new ExecutableMemory(size);
        _assembler = assembler;
        _regionSize = ((_memory.Size - ThunkSize) / regions) & ~63L;
        Thunks = new TranslationThunks(_memory, assembler);
        EnterRegion(0);
    }

    public TranslationThunks Thunks { get; }
    public long Size => _memory.Size;

    /// <summary>Bytes of host code of the region being filled, and of all regions that were filled before.</summary>
    public long Used { get; private set; }

    /// <summary>Where the next unit's body goes (write view).</summary>
    public byte* NextHot { get; private set; }

    /// <summary>Where the code that it seldom runs goes (write view).</summary>
    public byte* NextCold { get; private set; }

    /// <summary>Jumps chained since the machine was made.</summary>
    public long ChainsMade { get; private set; }

    /// <summary>Jumps unchained because the unit that they led to was dropped.</summary>
    public long ChainsBroken { get; private set; }

    public byte* ToExecutable(byte* written) => _memory.ToExecutable(written);

    /// <summary>Offsets of places, as exits name them.</summary>
    public uint OffsetOf(byte* written) => (uint)(written - _memory.WriteView);

    public byte* Written(uint offset) => _memory.WriteView + offset;

    public byte* Executable(uint offset) => _memory.ExecuteView + offset;

    public bool HasRoom(int bytes) => NextHot + bytes <= _hotEnd && NextCold + bytes <= _coldEnd;

    private byte* RegionStart(int region) => _memory.WriteView + ThunkSize + region * _regionSize;

    private void EnterRegion(int region)
    {
        _region = region;
        NextHot = RegionStart(region);
        _hotEnd = NextCold = NextHot + _regionSize / 2;
        _coldEnd = NextHot + _regionSize;
        _lastGoto = null;
    }

    /// <summary>Goes on in a region whose units have all been dropped.</summary>
    public void NextRegion(int region)
    {
        EnterRegion(region);
        byte* start = NextHot, end = _coldEnd;
        for (int i = 1; i < _linkCount; i++)
        {
            if (_links[i].Jump >= start && _links[i].Jump < end)
                _links[i].Jump = null;
        }
    }

    /// <summary>Forgets all translations. Only while none is being executed.</summary>
    public void Clear()
    {
        EnterRegion(0);
        Used = 0;
        _linkCount = 1;
        _freeLinks = 0;
    }

    /// <summary>
    /// Begins a unit's body. If the body before it ends in a jump to <paramref name="follows"/>, that jump, and this is it, the jump is left
    /// out: control falls through.
    /// </summary>
    public void Begin(bool follows)
    {
        // Bodies are not aligned: processors predict indirect jumps by the low bits of where they went, which should differ.
        if (follows)
            NextHot = _lastGoto - 1;
        _lastGoto = null;
        _assembler.Cursor = NextHot;
    }

    /// <summary>Whether a unit begins where the jump stood.</summary>
    public bool Replaces(Block* block, uint jump) => block->HostCode + 1 == Written(jump);

    /// <summary>Whether a jump is a unit's own.</summary>
    public bool IsIn(Block* block, uint jump)
    {
        byte* displacement = Written(jump);
        return (ulong)(displacement - block->HostCode) < (ulong)block->HostLength || (ulong)(displacement - block->HostCold) < (ulong)block->HostColdLength;
    }

    /// <summary>Whether the body written last ends in a jump that still leads to its own exit.</summary>
    public bool EndsInJump => _lastGoto != null && *(int*)_lastGoto == _lastGotoUnchained;

    /// <summary>Keeps what was written: the body up to <paramref name="hotEnd"/>, the rest up to the assembler's cursor.</summary>
    /// <param name="hotEnd">End of the body.</param>
    /// <param name="lastGoto">The displacement of the jump that the body ends in; null if it ends otherwise.</param>
    public void Commit(byte* hotEnd, byte* lastGoto)
    {
        Used += hotEnd - NextHot + (_assembler.Cursor - NextCold);
        NextHot = hotEnd;
        NextCold = _assembler.Cursor;
        _lastGoto = lastGoto;
        _lastGotoUnchained = lastGoto == null ? 0 : *(int*)lastGoto;
    }

    /// <summary>Makes a unit's jump lead straight to another unit.</summary>
    public void Chain(uint jump, Block* target)
    {
        byte* displacement = Written(jump);
        int link = _freeLinks;
        if (link != 0)
        {
            _freeLinks = _links[link].Next;
        }
        else
        {
            if (_linkCount == _links.Length)
                Array.Resize(ref _links, _links.Length * 2);
            link = _linkCount++;
        }
        _links[link] = new Link { Jump = displacement, Unchained = *(int*)displacement, Next = target->LinksIn };
        target->LinksIn = link;
        HostAssembler.Link(displacement, target->HostCode);
        ChainsMade++;
    }

    /// <summary>Makes every jump that was chained to a unit leave by its own exit again.</summary>
    public void Unchain(Block* target)
    {
        for (int i = target->LinksIn; i != 0;)
        {
            if (_links[i].Jump != null)
            {
                *(int*)_links[i].Jump = _links[i].Unchained;
                ChainsBroken++;
            }
            int next = _links[i].Next;
            _links[i].Jump = null;
            _links[i].Next = _freeLinks;
            _freeLinks = i;
            i = next;
        }
        target->LinksIn = 0;
    }

    public void Dispose() => _memory.Dispose();
}
