using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>
/// Translates one unit of guest code to host code. Reads as the list of its passes; each kind of instruction is emitted in a file of its own.
/// Between two instructions every guest register is exact: eleven in host registers, five in the state; status flags are in the host's
/// flags, in the state, or dead.
/// </summary>
internal sealed unsafe partial class Translator
{
    /// <summary>Host bytes that the longest unit can take, stubs included.</summary>
    private const int LargestUnit = BlockDecoder.MaximumLimit * 320;

    /// <summary>A push from memory through a checked segment has this many ways out.</summary>
    private const int StubsPerInstruction = 8;

    private readonly CpuState* _state;
    private readonly HostAssembler _a;
    private readonly TranslationCache _cache;
    private readonly BlockCache _blocks;
    private readonly Handler _invalid;
    private readonly TranslationFeatures _features;
    private readonly bool _profiles;
    private readonly Adaptation _adaptation;
    private readonly AccessGroups _groups = new();
    private readonly InstructionInfoFactory _info = new();
    private readonly TranslationKind[] _kinds = new TranslationKind[BlockDecoder.MaximumLimit];
    private Instruction _made;
    private readonly RflagsBits[] _needed = new RflagsBits[BlockDecoder.MaximumLimit + 1];

    // The unit being translated.
    private Block* _block;
    private Op* _ops;
    private CodeMode _mode;
    private int _tlb;
    private bool _user;
    private bool _flagsInHost;
    private bool _flagsInState;
    private int _stubCount;

    // A bit for each slot that an access before this place has filled.
    private int _openGroups;

    // The instruction that set the flags, if slow ways can make them again, and the one that overwrites them; whether they are nowhere else.
    private int _recipe, _recipeEnd;
    private bool _flagsInRecipe;

    // The jump to the next unit that the body ends in, and where it goes; what a unit translated next may follow without it.
    private byte* _goto;
    private ulong _gotoTarget;
    private Block* _previous;
    private readonly Stub[] _stubs = new Stub[BlockDecoder.MaximumLimit * StubsPerInstruction + 8];

    /// <summary>Code out of line, written behind the unit: a jump to it, and what it does.</summary>
    private struct Stub
    {
        public StubKind Kind;
        public byte* Jump;

        /// <summary>For a slow access: the entry to execute.</summary>
        public Op* Op;

        /// <summary>The instruction whose flags are to be made again before; -1 if the state has them.</summary>
        public int Recipe;
        public byte* Resume;
        public bool ReloadFlags;

        /// <summary>What must be loaded again where it goes on, as leaving unloads it.</summary>
        public DataUnits Live;

        /// <summary>For an access of a group: the slot that it fills, or 0; what it accesses, and where it goes on with the addend.</summary>
        public int Slot;
        public int Size;
        public bool Write;
        public byte* Back;

        /// <summary>For the others: where the guest goes.</summary>
        public ulong Target;

        /// <summary>For a way out of the middle: the unit's instructions behind it, which do not run.</summary>
        public int Ahead;

        /// <summary>The guest's flags are in the host's alone.</summary>
        public bool SavesFlags;
    }

    private enum StubKind
    {
        /// <summary>The unit did not run: its head found the budget exhausted.</summary>
        Head,

        /// <summary>Has an entry executed in place of host code, and goes on behind that.</summary>
        Slow,

        /// <summary>Looks in the TLB for one access of a group.</summary>
        Alone,

        /// <summary>Leaves, and sets RIP.</summary>
        Exit,

        /// <summary>Leaves with RIP set.</summary>
        Dispatch,

        /// <summary>The same, by a jump that may be chained.</summary>
        Continuation,

        /// <summary>Looks up a known address in another page.</summary>
        Probe,

        /// <summary>Forgets the calls remembered, for room for another.</summary>
        Full,

        /// <summary>Looks up a return that is not to the call remembered last.</summary>
        ReturnMiss,
    }

