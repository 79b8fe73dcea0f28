using X86Virt.Engine.Memory;

namespace X86Virt.Engine.Processor;

/// <summary>Why translated code came back.</summary>
internal enum TranslationExit
{
    /// <summary>RIP is set: find the next translation, and chain <see cref="CpuState.ExitLink"/> to it.</summary>
    Dispatch,

    /// <summary>Execute <see cref="CpuState.ExitOp"/>, then go on at <see cref="CpuState.ExitResume"/>.</summary>
    Callout,
}

/// <summary>
/// The memory that translated code runs from, and the code that enters and leaves it. The guest cannot reach it: it is no guest memory, and
/// no mapping of it is both writable and executable.
/// </summary>
internal sealed unsafe class TranslationCache : IDisposable
{
    private readonly ExecutableMemory _memory;
    private readonly HostAssembler _assembler;
    private byte* _first;

    // Chained jumps, in lists by the unit they lead to; index 0 ends a list.
    private readonly List<Link> _links = [default];

    private struct Link
    {
        public byte* Jump;

        /// <summary>The displacement to its own exit, which unchaining puts back.</summary>
        public int Unchained;
        public int Next;
    }

    public TranslationCache(long size, HostAssembler assembler)
    {
        _memory = new ExecutableMemory(size);
        _assembler = assembler;
        WriteThunks();
    }

    public long Size => _memory.Size;
    public long Used => Next - _memory.WriteView;

    /// <summary>Where the next unit goes (write view).</summary>
    public byte* Next { get; private set; }

    /// <summary>Enters translated code: state, executable address; returns a <see cref="TranslationExit"/>.</summary>
    public delegate* unmanaged<CpuState*, byte*, int> Enter { get; private set; }

    /// <summary>Leave to have an entry executed: EAX is its offset, ECX where to go on (write view).</summary>
    public byte* CalloutThunk { get; private set; }

    /// <summary>Leave with RIP set: EAX is the jump to chain, or 0 (write view).</summary>
    public byte* DispatchThunk { get; private set; }

    public byte* ToExecutable(byte* written) => _memory.ToExecutable(written);

    /// <summary>Offsets of places, as exits name them.</summary>
    public uint OffsetOf(byte* written) => (uint)(written - _memory.WriteView);

    public byte* Written(uint offset) => _memory.WriteView + offset;

    public byte* Executable(uint offset) => _memory.ExecuteView + offset;

    public bool HasRoom(int bytes) => Next + bytes <= _memory.WriteView + _memory.Size;

    /// <summary>Keeps what the assembler wrote at <see cref="Next"/>.</summary>
    public void Commit() => Next = (byte*)(((nint)_assembler.Cursor + 15) & ~(nint)15);

    /// <summary>Forgets all translations. Only while none is being executed.</summary>
    public void Clear()
    {
        Next = _first;
        _links.RemoveRange(1, _links.Count - 1);
    }

    /// <summary>Jumps chained since the machine was made.</summary>
    public long ChainsMade { get; private set; }

    /// <summary>Jumps unchained because the unit that they led to was dropped.</summary>
    public long ChainsBroken { get; private set; }

    /// <summary>Makes a unit's jump lead straight to another unit.</summary>
    public void Chain(uint jump, Block* target)
    {
        byte* displacement = Written(jump);
        _links.Add(new Link { Jump = displacement, Unchained = *(int*)displacement, Next = target->LinksIn });
        target->LinksIn = _links.Count - 1;
        HostAssembler.Link(displacement, target->HostCode);
        ChainsMade++;
    }

    /// <summary>Makes every jump that was chained to a unit leave by its own exit again.</summary>
    public void Unchain(Block* target)
    {
        for (int i = target->LinksIn; i != 0; i = _links[i].Next)
        {
            *(int*)_links[i].Jump = _links[i].Unchained;
            ChainsBroken++;
        }
        target->LinksIn = 0;
    }

    private void WriteThunks()
    {
        HostAssembler a = _assembler;
        a.Cursor = _memory.WriteView;
        int[] saved = OperatingSystem.IsWindows() ? [3, 5, 6, 7, 12, 13, 14, 15] : [3, 5, 12, 13, 14, 15];
        int state = OperatingSystem.IsWindows() ? 1 : 7, target = OperatingSystem.IsWindows() ? 2 : 6;

        byte* enter = a.Cursor;
        foreach (int register in saved)
            a.Push(register);
        a.Move(8, HostAssembler.Rbx, state);
        a.Move(8, HostAssembler.Rax, target);
        for (int guest = 0; guest < 16; guest++)
        {
            if (RegisterMap.HostOf(guest) >= 0)
                a.Load(8, RegisterMap.HostOf(guest), HostAssembler.Rbx, guest * 8);
        }
        a.JumpRegister(HostAssembler.Rax);

        DispatchThunk = a.Cursor;
        a.Store(4, HostAssembler.Rax, HostAssembler.Rbx, CpuState.ExitLinkOffset);
        a.MoveImmediate(HostAssembler.Rax, (ulong)TranslationExit.Dispatch);
        byte* leave = a.Jump();
        CalloutThunk = a.Cursor;
        a.Store(4, HostAssembler.Rax, HostAssembler.Rbx, CpuState.ExitOpOffset);
        a.Store(4, HostAssembler.Rcx, HostAssembler.Rbx, CpuState.ExitResumeOffset);
        a.MoveImmediate(HostAssembler.Rax, (ulong)TranslationExit.Callout);
        a.Link(leave);
        for (int guest = 0; guest < 16; guest++)
        {
            if (RegisterMap.HostOf(guest) >= 0)
                a.Store(8, RegisterMap.HostOf(guest), HostAssembler.Rbx, guest * 8);
        }
        foreach (int register in saved.Reverse())
            a.Pop(register);
        a.Return();

        Enter = (delegate* unmanaged<CpuState*, byte*, int>)_memory.ToExecutable(enter);
        Commit();
        _first = Next;
    }

    public void Dispose() => _memory.Dispose();
}
