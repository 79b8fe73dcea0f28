using System.Runtime.Intrinsics.X86;
using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>Memory operands: the linear address, then the software TLB.</summary>
internal sealed unsafe partial class Translator
{
    /// <summary>Leaves the host address of an instruction's memory operand in RAX; spoils RCX, RDX and the host's flags.</summary>
    private void EmitHostAddress(in Instruction instruction, int i, int size, bool write)
    {
        EmitLinear(instruction, i, size, write);
        EmitTranslate(i, size, write);
    }

    /// <summary>Leaves the linear address in RAX.</summary>
    private void EmitLinear(in Instruction instruction, int i, int size, bool write)
    {
        Op* op = _ops + i;
        EmitEffectiveAddress(instruction, op, HostAssembler.Rax);
        int segment = (int)op->Segment;
        if ((_mode & CodeMode.SizeMask) == CodeMode.Code64)
        {
            if (op->Segment is Segment.Fs or Segment.Gs)
                _a.AluLoad(HostAlu.Add, 8, HostAssembler.Rax, HostAssembler.Rbx, CpuState.AddressBaseOffset + segment * 8);
            return;
        }
        if ((op->Flags & OpFlags.Checked) == 0)
            return;

        // The limit as it is now: the unit is for all segments.
        int register = CpuState.SegmentsOffset + segment * sizeof(SegmentRegister);
        _a.TestByte(HostAssembler.Rbx, write ? CpuState.WritableSegmentsOffset : CpuState.ReadableSegmentsOffset, 1 << segment);
        AddSlow(_a.JumpIf(HostCondition.Equal), i);
        _a.Load(4, HostAssembler.Rcx, HostAssembler.Rbx, register + 4);
        _a.AluImmediate(HostAlu.Sub, 4, HostAssembler.Rcx, size - 1);
        AddSlow(_a.JumpIf(HostCondition.Below), i);
        _a.Alu(HostAlu.Cmp, 4, HostAssembler.Rax, HostAssembler.Rcx);
        AddSlow(_a.JumpIf(HostCondition.Above), i);
        _a.AluLoad(HostAlu.Add, 4, HostAssembler.Rax, HostAssembler.Rbx, CpuState.AddressBaseOffset + segment * 8);
    }

    /// <summary>Offset in the segment, wrapped to the address size; leaves flags alone.</summary>
    private void EmitEffectiveAddress(in Instruction instruction, Op* op, int to)
    {
        bool narrow = (op->Flags & OpFlags.Narrow) != 0;
        int size = narrow ? 4 : 8;
        int displacement = op->Displacement;
        int index = GuestAt(op->Index), @base = GuestAt(op->Base);
        if (op->Base == CpuState.BlockRipOffset)
        {
            ulong target = instruction.MemoryDisplacement64;
            _a.MoveImmediate(to, narrow ? (uint)target : target);
            return;
        }
        if (@base < 0 && index < 0)
        {
            ulong absolute = instruction.MemoryDisplacement64;
            if ((op->Flags & OpFlags.Address16) != 0)
                absolute = (ushort)absolute;
            _a.MoveImmediate(to, narrow ? (uint)absolute : absolute);
            return;
        }

        int hostBase = @base < 0 ? -1 : HostRegister(@base, HostAssembler.Rcx);
        int hostIndex = index < 0 ? -1 : HostRegister(index, HostAssembler.Rdx);
        if (hostIndex < 0)
        {
            if (displacement == 0 && !narrow)
                _a.Move(8, to, hostBase);
            else
                _a.Lea(size, to, hostBase, displacement);
        }
        else if (hostBase < 0)
        {
            _a.LeaScaled(size, to, hostIndex, op->Scale, displacement);
        }
        else
        {
            _a.LeaIndexed(size, to, hostBase, hostIndex, op->Scale, displacement);
        }
        if ((op->Flags & OpFlags.Address16) != 0)
            _a.ZeroExtend16(to, to);
    }

    /// <summary>The guest register that an entry's address field names, or -1.</summary>
    private static int GuestAt(byte offset) => offset < 16 * 8 ? offset / 8 : -1;

    /// <summary>The host register of a guest register, which is loaded into <paramref name="scratch"/> if it has none.</summary>
    private int HostRegister(int guest, int scratch)
    {
        int host = RegisterMap.HostOf(guest);
        if (host != RegisterMap.InMemory)
            return host;
        _a.Load(8, scratch, HostAssembler.Rbx, guest * 8);
        return scratch;
    }