    public Translator(CpuState* state, TranslationCache cache, BlockCache blocks, HostAssembler assembler, TranslationOptions options, Adaptation adaptation, Handler invalid)
    {
        _state = state;
        _cache = cache;
        _blocks = blocks;
        _a = assembler;
        _invalid = invalid;
        _features = Supported(options.Features);
        _profiles = options.Profile;
        _adaptation = adaptation;
    }

    /// <summary>Windows may have the processor check that returns match calls, which leaving in the middle of calls does not pass.</summary>
    private static TranslationFeatures Supported(TranslationFeatures features)
        => OperatingSystem.IsWindows() ? features & ~TranslationFeatures.ReturnStack : features;

    public long Units { get; private set; }
    public long GuestInstructions { get; private set; }
    public long HostBytes { get; private set; }

    public bool HasRoom => _cache.HasRoom(LargestUnit);

    /// <summary>Translates a decoded block; its entries stay, as the callouts' operands.</summary>
    public void Translate(Block* block, ReadOnlySpan<Instruction> instructions, AccessMode accessMode, bool guest)
    {
        Begin(block, accessMode, guest);
        ChooseKinds(instructions);
        FlagLiveness.Find(instructions, _kinds.AsSpan(0, instructions.Length), _needed);
        if ((_features & TranslationFeatures.AccessGroups) != 0)
            _groups.Find(instructions, _kinds.AsSpan(0, instructions.Length), _ops, _mode);
        else
            _groups.Clear(instructions.Length);
        EmitHead();
        for (int i = 0; i < instructions.Length; i++)
        {
            TranslatedOp* made = Block.Translated(block) + i;
            *made = new TranslatedOp { HostOffset = (ushort)(_a.Cursor - block->HostCode), Kind = _kinds[i] };
            bool done = Emit(instructions[i], i);
            if (!done && _kinds[i] != TranslationKind.Simulate)
                made->Kind = TranslationKind.Callout;
            FindRecipe(instructions, i);
            if (i == instructions.Length - 1)
                EmitEnd(instructions[i], made->Kind);
        }
        byte* hotEnd = _a.Cursor;
        block->HostLength = (int)(hotEnd - block->HostCode);
        bool endsInJump = _goto != null && _goto + sizeof(int) == hotEnd;
        block->HostCold = _a.Cursor = _cache.NextCold;
        EmitStubs(instructions);
        block->HostColdLength = (int)(_a.Cursor - block->HostCold);
        _cache.Commit(hotEnd, endsInJump ? _goto : null);
        _previous = block;
        Units++;
        HostBytes += block->HostLength + block->HostColdLength;
        GuestInstructions += instructions.Length;
        if (!_user)
            Cpu.Of(_state).CountTranslated(instructions.Length);
    }

    /// <summary>Whether the unit translated last ends in a jump to this one, which need not be jumped then.</summary>
    private bool Follows(Block* block)
        => (_features & TranslationFeatures.Chaining) != 0 && _cache.EndsInJump && _previous->Valid && _gotoTarget == block->Rip && _previous->Mode == block->Mode
            && (_previous->Start ^ block->Start) >> 12 == 0 && block->SecondPage < 0;

    private void Begin(Block* block, AccessMode accessMode, bool guest)
    {
        _block = block;
        _ops = Block.Ops(block);
        _mode = block->Mode;
        _tlb = CpuState.TlbOffset + (guest ? Tlb.SizeInBytes : 0) + (int)accessMode * Tlb.Entries * sizeof(TlbEntry);
        _user = accessMode >= AccessMode.User;
        _flagsInHost = false;
        _flagsInState = true;
        _stubCount = 0;
        _openGroups = 0;
        _live = DataUnits.None;
        _recipe = _recipeEnd = -1;
        _flagsInRecipe = false;
        bool follows = Follows(block);
        if (follows)
            _previous->HostLength -= HostAssembler.JumpSize;
        _cache.Begin(follows);
        _goto = null;
        block->HostCode = _a.Cursor;
    }

