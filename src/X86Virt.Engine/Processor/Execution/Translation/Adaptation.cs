namespace X86Virt.Engine.Processor;

/// <summary>
/// Which instructions are translated as SIMULATE, and which code is not translated at all. Decides by counts alone, so that runs are the same.
/// Quick to leave a form that traps, slow to go back to it (Adams and Agesen, section 3.3).
/// </summary>
internal sealed unsafe class Adaptation
{
    // So many traps in so many retired instructions make an instruction SIMULATE: the callout costs more than a trap that does not come.
    private const int TrapLimit = 8;
    private const int TrapWindow = 512;
    private const int RecentTraps = 256;

    // So many more executions without a trap than with one undo it; twice as many each time. Not all of those without are looked at.
    private const int InnocentLimit = 1024;
    private const int MostDoublings = 10;
    public const int LookedAt = 16;

    // Times that code at one place is dropped for a store before it is left decoded, and executions after which it is translated again.
    private const int StoreLimit = 4;
    private const int DecodedRuns = 256;
    private const int Places = 1 << 12;

    private readonly Dictionary<ulong, History> _instructions = [];
    private readonly byte[] _drops = new byte[Places];
    private readonly Recent[] _recent = new Recent[RecentTraps];

    /// <summary>The traps of one instruction in the window that began with the first.</summary>
    private struct Recent
    {
        public ulong Place;
        public long First;
        public int Count;
    }

    /// <summary>What became of one instruction, named by its place in host memory.</summary>
    private sealed class History
    {
        public bool Simulated;

        /// <summary>Executions without a trap less those with one.</summary>
        public long Innocent;
        public int Reversions;
    }

    /// <summary>Instructions made SIMULATE.</summary>
    public long Adapted { get; private set; }

    /// <summary>Instructions that got their other form back.</summary>
    public long Reverted { get; private set; }

    /// <summary>Blocks left decoded.</summary>
    public long LeftDecoded { get; private set; }

    public bool Any => _instructions.Count > 0;

    private static ulong PlaceOf(Block* block, Op* op) => block->Start + op->Offset;

    private static int Index(ulong start) => (int)((start ^ (start >> 12)) & (Places - 1));

    public bool Simulates(Block* block, Op* op) => _instructions.TryGetValue(PlaceOf(block, op), out History? history) && history.Simulated;

    /// <summary>How often an instruction went back to its other form; null if it was never SIMULATE.</summary>
    public int? ReversionsOf(Block* block, Op* op) => _instructions.TryGetValue(PlaceOf(block, op), out History? history) ? history.Reversions : null;

    /// <summary>An instruction trapped; true if its unit must be translated anew.</summary>
    public bool Trapped(Block* block, Op* op, long retired)
    {
        TranslatedOp* made = Block.Translated(block) + op->Ordinal;
        if (made->Traps < byte.MaxValue)
            made->Traps++;
        ulong place = PlaceOf(block, op);
        if (made->Kind == TranslationKind.Simulate)
        {
            if (_instructions.TryGetValue(place, out History? known))
                known.Innocent--;
            return false;
        }
        if (made->Kind is TranslationKind.Callout or TranslationKind.Branch)
            return false;
        ref Recent recent = ref _recent[(int)(place ^ (place >> 8)) & (RecentTraps - 1)];
        if (recent.Place != place || retired - recent.First > TrapWindow)
            recent = new Recent { Place = place, First = retired };
        if (++recent.Count < TrapLimit)
            return false;
        recent = default;
        if (!_instructions.TryGetValue(place, out History? history))
            _instructions[place] = history = new History();
        history.Simulated = true;
        history.Innocent = 0;
        Adapted++;
        return true;
    }

    /// <summary>A callout that is looked at, one of <see cref="LookedAt"/>, did not trap; true if its unit must be translated anew.</summary>
    public bool WasInnocent(Block* block, Op* op)
    {
        if ((Block.Translated(block) + op->Ordinal)->Kind != TranslationKind.Simulate || !_instructions.TryGetValue(PlaceOf(block, op), out History? history)
            || !history.Simulated)
            return false;
        history.Innocent += LookedAt;
        if (history.Innocent < (long)InnocentLimit << Math.Min(history.Reversions, MostDoublings))
            return false;
        history.Simulated = false;
        history.Reversions++;
        Reverted++;
        return true;
    }

    /// <summary>A block was dropped because its code was stored into.</summary>
    public void StoredInto(Block* block)
    {
        ref byte drops = ref _drops[Index(block->Start)];
        if (drops < byte.MaxValue)
            drops++;
    }

    /// <summary>Whether code is to be left decoded.</summary>
    public bool IsUnstable(ulong start)
    {
        if (_drops[Index(start)] < StoreLimit)
            return false;
        LeftDecoded++;
        return true;
    }

    /// <summary>A block that was left decoded ran; true if it is to be translated after all.</summary>
    public bool HasSettled(Block* block)
    {
        if (++block->Executions < DecodedRuns)
            return false;
        _drops[Index(block->Start)] = 0;
        return true;
    }

    public void Clear()
    {
        _instructions.Clear();
        Array.Clear(_drops);
        Array.Clear(_recent);
    }
}
