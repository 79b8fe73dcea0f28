using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>
/// Accesses of a unit whose addresses differ by constants only: fields of one structure, slots of one stack frame. The first of a group looks in the
/// TLB for all of them, and leaves the host's addend in a slot of the state; the others take it from there. Any change of the TLB clears the slots, so
/// an addend that is in one is what another look would give.
/// </summary>
internal sealed unsafe class AccessGroups
{
    public const int None = -1;

    /// <summary>Bytes that the accesses of one group may be apart: the more, the more often one of them is in another page.</summary>
    private const int LargestSpan = 256;

    private const int MostCandidates = 32;

    // The value number of what is a constant, and the first one of what is not known.
    private const int Constant = 0, FirstUnknown = 17;

    private readonly InstructionInfoFactory _info = new();
    private readonly Value[] _values = new Value[16];
    private readonly Access[] _accesses = new Access[BlockDecoder.MaximumLimit * 2];
    private readonly Group[] _groups = new Group[MostCandidates];
    private int _count, _nextNumber;
    private bool _code64, _flat;

    /// <summary>What a register holds: an unknown number, and what was added to it.</summary>
    private struct Value
    {
        public int Number;
        public long Added;
    }

    /// <summary>What addresses have in common but for a constant.</summary>
    private readonly record struct Form(int Base, int Index, int Scale, Segment Segment);

    public struct Access
    {
        /// <summary>Its group, or <see cref="None"/>.</summary>
        public int Group;

        /// <summary>Where it is, from where the group's addresses are told.</summary>
        public long Offset;
        public int Size;
        public bool Write;
    }

    public struct Group
    {
        /// <summary>The bytes that its accesses reach.</summary>
        public long First, End;

        /// <summary>Some access writes.</summary>
        public bool Write;

        /// <summary>Its slot in the state, or <see cref="None"/> for a group that is not worth one.</summary>
        public int Slot;
        public int Members;
        internal int Base, Index, Scale;
        internal Segment Segment;
    }

    /// <summary>The memory operand of an instruction, or its access to the stack.</summary>
    public ref Access Of(int instruction, bool stack) => ref _accesses[instruction * 2 + (stack ? 1 : 0)];

    public ref Group this[int group] => ref _groups[group];

    /// <summary>The group that an access is in as the translator makes it, or <see cref="None"/>.</summary>
    public int Holds(int instruction, bool stack, int size, bool write)
    {
        ref Access access = ref Of(instruction, stack);
        return access.Group != None && _groups[access.Group].Slot != None && access.Size == size && (access.Write || !write) ? access.Group : None;
    }

    /// <summary>Forgets everything: no access is in a group.</summary>
    public void Clear(int instructions)
    {
        _count = 0;
        for (int i = 0; i < instructions * 2; i++)
            _accesses[i].Group = None;
    }

    /// <summary>Finds the groups of a unit.</summary>
    public void Find(ReadOnlySpan<Instruction> instructions, ReadOnlySpan<TranslationKind> kinds, Op* ops, CodeMode mode)
    {
        Clear(instructions.Length);
        if ((mode & CodeMode.SizeMask) == CodeMode.Code16)
            return;
        _code64 = (mode & CodeMode.SizeMask) == CodeMode.Code64;
        _flat = (mode & CodeMode.Flat) != 0;
        _nextNumber = FirstUnknown;
        for (int i = 0; i < _values.Length; i++)
            _values[i] = new Value { Number = i + 1 };
        for (int i = 0; i < instructions.Length; i++)
        {
            if (kinds[i] is TranslationKind.Memory or TranslationKind.InTc or TranslationKind.Branch)
            {
                if (TranslationKinds.HasMemory(instructions[i]))
                    AddOperand(instructions[i], i, ops + i);
                AddStack(instructions[i], i);
            }
            Follow(instructions[i], ops + i);
        }
        int slot = 0;
        for (int i = 0; i < _count; i++)
            _groups[i].Slot = _groups[i].Members > 1 && slot < CpuState.AccessGroupSlots ? slot++ : None;
    }

