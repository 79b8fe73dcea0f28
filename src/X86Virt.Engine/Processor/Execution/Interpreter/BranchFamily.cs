using System.Runtime.CompilerServices;
using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>Near control transfers: Jcc, JMP, CALL, RET, LOOP, JCXZ. All end their block.</summary>
internal static unsafe class BranchFamily
{
    public static Handler Bind(in Instruction instruction, bool memory)
    {
        switch (instruction.FlowControl)
        {
            case FlowControl.ConditionalBranch when instruction.ConditionCode != ConditionCode.None && instruction.IsJccShortOrNear:
                return PickJcc((int)instruction.ConditionCode - 1, instruction.Op0Kind == OpKind.NearBranch16);
        }
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Jmp when instruction.IsJmpShortOrNear:
                return instruction.Op0Kind switch { OpKind.NearBranch16 => &Jmp<ushort>, OpKind.NearBranch32 => &Jmp<uint>, _ => &Jmp<ulong> };
            case Mnemonic.Jmp when instruction.IsJmpNearIndirect:
                return OperandShape.Size(instruction, 0) switch
                {
                    2 => memory ? &JmpMemory<ushort> : &JmpRegister<ushort>,
                    4 => memory ? &JmpMemory<uint> : &JmpRegister<uint>,
                    _ => memory ? &JmpMemory<ulong> : &JmpRegister<ulong>,
                };
            case Mnemonic.Call when instruction.IsCallNear:
                return instruction.Op0Kind switch { OpKind.NearBranch16 => &Call<ushort>, OpKind.NearBranch32 => &Call<uint>, _ => &Call<ulong> };
            case Mnemonic.Call when instruction.IsCallNearIndirect:
                return OperandShape.Size(instruction, 0) switch
                {
                    2 => memory ? &CallMemory<ushort> : &CallRegister<ushort>,
                    4 => memory ? &CallMemory<uint> : &CallRegister<uint>,
                    _ => memory ? &CallMemory<ulong> : &CallRegister<ulong>,
                };
            case Mnemonic.Ret:
                return instruction.Code switch
                {
                    Code.Retnw or Code.Retnw_imm16 => &Ret<ushort>,
                    Code.Retnd or Code.Retnd_imm16 => &Ret<uint>,
                    _ => &Ret<ulong>,
                };
            case Mnemonic.Loop or Mnemonic.Loope or Mnemonic.Loopne:
                return PickLoop(instruction);
            case Mnemonic.Jcxz:
                return instruction.Op0Kind == OpKind.NearBranch16 ? &Jcxz<ushort, ushort> : &Jcxz<ushort, uint>;
            case Mnemonic.Jecxz:
                return instruction.Op0Kind switch { OpKind.NearBranch16 => &Jcxz<uint, ushort>, OpKind.NearBranch32 => &Jcxz<uint, uint>, _ => &Jcxz<uint, ulong> };
            case Mnemonic.Jrcxz:
                return instruction.Op0Kind == OpKind.NearBranch16 ? &Jcxz<ulong, ushort> : &Jcxz<ulong, ulong>;
            default:
                return null;
        }
    }

    private static Handler PickJcc(int condition, bool word) => condition switch
    {
        0 => PickJcc<Cc0>(word),
        1 => PickJcc<Cc1>(word),
        2 => PickJcc<Cc2>(word),
        3 => PickJcc<Cc3>(word),
        4 => PickJcc<Cc4>(word),
        5 => PickJcc<Cc5>(word),
        6 => PickJcc<Cc6>(word),
        7 => PickJcc<Cc7>(word),
        8 => PickJcc<Cc8>(word),
        9 => PickJcc<Cc9>(word),
        10 => PickJcc<CcA>(word),
        11 => PickJcc<CcB>(word),
        12 => PickJcc<CcC>(word),
        13 => PickJcc<CcD>(word),
        14 => PickJcc<CcE>(word),
        _ => PickJcc<CcF>(word),
    };

    private static Handler PickJcc<TCondition>(bool word) where TCondition : struct, ICondition => word ? &Jcc16<TCondition> : &Jcc<TCondition>;

    private static Handler PickLoop(in Instruction instruction)
    {
        int counter = instruction.Code switch
        {
            Code.Loop_rel8_16_CX or Code.Loop_rel8_32_CX or Code.Loope_rel8_16_CX or Code.Loope_rel8_32_CX or Code.Loopne_rel8_16_CX or Code.Loopne_rel8_32_CX => 2,
            Code.Loop_rel8_16_RCX or Code.Loop_rel8_64_RCX or Code.Loope_rel8_16_RCX or Code.Loope_rel8_64_RCX or Code.Loopne_rel8_16_RCX or Code.Loopne_rel8_64_RCX => 8,
            _ => 4,
        };
        return counter switch
        {
            2 => PickLoop<ushort>(instruction),
            4 => PickLoop<uint>(instruction),
            _ => PickLoop<ulong>(instruction),
        };
    }

    private static Handler PickLoop<TCounter>(in Instruction instruction) where TCounter : unmanaged
    {
        bool word = instruction.Op0Kind == OpKind.NearBranch16;
        return instruction.Mnemonic switch
        {
            Mnemonic.Loop => word ? &Loop<TCounter, ushort> : &Loop<TCounter, ulong>,
            Mnemonic.Loope => word ? &Loope<TCounter, ushort> : &Loope<TCounter, ulong>,
            _ => word ? &Loopne<TCounter, ushort> : &Loopne<TCounter, ulong>,
        };
    }

    /// <summary>
    /// Checks a target and goes there; TWidth is the operand size, which truncates the target. Raises #GP on the branch itself.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Op* Go<TWidth>(CpuState* s, Op* op, ulong target) where TWidth : unmanaged
    {
        if (!Target<TWidth>(s, op, ref target))
            return null;
        s->Rip = target;
        return null;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool Target<TWidth>(CpuState* s, Op* op, ref ulong target) where TWidth : unmanaged
    {
        if (IsTarget<TWidth>(s, ref target))
            return true;
        Fault.GeneralProtection(s, op);
        return false;
    }

    /// <summary>Truncates a target to the operand size and says whether RIP may take it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsTarget<TWidth>(CpuState* s, ref ulong target) where TWidth : unmanaged
    {
        if (sizeof(TWidth) == 2)
            target = (ushort)target;
        if (s->Code64)
            return Canonical.Is(s, target);
        target = (uint)target;
        return target <= CpuState.Seg(s, Segment.Cs)->Limit;
    }

    private static Op* Jcc<TCondition>(CpuState* s, Op* op) where TCondition : struct, ICondition
    {
        if (TCondition.Holds(s->StatusFlags))
            return Go<ulong>(s, op, s->BlockRip + op->Offset + op->Length + (ulong)op->Immediate);
        s->Rip = Control.NextRip(s, op);
        return null;
    }

    private static Op* Jcc16<TCondition>(CpuState* s, Op* op) where TCondition : struct, ICondition
    {
        if (TCondition.Holds(s->StatusFlags))
            return Go<ushort>(s, op, s->BlockRip + op->Offset + op->Length + (ulong)op->Immediate);
        s->Rip = Control.NextRip(s, op);
        return null;
    }

    private static Op* Jmp<T>(CpuState* s, Op* op) where T : unmanaged
        => Go<T>(s, op, s->BlockRip + op->Offset + op->Length + (ulong)op->Immediate);

    private static Op* JmpRegister<T>(CpuState* s, Op* op) where T : unmanaged
        => GoIndirect<T>(s, op, Operand.Register<T>(s, op->Destination));

    private static Op* JmpMemory<T>(CpuState* s, Op* op) where T : unmanaged
        => Operand.ReadMemory<T>(s, op, out ulong target) ? GoIndirect<T>(s, op, target) : null;

    private static Op* GoIndirect<T>(CpuState* s, Op* op, ulong target) where T : unmanaged
    {
        if (!Target<T>(s, op, ref target))
            return null;
        CountIndirect(s);
        s->Rip = target;
        return null;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void CountIndirect(CpuState* s)
    {
        if (s->Cpl != 3)
            s->IndirectBranchCount++;
    }

    private static Op* Call<T>(CpuState* s, Op* op) where T : unmanaged
        => CallTo<T>(s, op, s->BlockRip + op->Offset + op->Length + (ulong)op->Immediate, indirect: false);

    private static Op* CallRegister<T>(CpuState* s, Op* op) where T : unmanaged
        => CallTo<T>(s, op, Operand.Register<T>(s, op->Destination), indirect: true);

    private static Op* CallMemory<T>(CpuState* s, Op* op) where T : unmanaged
        => Operand.ReadMemory<T>(s, op, out ulong target) ? CallTo<T>(s, op, target, indirect: true) : null;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Op* CallTo<T>(CpuState* s, Op* op, ulong target, bool indirect) where T : unmanaged
    {
        // The push comes first where both fault.
        if (!IsTarget<T>(s, ref target))
            return Stack.Probe<T>(s, op) ? Fault.GeneralProtection(s, op) : null;
        if (!Stack.Push<T>(s, op, Control.NextRip(s, op)))
            return null;
        if (indirect)
            CountIndirect(s);
        s->Rip = target;
        return null;
    }

    private static Op* Ret<T>(CpuState* s, Op* op) where T : unmanaged
    {
        if (!Stack.Peek<T>(s, op, 0, out ulong target) || !Target<T>(s, op, ref target))
            return null;
        Stack.Release(s, sizeof(T) + op->Immediate);
        CountIndirect(s);
        s->Rip = target;
        return null;
    }

    private static Op* Loop<TCounter, TWidth>(CpuState* s, Op* op) where TCounter : unmanaged where TWidth : unmanaged
        => LoopIf<TCounter, TWidth>(s, op, true);

    private static Op* Loope<TCounter, TWidth>(CpuState* s, Op* op) where TCounter : unmanaged where TWidth : unmanaged
        => LoopIf<TCounter, TWidth>(s, op, (s->StatusFlags & Flags.Zf) != 0);

    private static Op* Loopne<TCounter, TWidth>(CpuState* s, Op* op) where TCounter : unmanaged where TWidth : unmanaged
        => LoopIf<TCounter, TWidth>(s, op, (s->StatusFlags & Flags.Zf) == 0);

    private static Op* LoopIf<TCounter, TWidth>(CpuState* s, Op* op, bool condition) where TCounter : unmanaged where TWidth : unmanaged
    {
        ulong count = Operand.Truncate<TCounter>(s->Rcx - 1);
        ulong target = Control.NextRip(s, op);
        if (count != 0 && condition)
        {
            target = s->BlockRip + op->Offset + op->Length + (ulong)op->Immediate;
            if (!Target<TWidth>(s, op, ref target))
                return null;
        }
        Operand.SetRegister<TCounter>(s, 8, count);
        s->Rip = target;
        return null;
    }

    private static Op* Jcxz<TCounter, TWidth>(CpuState* s, Op* op) where TCounter : unmanaged where TWidth : unmanaged
    {
        if (Operand.Truncate<TCounter>(s->Rcx) == 0)
            return Go<TWidth>(s, op, s->BlockRip + op->Offset + op->Length + (ulong)op->Immediate);
        s->Rip = Control.NextRip(s, op);
        return null;
    }
}