    private void ChooseKinds(ReadOnlySpan<Instruction> instructions)
    {
        for (int i = 0; i < instructions.Length; i++)
        {
            _kinds[i] = TranslationKinds.Choose(instructions[i], _ops + i, _mode, _invalid);
            if (_adaptation.Any && _kinds[i] is TranslationKind.Memory or TranslationKind.InTc && _adaptation.Simulates(_block, _ops + i))
                _kinds[i] = TranslationKind.Simulate;
        }
    }

    /// <summary>One decrement counts the unit's instructions and notices the deadline.</summary>
    private void EmitHead()
    {
        _a.AluImmediateMemory(HostAlu.Sub, 8, HostAssembler.Rbx, CpuState.BudgetOffset, _block->Count);
        AddExit(StubKind.Head, _a.JumpIf(HostCondition.Sign), _block->Rip);
        if (!_profiles)
            return;
        _a.MoveImmediate(HostAssembler.Rax, (ulong)&_block->Executions);
        _a.AluImmediateMemory(HostAlu.Add, 8, HostAssembler.Rax, 0, 1);
    }

    /// <summary>Emits an instruction as its kind says; false if that has no form for it, and it calls out.</summary>
    private bool Emit(in Instruction instruction, int i)
    {
        byte* start = _a.Cursor;
        int stubs = _stubCount;
        (bool inHost, bool inState, bool inRecipe, DataUnits live, int open) = (_flagsInHost, _flagsInState, _flagsInRecipe, _live, _openGroups);
        bool done = _kinds[i] switch
        {
            TranslationKind.Register or TranslationKind.Memory => EmitData(instruction, i),
            TranslationKind.InTc => EmitSequence(instruction, i),
            TranslationKind.Branch => EmitBranch(instruction, i),
            _ => false,
        };
        if (done)
            return true;
        _a.Cursor = start;
        _stubCount = stubs;
        (_flagsInHost, _flagsInState, _flagsInRecipe, _live, _openGroups) = (inHost, inState, inRecipe, live, open);
        EmitCallout(i);
        return false;
    }

    /// <summary>Behind instruction <paramref name="i"/>: whether the flags that are in the host now can be made again for as long as they matter.</summary>
    private void FindRecipe(ReadOnlySpan<Instruction> instructions, int i)
    {
        if (i == _recipeEnd)
            (_recipe, _recipeEnd, _flagsInRecipe) = (-1, -1, false);
        if (!_flagsInHost || _flagsInState || FlagLiveness.Modified(instructions[i]) == RflagsBits.None)
            return;
        _recipeEnd = FlagRecipe.Until(instructions, _kinds.AsSpan(0, instructions.Length), i, _info);
        _recipe = _recipeEnd < 0 ? -1 : i;
        _made = instructions[i];
    }

    /// <summary>Makes the flags of an instruction again from what it worked on, and saves them; spoils RAX and RCX.</summary>
    private void EmitRecipe(in Instruction made)
    {
        Instruction again = made;
        again.Code = CodeForms.General(made.Code);
        GetGuest(RegisterMap.GuestOf(made.Op0Register), HostAssembler.Rcx);
        again.Op0Register = RegisterMap.AtWidth(HostAssembler.Rcx, made.Op0Register);
        switch (made.Mnemonic)
        {
            case Mnemonic.And or Mnemonic.Or or Mnemonic.Xor:
                _a.TestSelf(made.Op0Register.GetSize(), HostAssembler.Rcx);
                break;
            default:
                if (made.Op1Kind == OpKind.Register)
                {
                    GetGuest(RegisterMap.GuestOf(made.Op1Register), HostAssembler.Rax);
                    again.Op1Register = RegisterMap.AtWidth(HostAssembler.Rax, made.Op1Register);
                }
                if (made.Mnemonic is Mnemonic.Add or Mnemonic.Sub)
                {
                    Instruction undo = again;
                    undo.Code = CodeForms.Opposite(again.Code);
                    _a.Encode(undo);
                }
                _a.Encode(again);
                break;
        }
        _a.FlagsToAx();
        _a.Store(2, HostAssembler.Rax, HostAssembler.Rbx, CpuState.StatusFlagsOffset);
    }