    /// <summary>From the linear address in RAX to the host address in RAX.</summary>
    private void EmitTranslate(int i, int size, bool write, bool stack = false)
    {
        EmitAddend(i, size, write, stack);
        _a.Alu(HostAlu.Add, 8, HostAssembler.Rax, HostAssembler.Rcx);
    }

    /// <summary>
    /// From the linear address in RAX to what must be added for the host address, in RCX: from the TLB, or from the slot of the group that the access is
    /// in. <paramref name="stack"/> tells an instruction's access to the stack from its memory operand.
    /// </summary>
    private void EmitAddend(int i, int size, bool write, bool stack = false)
    {
        int number = _groups.Holds(i, stack, size, write);
        if (number == AccessGroups.None)
        {
            AddSlow(EmitTlbCheck(0, size, write), i);
            EmitTlbAddend();
            return;
        }
        ref AccessGroups.Group group = ref _groups[number];
        int slot = CpuState.AccessGroupsOffset + group.Slot * sizeof(long);
        bool first = (_openGroups & 1 << group.Slot) == 0;
        byte* alone;
        if (first)
        {
            _openGroups |= 1 << group.Slot;
            alone = EmitTlbCheck((int)(group.First - _groups.Of(i, stack).Offset), (int)(group.End - group.First), group.Write);
            EmitTlbAddend();
            _a.Store(8, HostAssembler.Rcx, HostAssembler.Rbx, slot);
        }
        else
        {
            _a.Load(8, HostAssembler.Rcx, HostAssembler.Rbx, slot);
            _a.TestSelf(8, HostAssembler.Rcx);
            alone = _a.JumpIf(HostCondition.Equal);
        }
        AddSlow(alone, i);
        ref Stub stub = ref _stubs[_stubCount - 1];
        stub.Kind = StubKind.Alone;
        stub.Back = _a.Cursor;
        stub.Slot = first ? slot : 0;
        (stub.Size, stub.Write) = (size, write);
    }

    /// <summary>
    /// Looks for bytes from RAX + <paramref name="lowest"/> on in the TLB; leaves the entry's place in RCX, and returns the jump for where they are not there. One
    /// exclusive-or of tag and address is at most 4096 - <paramref name="span"/> exactly if the page matches and they all are in it.
    /// </summary>
    private byte* EmitTlbCheck(int lowest, int span, bool write)
    {
        int address = HostAssembler.Rax;
        if (lowest != 0)
        {
            address = HostAssembler.Rdx;
            _a.Lea((_mode & CodeMode.SizeMask) == CodeMode.Code64 ? 8 : 4, address, HostAssembler.Rax, lowest);
        }
        if (Bmi2.IsSupported)
        {
            _a.RotateRightTo(HostAssembler.Rcx, address, 7);
        }
        else
        {
            _a.Move(4, HostAssembler.Rcx, address);
            _a.ShiftRight(4, HostAssembler.Rcx, 7);
        }
        _a.AluImmediate(HostAlu.And, 4, HostAssembler.Rcx, (int)Tlb.IndexMask * sizeof(TlbEntry));
        int tag = _tlb + (write ? 8 : 0);
        if (lowest != 0)
        {
            _a.AluLoadIndexed(HostAlu.Xor, 8, address, HostAssembler.Rbx, HostAssembler.Rcx, 0, tag);
        }
        else
        {
            _a.LoadIndexed(8, HostAssembler.Rdx, HostAssembler.Rbx, HostAssembler.Rcx, 0, tag);
            _a.Alu(HostAlu.Xor, 8, HostAssembler.Rdx, HostAssembler.Rax);
        }
        _a.AluImmediate(HostAlu.Cmp, 8, HostAssembler.Rdx, 0x1000 - span);
        return _a.JumpIf(HostCondition.Above);
    }

    private void EmitTlbAddend() => _a.LoadIndexed(8, HostAssembler.Rcx, HostAssembler.Rbx, HostAssembler.Rcx, 0, _tlb + 24);

    /// <summary>An access of a group that is not all in a page that allows all of it: looks for itself alone.</summary>
    private void EmitAlone(in Stub stub)
    {
        if (stub.Slot != 0)
            _a.StoreImmediate(8, HostAssembler.Rbx, stub.Slot, 0);
        byte* slow = EmitTlbCheck(0, stub.Size, stub.Write);
        _stubs[_stubCount++] = stub with { Kind = StubKind.Slow, Jump = slow };
        EmitTlbAddend();
        _a.JumpTo(stub.Back);
    }
}
