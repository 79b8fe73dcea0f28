using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>Control flow: chained, looked up by a constant address, or looked up by a computed one.</summary>
internal sealed unsafe partial class Translator
{
    private bool EmitBranch(in Instruction instruction, int i)
    {
        if (instruction.IsJccShortOrNear)
            return EmitConditional(instruction, i);
        if ((_features & TranslationFeatures.InlineLookup) == 0 && !instruction.IsJmpShortOrNear && !instruction.IsCallNear)
            return false;
        return instruction.Mnemonic switch
        {
            Mnemonic.Jmp => EmitJump(instruction, i),
            Mnemonic.Call => EmitCall(instruction, i),
            Mnemonic.Syscall => EmitSystemCall(i),
            Mnemonic.Sysretq => EmitSystemReturn(i),
            _ => EmitReturn(i),
        };
    }

    private ulong TargetOf(in Instruction instruction) => Wrap(instruction.NearBranchTarget);

    private bool EmitConditional(in Instruction instruction, int i)
    {
        ulong target = TargetOf(instruction);
        if (!Reachable(target))
            return false;
        int ahead = _block->Count - i - 1;
        if (_flagsInHost && ahead == 0)
            SaveFlags();
        bool saves = _flagsInHost && !_flagsInState;
        HostCondition leaves = ConditionOf(instruction);
        if (ahead > 0 && target == _block->Rip)
        {
            // The next turn of an unrolled loop is in line.
            target = Wrap(_block->Rip + _block->Bytes);
            leaves = (HostCondition)((int)leaves ^ 1);
        }
        byte* left = _flagsInHost ? _a.JumpIf(leaves) : JumpIfInState((int)leaves);
        AddExit(SamePage(target) ? StubKind.Continuation : StubKind.Probe, left, target);
        _stubs[_stubCount - 1].Ahead = ahead;
        _stubs[_stubCount - 1].SavesFlags = saves;
        if (ahead == 0)
            EmitGoto(Wrap(_block->Rip + _block->Bytes));
        return true;
    }

    private static HostCondition ConditionOf(in Instruction instruction) => (HostCondition)((int)instruction.ConditionCode - 1);

    /// <summary>Tests a condition on the flags in the state, without loading them where one bit decides.</summary>
    private byte* JumpIfInState(int condition)
    {
        int mask = (condition >> 1) switch { 0 => 1, 1 => 1, 2 => 0x40, 3 => 0x41, 4 => 0x80, 5 => 4, _ => 0 };
        if (mask == 0)
        {
            LoadFlags();
            return _a.JumpIf((HostCondition)condition);
        }
        _a.TestByte(HostAssembler.Rbx, CpuState.StatusFlagsOffset + (condition >> 1 == 0 ? 0 : 1), mask);
        _flagsInHost = false;
        return _a.JumpIf((condition & 1) == 0 ? HostCondition.NotEqual : HostCondition.Equal);
    }

    /// <summary>A target the branch itself does not fault on.</summary>
    private bool Reachable(ulong target)
        => (_mode & CodeMode.SizeMask) != CodeMode.Code64 || Canonical.Is(_state, target);

    private bool SamePage(ulong target) => ((target ^ _block->Rip) & ~0xFFFUL) == 0 && _block->SecondPage < 0;

    /// <summary>Goes to a known address. Flags are in the state.</summary>
    private void EmitGoto(ulong target)
    {
        if (!SamePage(target))
        {
            EmitProbeConstant(target);
            return;
        }
        _goto = _a.Jump();
        _gotoTarget = target;
        AddExit(StubKind.Continuation, _goto, target);
    }

    /// <summary>Another page may have been mapped anew: the lookup table knows, and its entry for a known address is at a known place.</summary>
    private void EmitProbeConstant(ulong target)
    {
        if ((_features & TranslationFeatures.InlineLookup) == 0)
        {
            AddExit(StubKind.Exit, _a.Jump(), target);
            return;
        }
        EmitFindConstant(target);
        _a.JumpMemory(HostAssembler.Rbx, HostOf(target));
    }

    /// <summary>Leaves unless the table has the entry of a known address.</summary>
    private void EmitFindConstant(ulong target)
    {
        _a.MoveImmediate(HostAssembler.Rax, target >> CodeLookup.TagShift);
        _a.AluLoad(HostAlu.Xor, 8, HostAssembler.Rax, HostAssembler.Rbx, CpuState.LookupKeyOffset);
        _a.AluLoad(HostAlu.Cmp, 8, HostAssembler.Rax, HostAssembler.Rbx, CodeLookup.TagsOffset(_mode) + CodeLookup.Index(target) * sizeof(ulong));
        AddExit(StubKind.Exit, _a.JumpIf(HostCondition.NotEqual), target);
    }

    private int HostOf(ulong target) => CodeLookup.HostsOffset(_mode) + CodeLookup.Index(target) * sizeof(ulong);