    /// <summary>Has the interpreter's handler execute the instruction, here and always.</summary>
    private void EmitCallout(int i)
    {
        if (_flagsInRecipe)
        {
            EmitRecipe(_made);
            _flagsInRecipe = false;
            _flagsInState = true;
        }
        // Whatever liveness says: the handler may read flags, and it leaves its own in the state.
        SaveFlags();
        _a.MoveImmediate(HostAssembler.Rax, OffsetOf(_ops + i));
        byte* resume = _a.Cursor + 1;
        _a.MoveImmediate(HostAssembler.Rcx, 0);
        _a.JumpTo(_cache.Thunks.Callout);
        *(uint*)resume = _cache.OffsetOf(_a.Cursor);
        _flagsInHost = false;
        _flagsInState = true;
        _live = DataUnits.None;
    }

    private uint OffsetOf(Op* op) => (uint)((byte*)op - _blocks.Arena);

    /// <summary>What follows the last instruction: on to the next address, unless it is a branch, or its handler has the dispatch loop look up.</summary>
    private void EmitEnd(in Instruction last, TranslationKind kind)
    {
        if (kind == TranslationKind.Branch || (BlockEnd.Is(last) && kind is TranslationKind.Callout or TranslationKind.Simulate))
            return;
        SaveFlags();
        EmitGoto(Wrap(_block->Rip + _block->Bytes));
    }

    private ulong Wrap(ulong rip) => (_mode & CodeMode.SizeMask) == CodeMode.Code64 ? rip : (uint)rip;

    private void SaveFlags()
    {
        if (!_flagsInHost || _flagsInState)
            return;
        _a.FlagsToAx();
        _a.Store(2, HostAssembler.Rax, HostAssembler.Rbx, CpuState.StatusFlagsOffset);
        _flagsInState = true;
    }

    /// <summary>Brings the guest's flags into the host's; spoils RAX.</summary>
    private void LoadFlags()
    {
        if (_flagsInHost)
            return;
        _a.LoadZeroExtended16(HostAssembler.Rax, HostAssembler.Rbx, CpuState.StatusFlagsOffset);
        _a.FlagsFromAx();
        _flagsInHost = true;
    }

    /// <summary>Before host code that changes the host's flags for its own ends.</summary>
    private void ClobberFlags(RflagsBits needed)
    {
        if (needed != RflagsBits.None && _recipe >= 0 && _flagsInHost && !_flagsInState)
            _flagsInRecipe = true;
        else if (needed != RflagsBits.None)
            SaveFlags();
        _flagsInHost = false;
    }

    private void AddSlow(byte* jump, int i) => _stubs[_stubCount++] = new Stub { Kind = StubKind.Slow, Jump = jump, Op = _ops + i, Recipe = _flagsInRecipe ? _recipe : -1 };

    private void AddExit(StubKind kind, byte* jump, ulong target) => _stubs[_stubCount++] = new Stub { Kind = kind, Jump = jump, Target = target };

    /// <summary>Says where slow accesses added since <paramref name="from"/> go on, and whether flags are expected in the host then.</summary>
    private void ResumeHere(int from, int i)
    {
        for (int k = from; k < _stubCount; k++)
        {
            if (_stubs[k].Kind is not (StubKind.Slow or StubKind.Alone))
                continue;
            _stubs[k].Resume = _a.Cursor;
            _stubs[k].ReloadFlags = _flagsInHost && _needed[i + 1] != RflagsBits.None;
            _stubs[k].Live = _live;
        }
    }

