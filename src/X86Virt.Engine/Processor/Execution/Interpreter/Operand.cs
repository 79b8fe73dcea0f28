using System.Runtime.CompilerServices;

namespace X86Virt.Engine.Processor;

/// <summary>
/// Operands as handlers use them. T is byte, ushort, uint or ulong and only fixes the size: values travel as ulong, truncated to T.
/// Writing a 32-bit general register clears its upper half; 8 and 16 bits leave the rest alone.
/// </summary>
public static unsafe class Operand
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Truncate<T>(ulong value) where T : unmanaged => sizeof(T) switch
    {
        1 => (byte)value,
        2 => (ushort)value,
        4 => (uint)value,
        _ => value,
    };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static long SignExtend<T>(ulong value) where T : unmanaged => sizeof(T) switch
    {
        1 => (sbyte)value,
        2 => (short)value,
        4 => (int)value,
        _ => (long)value,
    };

    /// <summary>A general register, or part of one, by its offset.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Register<T>(CpuState* s, byte offset) where T : unmanaged => Load<T>((byte*)s + offset);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SetRegister<T>(CpuState* s, byte offset, ulong value) where T : unmanaged
    {
        byte* register = (byte*)s + offset;
        if (sizeof(T) == 1)
            *register = (byte)value;
        else if (sizeof(T) == 2)
            *(ushort*)register = (ushort)value;
        else
            *(ulong*)register = sizeof(T) == 4 ? (uint)value : value;
    }

    /// <summary>Memory at a host address.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Load<T>(void* address) where T : unmanaged => sizeof(T) switch
    {
        1 => *(byte*)address,
        2 => Unsafe.ReadUnaligned<ushort>(address),
        4 => Unsafe.ReadUnaligned<uint>(address),
        _ => Unsafe.ReadUnaligned<ulong>(address),
    };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store<T>(void* address, ulong value) where T : unmanaged
    {
        if (sizeof(T) == 1)
            *(byte*)address = (byte)value;
        else if (sizeof(T) == 2)
            Unsafe.WriteUnaligned(address, (ushort)value);
        else if (sizeof(T) == 4)
            Unsafe.WriteUnaligned(address, (uint)value);
        else
            Unsafe.WriteUnaligned(address, value);
    }

    /// <summary>The effective address (offset in its segment) of the memory operand, wrapped to the address size.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong EffectiveAddress(CpuState* s, Op* op)
    {
        ulong address = *(ulong*)((byte*)s + op->Base) + (*(ulong*)((byte*)s + op->Index) << op->Scale) + (ulong)(long)op->Displacement;
        return (op->Flags & OpFlags.Narrow) == 0 ? address : Narrow(op, address);
    }

    /// <summary>Wraps an address computed from the effective one to the address size.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong WrapAddress(Op* op, ulong address) => (op->Flags & OpFlags.Narrow) == 0 ? address : Narrow(op, address);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Narrow(Op* op, ulong address)
        => (op->Flags & OpFlags.Address16) != 0 ? (ushort)address : (uint)address;

    /// <summary>The linear address of the memory operand, after segment checks; false after a fault.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Linear(CpuState* s, Op* op, int size, bool write, out ulong linear)
        => Linear(s, op, op->Segment, EffectiveAddress(s, op), size, write, out linear);

    /// <summary>The linear address of an offset in a segment, after the checks that <see cref="OpFlags.Checked"/> asks for.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Linear(CpuState* s, Op* op, Segment segment, ulong offset, int size, bool write, out ulong linear)
    {
        linear = offset + s->AddressBase[(int)segment];
        return (op->Flags & OpFlags.Checked) == 0 || SegmentAccess.Check(s, op, segment, offset, size, write, out linear);
    }

    /// <summary>Reads the memory operand; false after a fault.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool ReadMemory<T>(CpuState* s, Op* op, out ulong value) where T : unmanaged
    {
        value = 0;
        if (!Linear(s, op, sizeof(T), false, out ulong linear) || !LinearMemory.Read(s, op, linear, out T raw))
            return false;
        value = Load<T>(&raw);
        return true;
    }

    /// <summary>Writes the memory operand; false after a fault.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool WriteMemory<T>(CpuState* s, Op* op, ulong value) where T : unmanaged
    {
        if (!Linear(s, op, sizeof(T), true, out ulong linear))
            return false;
        T raw;
        Store<T>(&raw, value);
        return LinearMemory.Write(s, op, linear, raw);
    }

    /// <summary>Opens the memory operand for read-modify-write (<see cref="LinearMemory.Modify"/>); null after a fault.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T* ModifyMemory<T>(CpuState* s, Op* op) where T : unmanaged
        => Linear(s, op, sizeof(T), true, out ulong linear) ? LinearMemory.Modify<T>(s, op, linear) : null;
}