    private int Width => _code64 ? 8 : 4;

    private void AddOperand(in Instruction instruction, int i, Op* op)
    {
        if ((op->Flags & OpFlags.Address16) != 0 || (_code64 && (op->Flags & OpFlags.Address32) != 0) || FollowsPointer(instruction))
            return;
        Value address = AddressOf(instruction, op, out int index);
        Add(i, false, new Form(address.Number, index, op->Scale, op->Segment), address.Added, instruction.MemorySize.GetSize(), Writes(instruction));
    }

    /// <summary>A load over its own base: whoever follows a chain of pointers waits for it, and would wait for the slot too.</summary>
    private static bool FollowsPointer(in Instruction instruction)
        => instruction.Mnemonic == Mnemonic.Mov && instruction.Op0Kind == OpKind.Register && instruction.Op0Register == instruction.MemoryBase;

    /// <summary>Whether the memory operand is written; Iced knows, and is asked where it is not plain.</summary>
    private bool Writes(in Instruction instruction)
    {
        if (instruction.Op0Kind != OpKind.Memory)
            return false;
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Mov or Mnemonic.Add or Mnemonic.Sub or Mnemonic.And or Mnemonic.Or or Mnemonic.Xor or Mnemonic.Inc or Mnemonic.Dec or Mnemonic.Xchg:
                return true;
            case Mnemonic.Cmp or Mnemonic.Test or Mnemonic.Push or Mnemonic.Jmp or Mnemonic.Call:
                return false;
            default:
                return _info.GetInfo(instruction, InstructionInfoOptions.NoRegisterUsage | InstructionInfoOptions.NoMemoryUsage).Op0Access is not (OpAccess.Read or OpAccess.CondRead);
        }
    }

    /// <summary>The base's number, and all that is constant in an address; the index's number apart.</summary>
    private Value AddressOf(in Instruction instruction, Op* op, out int index)
    {
        index = Constant;
        if (op->Base == CpuState.BlockRipOffset || (op->Base >= 16 * 8 && op->Index >= 16 * 8))
            return new Value { Number = Constant, Added = (long)instruction.MemoryDisplacement64 };
        var address = new Value { Number = Constant, Added = op->Displacement };
        if (op->Base < 16 * 8)
        {
            address.Number = _values[op->Base / 8].Number;
            address.Added += _values[op->Base / 8].Added;
        }
        if (op->Index < 16 * 8)
        {
            index = _values[op->Index / 8].Number;
            address.Added += _values[op->Index / 8].Added << op->Scale;
        }
        return address;
    }

    private void AddStack(in Instruction instruction, int i)
    {
        int register = 4, displacement = 0;
        bool write = false;
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Push or Mnemonic.Call or Mnemonic.Pushfq or Mnemonic.Pushfd:
                write = true;
                displacement = -Width;
                break;
            case Mnemonic.Leave:
                register = 5;
                break;
            case Mnemonic.Pop or Mnemonic.Ret or Mnemonic.Popfq or Mnemonic.Popfd:
                break;
            default:
                return;
        }
        Add(i, true, new Form(_values[register].Number, Constant, 0, Segment.Ss), _values[register].Added + displacement, Width, write);
    }

    private void Add(int i, bool stack, in Form form, long offset, int size, bool write)
    {
        if (!_code64)
            offset = (int)offset;
        // Where segments are flat it does not matter by which one an address is reached.
        Segment segment = !_flat || form.Segment is Segment.Fs or Segment.Gs ? form.Segment : Segment.Ds;
        for (int g = _count - 1; g >= 0; g--)
        {
            ref Group group = ref _groups[g];
            if (group.Base != form.Base || group.Index != form.Index || group.Scale != form.Scale || group.Segment != segment)
                continue;
            long first = Math.Min(group.First, offset), end = Math.Max(group.End, offset + size);
            if (end - first > LargestSpan)
                continue;
            (group.First, group.End) = (first, end);
            group.Write |= write;
            group.Members++;
            Of(i, stack) = new Access { Group = g, Offset = offset, Size = size, Write = write };
            return;
        }
        if (_count == MostCandidates || size > LargestSpan)
            return;
        _groups[_count] = new Group
        {
            First = offset, End = offset + size, Write = write, Members = 1, Base = form.Base, Index = form.Index, Scale = form.Scale, Segment = segment,
        };
        Of(i, stack) = new Access { Group = _count++, Offset = offset, Size = size, Write = write };
    }

    /// <summary>What registers hold behind an instruction.</summary>
    private void Follow(in Instruction instruction, Op* op)
    {
        int target = instruction.OpCount > 0 && instruction.Op0Kind == OpKind.Register && instruction.Op0Register.GetSize() == Width
            ? RegisterMap.GuestOf(instruction.Op0Register) : -1;
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Add when target >= 0 && IsImmediate(instruction):
                _values[target].Added += (long)instruction.GetImmediate(1);
                return;
            case Mnemonic.Sub when target >= 0 && IsImmediate(instruction):
                _values[target].Added -= (long)instruction.GetImmediate(1);
                return;
            case Mnemonic.Inc when target >= 0:
                _values[target].Added++;
                return;
            case Mnemonic.Dec when target >= 0:
                _values[target].Added--;
                return;
            case Mnemonic.Mov when target >= 0 && instruction.Op1Kind == OpKind.Register && RegisterMap.GuestOf(instruction.Op1Register) >= 0:
                _values[target] = _values[RegisterMap.GuestOf(instruction.Op1Register)];
                return;
            case Mnemonic.Lea when target >= 0 && op->Index >= 16 * 8 && (op->Flags & (_code64 ? OpFlags.Narrow : OpFlags.Address16)) == 0:
                _values[target] = AddressOf(instruction, op, out _);
                return;
            case Mnemonic.Push or Mnemonic.Pushfq or Mnemonic.Pushfd when Math.Abs(instruction.StackPointerIncrement) == Width:
                _values[4].Added -= Width;
                return;
            case Mnemonic.Pop when target >= 0 && instruction.StackPointerIncrement == Width:
                _values[4].Added += Width;
                _values[target] = new Value { Number = _nextNumber++ };
                return;
            case Mnemonic.Popfq or Mnemonic.Popfd when instruction.StackPointerIncrement == Width:
                _values[4].Added += Width;
                return;
            case Mnemonic.Cmp or Mnemonic.Test or Mnemonic.Nop:
                return;
            case Mnemonic.Mov or Mnemonic.Movzx or Mnemonic.Movsx or Mnemonic.Movsxd or Mnemonic.Lea:
            case Mnemonic.Add or Mnemonic.Sub or Mnemonic.And or Mnemonic.Or or Mnemonic.Xor or Mnemonic.Inc or Mnemonic.Dec or Mnemonic.Shl or Mnemonic.Shr or Mnemonic.Sar:
                if (instruction.Op0Kind == OpKind.Register)
                    Forget(instruction.Op0Register);
                return;
        }
        if (instruction.IsJccShortOrNear)
            return;
        foreach (UsedRegister used in _info.GetInfo(instruction, InstructionInfoOptions.NoMemoryUsage).GetUsedRegisters())
        {
            if (used.Access is OpAccess.Read or OpAccess.CondRead or OpAccess.NoMemAccess or OpAccess.None)
                continue;
            Forget(used.Register);
        }
    }

    private void Forget(Register written)
    {
        int guest = RegisterMap.GuestOf(written);
        if (guest >= 0)
            _values[guest] = new Value { Number = _nextNumber++ };
    }

    private static bool IsImmediate(in Instruction instruction) => instruction.Op1Kind is not (OpKind.Register or OpKind.Memory);
}
