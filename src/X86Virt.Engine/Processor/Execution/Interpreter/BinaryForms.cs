namespace X86Virt.Engine.Processor;

/// <summary>The operand forms of a two-operand operation, one handler each; the JIT makes one body for each operation and size.</summary>
internal static unsafe class BinaryForms<TOperation> where TOperation : struct, IBinaryOperation
{
    /// <summary>Picks the handler by operand size (1, 2, 4, 8) and form.</summary>
    public static Handler Pick(int size, OperandForm form) => size switch
    {
        1 => Pick<byte>(form),
        2 => Pick<ushort>(form),
        4 => Pick<uint>(form),
        _ => Pick<ulong>(form),
    };

    private static Handler Pick<T>(OperandForm form) where T : unmanaged => form switch
    {
        OperandForm.RegisterRegister => &RegisterRegister<T>,
        OperandForm.RegisterImmediate => &RegisterImmediate<T>,
        OperandForm.RegisterMemory => &RegisterMemory<T>,
        OperandForm.MemoryRegister => &MemoryRegister<T>,
        _ => &MemoryImmediate<T>,
    };

    private static Op* RegisterRegister<T>(CpuState* s, Op* op) where T : unmanaged
    {
        ulong result = TOperation.Apply<T>(s, Operand.Register<T>(s, op->Destination), Operand.Register<T>(s, op->Source));
        if (TOperation.Writes)
            Operand.SetRegister<T>(s, op->Destination, result);
        return op + 1;
    }

    private static Op* RegisterImmediate<T>(CpuState* s, Op* op) where T : unmanaged
    {
        ulong result = TOperation.Apply<T>(s, Operand.Register<T>(s, op->Destination), Operand.Truncate<T>((ulong)op->Immediate));
        if (TOperation.Writes)
            Operand.SetRegister<T>(s, op->Destination, result);
        return op + 1;
    }

    private static Op* RegisterMemory<T>(CpuState* s, Op* op) where T : unmanaged
    {
        if (!Operand.ReadMemory<T>(s, op, out ulong b))
            return null;
        ulong result = TOperation.Apply<T>(s, Operand.Register<T>(s, op->Destination), b);
        if (TOperation.Writes)
            Operand.SetRegister<T>(s, op->Destination, result);
        return op + 1;
    }

    private static Op* MemoryRegister<T>(CpuState* s, Op* op) where T : unmanaged
        => Memory<T>(s, op, Operand.Register<T>(s, op->Destination));

    private static Op* MemoryImmediate<T>(CpuState* s, Op* op) where T : unmanaged
        => Memory<T>(s, op, Operand.Truncate<T>((ulong)op->Immediate));

    [System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.AggressiveInlining)]
    private static Op* Memory<T>(CpuState* s, Op* op, ulong b) where T : unmanaged
    {
        if (!TOperation.Writes)
        {
            if (!Operand.ReadMemory<T>(s, op, out ulong a))
                return null;
            TOperation.Apply<T>(s, a, b);
            return op + 1;
        }
        T* operand = Operand.ModifyMemory<T>(s, op);
        if (operand == null)
            return null;
        Operand.Store<T>(operand, TOperation.Apply<T>(s, Operand.Load<T>(operand), b));
        LinearMemory.Commit(s, op, operand);
        return op + 1;
    }
}

/// <summary>The operand forms of a one-operand operation.</summary>
internal static unsafe class UnaryForms<TOperation> where TOperation : struct, IUnaryOperation
{
    public static Handler Pick(int size, bool memory) => size switch
    {
        1 => memory ? &Memory<byte> : &Register<byte>,
        2 => memory ? &Memory<ushort> : &Register<ushort>,
        4 => memory ? &Memory<uint> : &Register<uint>,
        _ => memory ? &Memory<ulong> : &Register<ulong>,
    };

    private static Op* Register<T>(CpuState* s, Op* op) where T : unmanaged
    {
        Operand.SetRegister<T>(s, op->Destination, TOperation.Apply<T>(s, Operand.Register<T>(s, op->Destination)));
        return op + 1;
    }

    private static Op* Memory<T>(CpuState* s, Op* op) where T : unmanaged
    {
        T* operand = Operand.ModifyMemory<T>(s, op);
        if (operand == null)
            return null;
        Operand.Store<T>(operand, TOperation.Apply<T>(s, Operand.Load<T>(operand)));
        LinearMemory.Commit(s, op, operand);
        return op + 1;
    }
}
