namespace X86Virt.Engine.Processor;

/// <summary>
/// Pushes to a stack that is not (yet) the current one: another segment, pointer and privilege level. Registers are left alone, so a fault
/// half-way leaves nothing to undo.
/// </summary>
internal unsafe ref struct StackWriter
{
    private readonly CpuState* _s;
    private readonly Op* _op;
    private readonly SegmentRegister _segment;
    private readonly AccessMode _mode;
    private readonly bool _long;
    private readonly ulong _mask;
    private readonly uint _error;

    /// <param name="s">The processor.</param>
    /// <param name="op">The instruction that pushes; null for events.</param>
    /// <param name="segment">The stack segment; ignored for 64-bit stacks.</param>
    /// <param name="pointer">The stack pointer before the first push.</param>
    /// <param name="cpl">Privilege level of the accesses.</param>
    /// <param name="is64">Pointers are 64 bits wide, without limits.</param>
    /// <param name="error">Error code of the #SS where a push does not fit.</param>
    public StackWriter(CpuState* s, Op* op, in SegmentRegister segment, ulong pointer, int cpl, bool is64, uint error)
    {
        _s = s;
        _op = op;
        _segment = segment;
        _long = is64;
        _mask = is64 ? ulong.MaxValue : segment.Big ? 0xFFFF_FFFF : 0xFFFF;
        _error = error;
        _mode = ModeChange.AccessModeOf(s, cpl);
        Pointer = pointer & _mask;
    }

    /// <summary>The pointer after the pushes so far, within the width of the stack.</summary>
    public ulong Pointer { get; private set; }

    /// <summary>Pushes 2, 4 or 8 bytes; false after #SS or a page fault.</summary>
    public bool Push(int size, ulong value)
    {
        ulong pointer = (Pointer - (ulong)size) & _mask;
        ulong linear = pointer;
        bool fits;
        if (_long)
        {
            fits = Canonical.Is(_s, pointer) && Canonical.Is(_s, pointer + (ulong)(size - 1));
        }
        else
        {
            linear = (uint)(_segment.Base + pointer);
            SegmentRegister segment = _segment;
            fits = SegmentAccess.Allows(_s, &segment, pointer, size, true);
        }
        if (!fits)
        {
            Fault.Raise(_s, _op, Vector.StackFault, _error);
            return false;
        }
        if (!SlowMemory.Write(_s, _op, _mode, linear, (byte*)&value, size))
            return false;
        Pointer = pointer;
        return true;
    }

    /// <summary>Makes <see cref="Pointer"/> the stack pointer, of which only the width of the stack changes.</summary>
    public readonly void Commit()
    {
        if (_mask == ulong.MaxValue)
            _s->Rsp = Pointer;
        else if (_mask == 0xFFFF)
            *(ushort*)&_s->Rsp = (ushort)Pointer;
        else
            _s->Rsp = (uint)Pointer;
    }
}