    private void EmitStubs(ReadOnlySpan<Instruction> instructions)
    {
        // Probes add exits while they are written.
        for (int k = 0; k < _stubCount; k++)
        {
            Stub stub = _stubs[k];
            _a.Link(stub.Jump);
            switch (stub.Kind)
            {
                case StubKind.Head:
                    _a.AluImmediateMemory(HostAlu.Add, 8, HostAssembler.Rbx, CpuState.BudgetOffset, _block->Count);
                    EmitExit(stub.Target, null);
                    _block->HostExit = _a.Cursor;
                    EmitExit(stub.Target, (_features & TranslationFeatures.Chaining) != 0 ? _block->HostCode + HostAssembler.JumpSize - sizeof(int) : null);
                    break;
                case StubKind.Slow:
                    if (stub.Recipe >= 0)
                        EmitRecipe(instructions[stub.Recipe]);
                    EmitSlow(ref stub);
                    break;
                case StubKind.Dispatch:
                    _a.MoveImmediate(HostAssembler.Rax, 0);
                    _a.JumpTo(_cache.Thunks.Dispatch);
                    break;
                case StubKind.Alone:
                    EmitAlone(stub);
                    break;
                case StubKind.Full:
                    EmptyReturnStack();
                    _a.JumpTo(stub.Resume);
                    break;
                case StubKind.ReturnMiss:
                    EmptyReturnStack();
                    EmitReturnByLookup(stub.Op->Ordinal);
                    break;
                case StubKind.Probe:
                    EmitLeaving(stub);
                    EmitProbeConstant(stub.Target);
                    break;
                default:
                    if (EmitLeaving(stub))
                    {
                        stub.Jump = _a.Jump();
                        _a.Link(stub.Jump);
                    }
                    EmitExit(stub.Target, stub.Kind == StubKind.Continuation && (_features & TranslationFeatures.Chaining) != 0 ? stub.Jump : null);
                    break;
            }
        }
    }

    /// <summary>What a way out of the middle of the unit owes the next one; false if nothing.</summary>
    private bool EmitLeaving(in Stub stub)
    {
        if (stub.Ahead == 0)
            return false;
        if (stub.SavesFlags)
        {
            _a.FlagsToAx();
            _a.Store(2, HostAssembler.Rax, HostAssembler.Rbx, CpuState.StatusFlagsOffset);
        }
        _a.AluImmediateMemory(HostAlu.Add, 8, HostAssembler.Rbx, CpuState.BudgetOffset, stub.Ahead);
        return true;
    }

    private void EmitSlow(ref Stub stub)
    {
        _a.MoveImmediate(HostAssembler.Rax, OffsetOf(stub.Op));
        byte* resume = _a.Cursor + 1;
        _a.MoveImmediate(HostAssembler.Rcx, 0);
        _a.JumpTo(_cache.Thunks.Callout);
        if (stub.Resume == null)
            return;
        if (!stub.ReloadFlags && stub.Live == DataUnits.None)
        {
            *(uint*)resume = _cache.OffsetOf(stub.Resume);
            return;
        }
        *(uint*)resume = _cache.OffsetOf(_a.Cursor);
        _live = DataUnits.None;
        EnsureLive(stub.Live);
        if (stub.ReloadFlags)
        {
            _a.LoadZeroExtended16(HostAssembler.Rax, HostAssembler.Rbx, CpuState.StatusFlagsOffset);
            _a.FlagsFromAx();
        }
        _a.JumpTo(stub.Resume);
    }

    private void EmitExit(ulong target, byte* link)
    {
        if ((long)target == (int)target)
        {
            _a.StoreImmediate(8, HostAssembler.Rbx, CpuState.RipOffset, (int)target);
        }
        else
        {
            _a.MoveImmediate(HostAssembler.Rax, target);
            _a.Store(8, HostAssembler.Rax, HostAssembler.Rbx, CpuState.RipOffset);
        }
        _a.MoveImmediate(HostAssembler.Rax, link == null ? 0 : _cache.OffsetOf(link));
        _a.JumpTo(_cache.Thunks.Dispatch);
    }
}
