using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>MOV, PUSH and POP of segment registers; LDS, LES, LFS, LGS, LSS.</summary>
internal static unsafe class SegmentFamily
{
    public static Handler Bind(in Instruction instruction, bool memory)
    {
        switch (instruction.Code)
        {
            case Code.Mov_rm16_Sreg or Code.Mov_r32m16_Sreg or Code.Mov_r64m16_Sreg:
                if (memory)
                    return &StoreMemory;
                return OperandShape.Size(instruction, 0) switch { 2 => &Store<ushort>, 4 => &Store<uint>, _ => &Store<ulong> };
            case Code.Mov_Sreg_rm16 or Code.Mov_Sreg_r32m16 or Code.Mov_Sreg_r64m16:
                // MOV to CS does not exist.
                if (instruction.Op0Register == Register.CS)
                    return null;
                return memory ? &LoadMemory : &Load;
        }
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Push when instruction.Op0Kind == OpKind.Register && instruction.Op0Register.IsSegmentRegister():
                return instruction.StackPointerIncrement switch { -2 => &Push<ushort>, -4 => &Push<uint>, _ => &Push<ulong> };
            case Mnemonic.Pop when instruction.Op0Kind == OpKind.Register && instruction.Op0Register.IsSegmentRegister():
                if (instruction.Op0Register == Register.CS)
                    return null;
                return instruction.StackPointerIncrement switch { 2 => &Pop<ushort>, 4 => &Pop<uint>, _ => &Pop<ulong> };
            case Mnemonic.Lds:
                return PickFar<DsSegment>(instruction);
            case Mnemonic.Les:
                return PickFar<EsSegment>(instruction);
            case Mnemonic.Lfs:
                return PickFar<FsSegment>(instruction);
            case Mnemonic.Lgs:
                return PickFar<GsSegment>(instruction);
            case Mnemonic.Lss:
                return PickFar<SsSegment>(instruction);
            default:
                return null;
        }
    }

    private interface ISegment
    {
        static abstract Segment Segment { get; }
    }

    private readonly struct DsSegment : ISegment { public static Segment Segment => Segment.Ds; }
    private readonly struct EsSegment : ISegment { public static Segment Segment => Segment.Es; }
    private readonly struct FsSegment : ISegment { public static Segment Segment => Segment.Fs; }
    private readonly struct GsSegment : ISegment { public static Segment Segment => Segment.Gs; }
    private readonly struct SsSegment : ISegment { public static Segment Segment => Segment.Ss; }

    private static Handler PickFar<TSegment>(in Instruction instruction) where TSegment : struct, ISegment
        => OperandShape.Size(instruction, 0) switch { 2 => &LoadFar<TSegment, ushort>, 4 => &LoadFar<TSegment, uint>, _ => &LoadFar<TSegment, ulong> };

    private static Op* Store<T>(CpuState* s, Op* op) where T : unmanaged
    {
        Operand.SetRegister<T>(s, op->Destination, CpuState.Seg(s, (Segment)op->Source)->Selector);
        return op + 1;
    }

    private static Op* StoreMemory(CpuState* s, Op* op)
        => Operand.WriteMemory<ushort>(s, op, CpuState.Seg(s, (Segment)op->Destination)->Selector) ? op + 1 : null;

    private static Op* Load(CpuState* s, Op* op)
        => SetSegment(s, op, (Segment)op->Destination, (ushort)Operand.Register<ushort>(s, op->Source)) ? Control.Complete(s, op) : null;

    private static Op* LoadMemory(CpuState* s, Op* op)
        => Operand.ReadMemory<ushort>(s, op, out ulong selector) && SetSegment(s, op, (Segment)op->Destination, (ushort)selector)
            ? Control.Complete(s, op) : null;

    /// <summary>MOV and POP of SS cast a shadow. LSS, which loads the pointer along with it, need not.</summary>
    private static bool SetSegment(CpuState* s, Op* op, Segment segment, ushort selector)
    {
        if (!SegmentLoad.Load(s, op, segment, selector))
            return false;
        if (segment == Segment.Ss)
            InstructionBoundary.CastShadow(s, op, InterruptShadow.MovSs);
        return true;
    }

    private static Op* Push<T>(CpuState* s, Op* op) where T : unmanaged
    {
        ulong selector = CpuState.Seg(s, (Segment)op->Destination)->Selector;
        if (sizeof(T) == 2)
            return Stack.Push<ushort>(s, op, selector) ? op + 1 : null;
        // Only the selector is written; the rest of the slot keeps what it held.
        ulong pointer = (s->Rsp - (ulong)sizeof(T)) & s->StackMask;
        if (!Stack.Linear(s, op, pointer, sizeof(ushort), true, out ulong linear) || !LinearMemory.Write(s, op, linear, (ushort)selector))
            return null;
        Stack.SetPointer(s, pointer);
        return op + 1;
    }

    private static Op* Pop<T>(CpuState* s, Op* op) where T : unmanaged
    {
        ulong mask = s->StackMask;
        if (!Stack.Peek<T>(s, op, 0, out ulong selector) || !SetSegment(s, op, (Segment)op->Destination, (ushort)selector))
            return null;
        // POP SS moves the pointer at the width of the stack it popped from.
        ulong pointer = (s->Rsp + (ulong)sizeof(T)) & mask;
        s->Rsp = mask == ulong.MaxValue || mask == uint.MaxValue ? pointer : (s->Rsp & ~mask) | pointer;
        return Control.Complete(s, op);
    }

    private static Op* LoadFar<TSegment, T>(CpuState* s, Op* op) where TSegment : struct, ISegment where T : unmanaged
    {
        if (!FarPointer.Read<T>(s, op, out ulong offset, out ushort selector) || !SegmentLoad.Load(s, op, TSegment.Segment, selector))
            return null;
        Operand.SetRegister<T>(s, op->Destination, offset);
        return Control.Complete(s, op);
    }
}

/// <summary>Far pointers in memory: the offset, then the selector.</summary>
internal static unsafe class FarPointer
{
    public static bool Read<T>(CpuState* s, Op* op, out ulong offset, out ushort selector) where T : unmanaged
    {
        offset = 0;
        selector = 0;
        ulong address = Operand.EffectiveAddress(s, op);
        if (!Operand.Linear(s, op, op->Segment, address, sizeof(T), false, out ulong linear)
            || !Operand.Linear(s, op, op->Segment, Operand.WrapAddress(op, address + (ulong)sizeof(T)), sizeof(ushort), false, out ulong linear2)
            || !LinearMemory.Read(s, op, linear, out T raw) || !LinearMemory.Read(s, op, linear2, out selector))
            return false;
        offset = Operand.Load<T>(&raw);
        return true;
    }
}
