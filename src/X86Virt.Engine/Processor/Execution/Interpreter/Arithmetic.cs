using System.Runtime.CompilerServices;

namespace X86Virt.Engine.Processor;

/// <summary>An operation on two operands that sets the status flags.</summary>
internal unsafe interface IBinaryOperation
{
    /// <summary>False for CMP and TEST, which only set flags.</summary>
    static abstract bool Writes { get; }

    static abstract ulong Apply<T>(CpuState* s, ulong a, ulong b) where T : unmanaged;
}

/// <summary>An operation on one operand.</summary>
internal unsafe interface IUnaryOperation
{
    static abstract ulong Apply<T>(CpuState* s, ulong a) where T : unmanaged;
}

internal readonly unsafe struct Add : IBinaryOperation
{
    public static bool Writes => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<T>(CpuState* s, ulong a, ulong b) where T : unmanaged
    {
        ulong result = Operand.Truncate<T>(a + b);
        s->StatusFlags = Flags.Add<T>(a, b, result);
        return result;
    }
}

internal readonly unsafe struct Adc : IBinaryOperation
{
    public static bool Writes => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<T>(CpuState* s, ulong a, ulong b) where T : unmanaged
    {
        ulong result = Operand.Truncate<T>(a + b + ((s->StatusFlags >> 8) & 1));
        s->StatusFlags = Flags.Add<T>(a, b, result);
        return result;
    }
}

internal readonly unsafe struct Sub : IBinaryOperation
{
    public static bool Writes => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<T>(CpuState* s, ulong a, ulong b) where T : unmanaged
    {
        ulong result = Operand.Truncate<T>(a - b);
        s->StatusFlags = Flags.Subtract<T>(a, b, result);
        return result;
    }
}

internal readonly unsafe struct Sbb : IBinaryOperation
{
    public static bool Writes => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<T>(CpuState* s, ulong a, ulong b) where T : unmanaged
    {
        ulong result = Operand.Truncate<T>(a - b - ((s->StatusFlags >> 8) & 1));
        s->StatusFlags = Flags.Subtract<T>(a, b, result);
        return result;
    }
}

internal readonly unsafe struct Cmp : IBinaryOperation
{
    public static bool Writes => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<T>(CpuState* s, ulong a, ulong b) where T : unmanaged
    {
        s->StatusFlags = Flags.Subtract<T>(a, b, Operand.Truncate<T>(a - b));
        return a;
    }
}

internal readonly unsafe struct And : IBinaryOperation
{
    public static bool Writes => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<T>(CpuState* s, ulong a, ulong b) where T : unmanaged
    {
        ulong result = a & b;
        s->StatusFlags = Flags.Logic<T>(result);
        return result;
    }
}

internal readonly unsafe struct Test : IBinaryOperation
{
    public static bool Writes => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<T>(CpuState* s, ulong a, ulong b) where T : unmanaged
    {
        s->StatusFlags = Flags.Logic<T>(a & b);
        return a;
    }
}

internal readonly unsafe struct Or : IBinaryOperation
{
    public static bool Writes => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<T>(CpuState* s, ulong a, ulong b) where T : unmanaged
    {
        ulong result = a | b;
        s->StatusFlags = Flags.Logic<T>(result);
        return result;
    }
}

internal readonly unsafe struct Xor : IBinaryOperation
{
    public static bool Writes => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<T>(CpuState* s, ulong a, ulong b) where T : unmanaged
    {
        ulong result = a ^ b;
        s->StatusFlags = Flags.Logic<T>(result);
        return result;
    }
}

internal readonly unsafe struct Inc : IUnaryOperation
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<T>(CpuState* s, ulong a) where T : unmanaged
    {
        ulong result = Operand.Truncate<T>(a + 1);
        s->StatusFlags = (s->StatusFlags & Flags.Cf) | (Flags.Add<T>(a, 1, result) & ~Flags.Cf);
        return result;
    }
}

internal readonly unsafe struct Dec : IUnaryOperation
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<T>(CpuState* s, ulong a) where T : unmanaged
    {
        ulong result = Operand.Truncate<T>(a - 1);
        s->StatusFlags = (s->StatusFlags & Flags.Cf) | (Flags.Subtract<T>(a, 1, result) & ~Flags.Cf);
        return result;
    }
}

internal readonly unsafe struct Neg : IUnaryOperation
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<T>(CpuState* s, ulong a) where T : unmanaged
    {
        ulong result = Operand.Truncate<T>(0 - a);
        s->StatusFlags = Flags.Subtract<T>(0, a, result);
        return result;
    }
}

internal readonly unsafe struct Not : IUnaryOperation
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<T>(CpuState* s, ulong a) where T : unmanaged => Operand.Truncate<T>(~a);
}
