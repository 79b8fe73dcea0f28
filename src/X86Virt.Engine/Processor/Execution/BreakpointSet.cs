namespace X86Virt.Engine.Processor;

/// <summary>
/// A debugger's breakpoints: linear addresses at which an engine returns before the instruction there is executed. Where none is set none is
/// looked for: blocks end in front of a breakpoint and its address is kept out of the lookup table, so that engines ask only where they
/// would have to find code anyway.
/// </summary>
public sealed class BreakpointSet
{
    private readonly HashSet<ulong> _addresses = [];

    // Blocks are found by physical address, and aliases of a page have nothing but these bits in common.
    private readonly ulong[] _pageOffsets = new ulong[0x1000 / 64];

    private ulong _passedAddress;
    private long _passedAt = -1;

    public bool Any => _addresses.Count > 0;

    public IEnumerable<ulong> Addresses => _addresses.Order();

    /// <summary>The breakpoint that the engine returned for; null if it returned for something else.</summary>
    public ulong? Reached { get; private set; }

    /// <summary>False if it is set already. Code that was decoded before must be forgotten.</summary>
    public bool Add(ulong linear)
    {
        _pageOffsets[(linear & 0xFFF) >> 6] |= 1UL << (int)(linear & 63);
        return _addresses.Add(linear);
    }

    /// <summary>False if there is none.</summary>
    public bool Remove(ulong linear)
    {
        bool removed = _addresses.Remove(linear);
        Array.Clear(_pageOffsets);
        foreach (ulong address in _addresses)
            _pageOffsets[(address & 0xFFF) >> 6] |= 1UL << (int)(address & 63);
        return removed;
    }

    /// <summary>Whether a block must end in front of a place: a breakpoint has its offset in the page.</summary>
    internal bool EndsBlock(ulong address) => (_pageOffsets[(address & 0xFFF) >> 6] >> (int)(address & 63) & 1) != 0;

    internal bool IsAt(ulong linear) => EndsBlock(linear) && _addresses.Contains(linear);

    /// <summary>Whether the engine must return in front of an instruction; once only, so that it goes on when it is called again.</summary>
    internal bool Stops(ulong linear, long retired)
    {
        if (!IsAt(linear) || (linear == _passedAddress && retired == _passedAt))
            return false;
        Pass(linear, retired);
        Reached = linear;
        return true;
    }

    /// <summary>A breakpoint at an instruction has had its effect.</summary>
    internal void Pass(ulong linear, long retired) => (_passedAddress, _passedAt) = (linear, retired);

    /// <summary>Has every breakpoint take effect, at the very next instruction too.</summary>
    internal void Arm() => _passedAt = -1;

    /// <summary>To be called before the engine runs.</summary>
    internal void Begin() => Reached = null;
}
