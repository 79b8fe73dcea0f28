using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>Instructions on the accumulator alone: CBW, CWDE, CDQE, CWD, CDQ, CQO, XLAT, SALC.</summary>
internal static unsafe class AccumulatorFamily
{
    public static Handler Bind(in Instruction instruction) => instruction.Mnemonic switch
    {
        Mnemonic.Cbw => &Widen<ushort, byte>,
        Mnemonic.Cwde => &Widen<uint, ushort>,
        Mnemonic.Cdqe => &Widen<ulong, uint>,
        Mnemonic.Cwd => &SignFill<ushort>,
        Mnemonic.Cdq => &SignFill<uint>,
        Mnemonic.Cqo => &SignFill<ulong>,
        Mnemonic.Xlatb => &Translate,
        Mnemonic.Salc => &CarryFill,
        _ => null,
    };

    private static Op* Widen<TTo, TFrom>(CpuState* s, Op* op) where TTo : unmanaged where TFrom : unmanaged
    {
        Operand.SetRegister<TTo>(s, 0, (ulong)Operand.SignExtend<TFrom>(s->Rax));
        return op + 1;
    }

    private static Op* SignFill<T>(CpuState* s, Op* op) where T : unmanaged
    {
        Operand.SetRegister<T>(s, 16, (ulong)(Operand.SignExtend<T>(s->Rax) >> 63));
        return op + 1;
    }

    /// <summary>AL = [rBX + AL].</summary>
    private static Op* Translate(CpuState* s, Op* op)
    {
        ulong address = Operand.WrapAddress(op, s->Rbx + (byte)s->Rax);
        if (!Operand.Linear(s, op, op->Segment, address, 1, false, out ulong linear) || !LinearMemory.Read(s, op, linear, out byte value))
            return null;
        *(byte*)&s->Rax = value;
        return op + 1;
    }

    private static Op* CarryFill(CpuState* s, Op* op)
    {
        *(byte*)&s->Rax = (byte)((s->StatusFlags & Flags.Cf) != 0 ? 0xFF : 0);
        return op + 1;
    }
}
