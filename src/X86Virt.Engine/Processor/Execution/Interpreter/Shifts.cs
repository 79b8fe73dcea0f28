using System.Runtime.CompilerServices;

namespace X86Virt.Engine.Processor;

/// <summary>
/// A shift or rotate by a count that is already masked and not 0. Where the manual leaves a flag undefined (AF; OF for counts above 1)
/// these do as AMD's Zen does: AF is set by shifts, and OF follows the rule for a count of 1.
/// </summary>
internal unsafe interface IShift
{
    static abstract ulong Apply<T>(CpuState* s, ulong value, int count) where T : unmanaged;
}

internal static unsafe class ShiftFlags
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint Top<T>(ulong value) where T : unmanaged => (uint)(value >> (sizeof(T) * 8 - 1)) & 1;

    /// <summary>Bit below the top one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint Second<T>(ulong value) where T : unmanaged => (uint)(value >> (sizeof(T) * 8 - 2)) & 1;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint Shift<T>(ulong result, uint carry, uint overflow) where T : unmanaged
        => Flags.SignZeroParity<T>(result) | (carry << 8) | overflow | Flags.Af;

    /// <summary>Rotates touch CF and OF only.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint Rotate(CpuState* s, uint carry, uint overflow)
        => (s->StatusFlags & ~(Flags.Cf | Flags.Of)) | (carry << 8) | overflow;
}

internal readonly unsafe struct Shl : IShift
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<T>(CpuState* s, ulong value, int count) where T : unmanaged
    {
        uint carry = ShiftFlags.Top<T>(value << (count - 1));
        ulong result = Operand.Truncate<T>(value << count);
        s->StatusFlags = ShiftFlags.Shift<T>(result, carry, carry ^ ShiftFlags.Top<T>(result));
        return result;
    }
}

internal readonly unsafe struct Shr : IShift
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<T>(CpuState* s, ulong value, int count) where T : unmanaged
    {
        ulong result = value >> count;
        s->StatusFlags = ShiftFlags.Shift<T>(result, (uint)(value >> (count - 1)) & 1, ShiftFlags.Second<T>(result));
        return result;
    }
}

internal readonly unsafe struct Sar : IShift
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<T>(CpuState* s, ulong value, int count) where T : unmanaged
    {
        long signed = Operand.SignExtend<T>(value);
        ulong result = Operand.Truncate<T>((ulong)(signed >> count));
        s->StatusFlags = ShiftFlags.Shift<T>(result, (uint)(signed >> (count - 1)) & 1, 0);
        return result;
    }
}

internal readonly unsafe struct Rol : IShift
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<T>(CpuState* s, ulong value, int count) where T : unmanaged
    {
        int bits = sizeof(T) * 8;
        count &= bits - 1;
        ulong result = count == 0 ? value : Operand.Truncate<T>((value << count) | (value >> (bits - count)));
        uint carry = (uint)result & 1;
        s->StatusFlags = ShiftFlags.Rotate(s, carry, carry ^ ShiftFlags.Top<T>(result));
        return result;
    }
}

internal readonly unsafe struct Ror : IShift
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<T>(CpuState* s, ulong value, int count) where T : unmanaged
    {
        int bits = sizeof(T) * 8;
        count &= bits - 1;
        ulong result = count == 0 ? value : Operand.Truncate<T>((value >> count) | (value << (bits - count)));
        uint carry = ShiftFlags.Top<T>(result);
        s->StatusFlags = ShiftFlags.Rotate(s, carry, carry ^ ShiftFlags.Second<T>(result));
        return result;
    }
}

/// <summary>Rotates through the carry: CF is bit 8, 16, 32 or 64 of the value that turns.</summary>
internal readonly unsafe struct Rcl : IShift
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<T>(CpuState* s, ulong value, int count) where T : unmanaged
    {
        int bits = sizeof(T) * 8;
        if (sizeof(T) <= 2)
            count %= bits + 1;
        uint carry = (s->StatusFlags >> 8) & 1;
        ulong result = value;
        if (count != 0)
        {
            ulong low = count == 1 ? 0 : value >> (bits + 1 - count);
            result = Operand.Truncate<T>((value << count) | ((ulong)carry << (count - 1)) | low);
            carry = (uint)(value >> (bits - count)) & 1;
        }
        s->StatusFlags = ShiftFlags.Rotate(s, carry, carry ^ ShiftFlags.Top<T>(result));
        return result;
    }
}

internal readonly unsafe struct Rcr : IShift
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<T>(CpuState* s, ulong value, int count) where T : unmanaged
    {
        int bits = sizeof(T) * 8;
        if (sizeof(T) <= 2)
            count %= bits + 1;
        uint carry = (s->StatusFlags >> 8) & 1;
        ulong result = value;
        if (count != 0)
        {
            ulong high = count == 1 ? 0 : value << (bits + 1 - count);
            result = Operand.Truncate<T>((count == 64 ? 0 : value >> count) | ((ulong)carry << (bits - count)) | high);
            carry = (uint)(value >> (count - 1)) & 1;
        }
        s->StatusFlags = ShiftFlags.Rotate(s, carry, ShiftFlags.Top<T>(result) ^ ShiftFlags.Second<T>(result));
        return result;
    }
}