    /// <summary>
    /// Looks up the address in RAX; leaves the number of its entry in RCX. Where it is not found the handler executes the branch, all of it.
    /// </summary>
    private void EmitProbe(int i)
    {
        EmitFind();
        AddSlow(_a.JumpIf(HostCondition.NotEqual), i);
    }

    /// <summary>Looks up the address in RAX: whether the host's comparison gave equal, and the number of its entry in RCX.</summary>
    private void EmitFind()
    {
        _a.Move(8, HostAssembler.Rdx, HostAssembler.Rax);
        _a.ShiftRight(8, HostAssembler.Rdx, CodeLookup.TagShift);
        _a.Move(4, HostAssembler.Rcx, HostAssembler.Rdx);
        _a.Alu(HostAlu.Xor, 4, HostAssembler.Rcx, HostAssembler.Rax);
        _a.AluImmediate(HostAlu.And, 4, HostAssembler.Rcx, CodeLookup.IndexMask);
        _a.AluLoad(HostAlu.Xor, 8, HostAssembler.Rdx, HostAssembler.Rbx, CpuState.LookupKeyOffset);
        _a.AluLoadIndexed(HostAlu.Cmp, 8, HostAssembler.Rdx, HostAssembler.Rbx, HostAssembler.Rcx, 3, CodeLookup.TagsOffset(_mode));
    }

    private void EmitJumpToEntry() => _a.JumpMemoryIndexed(HostAssembler.Rbx, HostAssembler.Rcx, 3, CodeLookup.HostsOffset(_mode));

    private bool EmitJump(in Instruction instruction, int i)
    {
        if (instruction.IsJmpShortOrNear)
        {
            if (!Reachable(TargetOf(instruction)))
                return false;
            SaveFlags();
            EmitGoto(TargetOf(instruction));
            return true;
        }
        ClobberFlags(FlagLiveness.Status);
        EmitTarget(instruction, i);
        EmitProbe(i);
        CountIndirectBranch();
        EmitJumpToEntry();
        return true;
    }

    /// <summary>An indirect branch's target into RAX.</summary>
    private void EmitTarget(in Instruction instruction, int i)
    {
        if (instruction.Op0Kind == OpKind.Register)
        {
            GetGuest(RegisterMap.GuestOf(instruction.Op0Register), HostAssembler.Rax);
            if (StackWidth == 4)
                _a.Move(4, HostAssembler.Rax, HostAssembler.Rax);
            return;
        }
        EmitLinear(instruction, i, StackWidth, write: false);
        EmitAddend(i, StackWidth, write: false);
        _a.LoadIndexed(StackWidth, HostAssembler.Rax, HostAssembler.Rax, HostAssembler.Rcx, 0, 0);
    }

    private bool EmitCall(in Instruction instruction, int i)
    {
        bool direct = instruction.IsCallNear;
        if (direct && !Reachable(TargetOf(instruction)))
            return false;
        ClobberFlags(FlagLiveness.Status);
        if (!direct)
        {
            EmitTarget(instruction, i);
            EmitProbe(i);
            _a.LoadIndexed(8, HostAssembler.Rdx, HostAssembler.Rbx, HostAssembler.Rcx, 3, CodeLookup.HostsOffset(_mode));
            _a.Store(8, HostAssembler.Rdx, HostAssembler.Rbx, CpuState.JumpTargetOffset);
        }
        int width = StackWidth;
        EmitStackAddress(-width, width, write: true, i);
        ulong next = Wrap(_block->Rip + _block->Bytes);
        if (width == 4 || (long)next == (int)next)
        {
            _a.StoreImmediate(width, HostAssembler.Rax, 0, (int)next);
        }
        else
        {
            _a.MoveImmediate(HostAssembler.Rcx, next);
            _a.Store(8, HostAssembler.Rcx, HostAssembler.Rax, 0);
        }
        MoveStackPointer(-width);
        if (!direct)
            CountIndirectBranch();
        ulong target = direct ? TargetOf(instruction) : 0;
        if (Remembers(next) && !(direct && target == next))
        {
            EmitRememberedCall(direct, target, next);
            return true;
        }
        if (direct)
            EmitGoto(target);
        else
            _a.JumpMemory(HostAssembler.Rbx, CpuState.JumpTargetOffset);
        return true;
    }

    private bool EmitReturn(int i)
    {
        ClobberFlags(FlagLiveness.Status);
        EmitLoadFromStack(i);
        if (HasReturnStack)
            EmitRememberedReturn(i);
        else
            EmitReturnByLookup(i);
        return true;
    }

    /// <summary>To the address in RAX.</summary>
    private void EmitReturnByLookup(int i)
    {
        EmitProbe(i);
        ReleaseReturn(i);
        EmitJumpToEntry();
    }

    private void ReleaseReturn(int i)
    {
        MoveStackPointer(StackWidth + (int)_ops[i].Immediate);
        CountIndirectBranch();
    }

    private void CountIndirectBranch()
    {
        if (!_user)
            _a.AluImmediateMemory(HostAlu.Add, 8, HostAssembler.Rbx, CpuState.IndirectBranchCountOffset, 1);
    }
}
