using System.Runtime.CompilerServices;

namespace X86Virt.Engine.Processor;

/// <summary>An operation that reads one operand, from a register or memory, and leaves its results in registers and flags.</summary>
internal unsafe interface ISourceOperation
{
    /// <param name="s">The state.</param>
    /// <param name="op">The entry; <see cref="Op.Destination"/> is the first register operand.</param>
    /// <param name="value">The operand read, truncated to T.</param>
    /// <param name="other">The register operand that is neither the first one nor the one read.</param>
    /// <returns>False after a fault.</returns>
    static abstract bool Apply<T>(CpuState* s, Op* op, ulong value, byte other) where T : unmanaged;
}

/// <summary>Which register operand stands where a memory operand could.</summary>
internal enum RegisterSlot
{
    First,
    Second,
    Third,
}

/// <summary>The operand forms of an <see cref="ISourceOperation"/>.</summary>
internal static unsafe class SourceForms<TOperation> where TOperation : struct, ISourceOperation
{
    public static Handler Pick(int size, bool memory, RegisterSlot slot) => size switch
    {
        1 => Pick<byte>(memory, slot),
        2 => Pick<ushort>(memory, slot),
        4 => Pick<uint>(memory, slot),
        _ => Pick<ulong>(memory, slot),
    };

    private static Handler Pick<T>(bool memory, RegisterSlot slot) where T : unmanaged
        => memory ? &Memory<T> : slot switch
        {
            RegisterSlot.First => &First<T>,
            RegisterSlot.Second => &Second<T>,
            _ => &Third<T>,
        };

    private static Op* First<T>(CpuState* s, Op* op) where T : unmanaged
        => TOperation.Apply<T>(s, op, Operand.Register<T>(s, op->Destination), op->Source) ? op + 1 : null;

    private static Op* Second<T>(CpuState* s, Op* op) where T : unmanaged
        => TOperation.Apply<T>(s, op, Operand.Register<T>(s, op->Source), op->Base) ? op + 1 : null;

    private static Op* Third<T>(CpuState* s, Op* op) where T : unmanaged
        => TOperation.Apply<T>(s, op, Operand.Register<T>(s, op->Base), op->Source) ? op + 1 : null;

    private static Op* Memory<T>(CpuState* s, Op* op) where T : unmanaged
        => Operand.ReadMemory<T>(s, op, out ulong value) && TOperation.Apply<T>(s, op, value, op->Source) ? op + 1 : null;
}
