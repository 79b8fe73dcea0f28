using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>MOV between general registers, memory and immediates; MOVZX, MOVSX, MOVSXD, LEA, RDPID, NOP.</summary>
internal static unsafe class MoveFamily
{
    public static Handler Bind(in Instruction instruction, bool memory)
    {
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Mov when IsGeneral(instruction):
                return instruction.Code switch
                {
                    Code.Mov_AL_moffs8 or Code.Mov_AX_moffs16 or Code.Mov_EAX_moffs32 or Code.Mov_RAX_moffs64 => PickOffset(OperandShape.Size(instruction, 0), load: true),
                    Code.Mov_moffs8_AL or Code.Mov_moffs16_AX or Code.Mov_moffs32_EAX or Code.Mov_moffs64_RAX => PickOffset(OperandShape.Size(instruction, 0), load: false),
                    _ => PickMove(OperandShape.Size(instruction, 0), OperandShape.Form(instruction)),
                };
            case Mnemonic.Movzx:
                return PickExtend(OperandShape.Size(instruction, 0), OperandShape.Size(instruction, 1), memory, signed: false);
            case Mnemonic.Movsxd:
                // Its source has 32 bits whatever the operand size.
                return PickExtend(OperandShape.Size(instruction, 0), 4, memory, signed: true);
            case Mnemonic.Movsx:
                return PickExtend(OperandShape.Size(instruction, 0), OperandShape.Size(instruction, 1), memory, signed: true);
            case Mnemonic.Lea:
                return OperandShape.Size(instruction, 0) switch { 2 => &Lea<ushort>, 4 => &Lea<uint>, _ => &Lea<ulong> };
            case Mnemonic.Reservednop when instruction.Code is Code.Reservednop_rm16_r16_0F0D or Code.Reservednop_rm32_r32_0F0D or Code.Reservednop_rm64_r64_0F0D && !memory:
                // The PREFETCH group takes memory operands only.
                return null;
            case Mnemonic.Rdpid:
                return &ProcessorIdentity;
            case Mnemonic.Nop or Mnemonic.Endbr64 or Mnemonic.Endbr32 or Mnemonic.Reservednop or Mnemonic.Prefetcht0
                or Mnemonic.Prefetcht1 or Mnemonic.Prefetcht2 or Mnemonic.Prefetchnta or Mnemonic.Prefetchw or Mnemonic.Prefetch:
                return &Nothing;
            default:
                return null;
        }
    }

    private static bool IsGeneral(in Instruction instruction)
        => (instruction.Op0Kind != OpKind.Register || instruction.Op0Register.IsGPR())
            && (instruction.Op1Kind != OpKind.Register || instruction.Op1Register.IsGPR());

    private static Handler PickMove(int size, OperandForm form) => size switch
    {
        1 => PickMove<byte>(form),
        2 => PickMove<ushort>(form),
        4 => PickMove<uint>(form),
        _ => PickMove<ulong>(form),
    };

    private static Handler PickMove<T>(OperandForm form) where T : unmanaged => form switch
    {
        OperandForm.RegisterRegister => &RegisterRegister<T>,
        OperandForm.RegisterImmediate => &RegisterImmediate<T>,
        OperandForm.RegisterMemory => &Load<T>,
        OperandForm.MemoryRegister => &Store<T>,
        _ => &StoreImmediate<T>,
    };

    private static Handler PickOffset(int size, bool load) => size switch
    {
        1 => load ? &LoadOffset<byte> : &StoreOffset<byte>,
        2 => load ? &LoadOffset<ushort> : &StoreOffset<ushort>,
        4 => load ? &LoadOffset<uint> : &StoreOffset<uint>,
        _ => load ? &LoadOffset<ulong> : &StoreOffset<ulong>,
    };

    private static Handler PickExtend(int to, int from, bool memory, bool signed) => (to, from) switch
    {
        (2, 1) => PickExtend<ushort, byte>(memory, signed),
        (2, 2) => PickExtend<ushort, ushort>(memory, signed),
        (2, _) => PickExtend<ushort, uint>(memory, signed),
        (4, 1) => PickExtend<uint, byte>(memory, signed),
        (4, 2) => PickExtend<uint, ushort>(memory, signed),
        (4, _) => PickExtend<uint, uint>(memory, signed),
        (_, 1) => PickExtend<ulong, byte>(memory, signed),
        (_, 2) => PickExtend<ulong, ushort>(memory, signed),
        _ => PickExtend<ulong, uint>(memory, signed),
    };

    private static Handler PickExtend<TTo, TFrom>(bool memory, bool signed) where TTo : unmanaged where TFrom : unmanaged
        => signed ? memory ? &SignExtendMemory<TTo, TFrom> : &SignExtend<TTo, TFrom>
            : memory ? &ZeroExtendMemory<TTo, TFrom> : &ZeroExtend<TTo, TFrom>;

    private static Op* RegisterRegister<T>(CpuState* s, Op* op) where T : unmanaged
    {
        Operand.SetRegister<T>(s, op->Destination, Operand.Register<T>(s, op->Source));
        return op + 1;
    }

    private static Op* RegisterImmediate<T>(CpuState* s, Op* op) where T : unmanaged
    {
        Operand.SetRegister<T>(s, op->Destination, (ulong)op->Immediate);
        return op + 1;
    }

    private static Op* Load<T>(CpuState* s, Op* op) where T : unmanaged
    {
        if (!Operand.ReadMemory<T>(s, op, out ulong value))
            return null;
        Operand.SetRegister<T>(s, op->Destination, value);
        return op + 1;
    }

    private static Op* Store<T>(CpuState* s, Op* op) where T : unmanaged
        => Operand.WriteMemory<T>(s, op, Operand.Register<T>(s, op->Destination)) ? op + 1 : null;

    private static Op* StoreImmediate<T>(CpuState* s, Op* op) where T : unmanaged
        => Operand.WriteMemory<T>(s, op, (ulong)op->Immediate) ? op + 1 : null;

    /// <summary>The offset of a moffs form fills the immediate: it may be 64 bits wide.</summary>
    private static Op* LoadOffset<T>(CpuState* s, Op* op) where T : unmanaged
    {
        if (!Operand.Linear(s, op, op->Segment, (ulong)op->Immediate, sizeof(T), false, out ulong linear)
            || !LinearMemory.Read(s, op, linear, out T raw))
            return null;
        Operand.SetRegister<T>(s, op->Destination, Operand.Load<T>(&raw));
        return op + 1;
    }

    private static Op* StoreOffset<T>(CpuState* s, Op* op) where T : unmanaged
    {
        if (!Operand.Linear(s, op, op->Segment, (ulong)op->Immediate, sizeof(T), true, out ulong linear))
            return null;
        T raw;
        Operand.Store<T>(&raw, Operand.Register<T>(s, op->Destination));
        return LinearMemory.Write(s, op, linear, raw) ? op + 1 : null;
    }

    private static Op* ZeroExtend<TTo, TFrom>(CpuState* s, Op* op) where TTo : unmanaged where TFrom : unmanaged
    {
        Operand.SetRegister<TTo>(s, op->Destination, Operand.Register<TFrom>(s, op->Source));
        return op + 1;
    }

    private static Op* ZeroExtendMemory<TTo, TFrom>(CpuState* s, Op* op) where TTo : unmanaged where TFrom : unmanaged
    {
        if (!Operand.ReadMemory<TFrom>(s, op, out ulong value))
            return null;
        Operand.SetRegister<TTo>(s, op->Destination, value);
        return op + 1;
    }

    private static Op* SignExtend<TTo, TFrom>(CpuState* s, Op* op) where TTo : unmanaged where TFrom : unmanaged
    {
        Operand.SetRegister<TTo>(s, op->Destination, (ulong)Operand.SignExtend<TFrom>(Operand.Register<TFrom>(s, op->Source)));
        return op + 1;
    }

    private static Op* SignExtendMemory<TTo, TFrom>(CpuState* s, Op* op) where TTo : unmanaged where TFrom : unmanaged
    {
        if (!Operand.ReadMemory<TFrom>(s, op, out ulong value))
            return null;
        Operand.SetRegister<TTo>(s, op->Destination, (ulong)Operand.SignExtend<TFrom>(value));
        return op + 1;
    }

    private static Op* Lea<T>(CpuState* s, Op* op) where T : unmanaged
    {
        Operand.SetRegister<T>(s, op->Destination, Operand.EffectiveAddress(s, op));
        return op + 1;
    }

    /// <summary>RDPID: TSC_AUX, zero-extended.</summary>
    private static Op* ProcessorIdentity(CpuState* s, Op* op)
    {
        Operand.SetRegister<ulong>(s, op->Destination, (uint)s->TscAux);
        return op + 1;
    }

    private static Op* Nothing(CpuState* s, Op* op) => op + 1;
}
