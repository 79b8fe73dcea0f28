using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>Vector, MMX and x87 instructions in line: the host's registers hold the guest's, from the first use until translated code is left.</summary>
internal sealed unsafe partial class Translator
{
    // Units that are live for certain at this place of the unit.
    private DataUnits _live;

    /// <summary>Has the units' registers loaded unless they are; spoils the host's flags and RCX.</summary>
    private void EnsureLive(DataUnits units)
    {
        if ((units & ~_live & DataUnits.X87) != 0)
        {
            // The C# side builds the image; leaving for that unloads all units.
            _a.TestByte(HostAssembler.Rbx, CpuState.LiveUnitsOffset, (int)DataUnits.X87);
            byte* loaded = _a.JumpIf(HostCondition.NotEqual);
            byte* resume = _a.Cursor + 1;
            _a.MoveImmediate(HostAssembler.Rcx, 0);
            _a.JumpTo(_cache.Thunks.LoadX87);
            *(uint*)resume = _cache.OffsetOf(_a.Cursor);
            _a.Link(loaded);
            _live = DataUnits.X87;
        }
        if ((units & ~_live & DataUnits.Vector) != 0)
        {
            _a.TestByte(HostAssembler.Rbx, CpuState.LiveUnitsOffset, (int)DataUnits.Vector);
            byte* loaded = _a.JumpIf(HostCondition.NotEqual);
            _a.CallTo(_cache.Thunks.LoadVectors);
            _a.Link(loaded);
            _live |= DataUnits.Vector;
        }
    }

    private bool EmitDataUnit(in Instruction instruction, int i, DataUnits units)
    {
        if ((units & ~_live) != 0)
        {
            ClobberFlags(_needed[i]);
            EnsureLive(units);
        }
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Fnstsw when instruction.Op0Kind == OpKind.Register:
                // FNSTSW AX
                _a.Byte(0xDF);
                _a.Byte(0xE0);
                SetGuest(0, 2, HostAssembler.Rax);
                return true;
            case Mnemonic.Fldcw:
                return EmitLoadControl(instruction, i);
        }
        if (!EmitRenamed(instruction, i))
            return false;
        if (DataUnitsOf.MovesPointers(instruction))
            EmitX87Pointers(instruction, i);
        return true;
    }

    /// <summary>A control word that masks all exceptions is loaded in line; one that does not changes the mode.</summary>
    private bool EmitLoadControl(in Instruction instruction, int i)
    {
        const int Masks = X87State.ExceptionFlags;
        int firstStub = _stubCount;
        ClobberFlags(_needed[i]);
        EmitHostAddress(instruction, i, 2, write: false);
        _a.LoadZeroExtended16(HostAssembler.Rcx, HostAssembler.Rax, 0);
        _a.AluImmediate(HostAlu.And, 4, HostAssembler.Rcx, Masks);
        _a.AluImmediate(HostAlu.Cmp, 4, HostAssembler.Rcx, Masks);
        AddSlow(_a.JumpIf(HostCondition.NotEqual), i);
        // FLDCW [RAX]
        _a.Byte(0xD9);
        _a.Byte(0x28);
        ResumeHere(firstStub, i);
        return true;
    }

    /// <summary>What FNSTENV shows of the last instruction: where it was and what it addressed; leaves flags alone.</summary>
    private void EmitX87Pointers(in Instruction instruction, int i)
    {
        const int Pointer = CpuState.FxOffset + 8, DataPointer = CpuState.FxOffset + 16;
        const int Selector = CpuState.FxOffset + 160, DataSelector = CpuState.FxOffset + 162;
        Op* op = _ops + i;
        ulong rip = Wrap(_block->Rip + op->Offset);
        StoreConstant(rip, Pointer);
        CopySelector(Segment.Cs, Selector);
        if (!TranslationKinds.HasMemory(instruction))
            return;
        EmitEffectiveAddress(instruction, op, HostAssembler.Rax);
        _a.Store(8, HostAssembler.Rax, HostAssembler.Rbx, DataPointer);
        CopySelector(op->Segment, DataSelector);
    }

    private void CopySelector(Segment segment, int to)
    {
        _a.LoadZeroExtended16(HostAssembler.Rax, HostAssembler.Rbx, CpuState.SegmentsOffset + (int)segment * sizeof(SegmentRegister) + SegmentRegister.SelectorOffset);
        _a.Store(2, HostAssembler.Rax, HostAssembler.Rbx, to);
    }

    private void StoreConstant(ulong value, int offset)
    {
        if ((long)value == (int)value)
        {
            _a.StoreImmediate(8, HostAssembler.Rbx, offset, (int)value);
            return;
        }
        _a.MoveImmediate(HostAssembler.Rax, value);
        _a.Store(8, HostAssembler.Rax, HostAssembler.Rbx, offset);
    }
}
