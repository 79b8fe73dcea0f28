using System.Runtime.CompilerServices;
using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>SHL, SHR, SAR, ROL, ROR, RCL, RCR, SHLD, SHRD (AMD volume 3). A masked count of 0 leaves every flag.</summary>
internal static unsafe class ShiftFamily
{
    public static Handler Bind(in Instruction instruction, bool memory)
    {
        Mnemonic mnemonic = instruction.Mnemonic;
        switch (mnemonic)
        {
            case Mnemonic.Shl or Mnemonic.Sal or Mnemonic.Shr or Mnemonic.Sar or Mnemonic.Rol or Mnemonic.Ror or Mnemonic.Rcl or Mnemonic.Rcr:
                break;
            case Mnemonic.Shld:
                return PickDouble<ShiftLeftDouble>(instruction, memory);
            case Mnemonic.Shrd:
                return PickDouble<ShiftRightDouble>(instruction, memory);
            default:
                return null;
        }
        int size = OperandShape.Size(instruction, 0);
        bool byCl = instruction.Op1Kind == OpKind.Register;
        return mnemonic switch
        {
            Mnemonic.Shl or Mnemonic.Sal => Pick<Shl>(size, memory, byCl),
            Mnemonic.Shr => Pick<Shr>(size, memory, byCl),
            Mnemonic.Sar => Pick<Sar>(size, memory, byCl),
            Mnemonic.Rol => Pick<Rol>(size, memory, byCl),
            Mnemonic.Ror => Pick<Ror>(size, memory, byCl),
            Mnemonic.Rcl => Pick<Rcl>(size, memory, byCl),
            _ => Pick<Rcr>(size, memory, byCl),
        };
    }

    private static Handler Pick<TShift>(int size, bool memory, bool byCl) where TShift : struct, IShift => size switch
    {
        1 => Pick<TShift, byte>(memory, byCl),
        2 => Pick<TShift, ushort>(memory, byCl),
        4 => Pick<TShift, uint>(memory, byCl),
        _ => Pick<TShift, ulong>(memory, byCl),
    };

    private static Handler Pick<TShift, T>(bool memory, bool byCl) where TShift : struct, IShift where T : unmanaged
        => memory ? byCl ? &MemoryCl<TShift, T> : &MemoryImmediate<TShift, T>
            : byCl ? &RegisterCl<TShift, T> : &RegisterImmediate<TShift, T>;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Mask<T>(long count) where T : unmanaged => (int)count & (sizeof(T) == 8 ? 63 : 31);

    private static Op* RegisterImmediate<TShift, T>(CpuState* s, Op* op) where TShift : struct, IShift where T : unmanaged
        => Register<TShift, T>(s, op, Mask<T>(op->Immediate));

    private static Op* RegisterCl<TShift, T>(CpuState* s, Op* op) where TShift : struct, IShift where T : unmanaged
        => Register<TShift, T>(s, op, Mask<T>((long)s->Rcx));

    private static Op* MemoryImmediate<TShift, T>(CpuState* s, Op* op) where TShift : struct, IShift where T : unmanaged
        => Memory<TShift, T>(s, op, Mask<T>(op->Immediate));

    private static Op* MemoryCl<TShift, T>(CpuState* s, Op* op) where TShift : struct, IShift where T : unmanaged
        => Memory<TShift, T>(s, op, Mask<T>((long)s->Rcx));

    /// <summary>The result is written even for a count of 0: a 32-bit operand loses its upper half.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Op* Register<TShift, T>(CpuState* s, Op* op, int count) where TShift : struct, IShift where T : unmanaged
    {
        ulong value = Operand.Register<T>(s, op->Destination);
        Operand.SetRegister<T>(s, op->Destination, count == 0 ? value : TShift.Apply<T>(s, value, count));
        return op + 1;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Op* Memory<TShift, T>(CpuState* s, Op* op, int count) where TShift : struct, IShift where T : unmanaged
    {
        T* operand = Operand.ModifyMemory<T>(s, op);
        if (operand == null)
            return null;
        if (count != 0)
            Operand.Store<T>(operand, TShift.Apply<T>(s, Operand.Load<T>(operand), count));
        LinearMemory.Commit(s, op, operand);
        return op + 1;
    }

    /// <summary>A shift of one operand with bits coming in from another; the count is masked and not 0.</summary>
    private interface IDoubleShift
    {
        static abstract ulong Apply<T>(CpuState* s, ulong value, ulong filler, int count) where T : unmanaged;
    }

    private static Handler PickDouble<TShift>(in Instruction instruction, bool memory) where TShift : struct, IDoubleShift
    {
        bool byCl = instruction.Op2Kind == OpKind.Register;
        return OperandShape.Size(instruction, 0) switch
        {
            2 => PickDouble<TShift, ushort>(memory, byCl),
            4 => PickDouble<TShift, uint>(memory, byCl),
            _ => PickDouble<TShift, ulong>(memory, byCl),
        };
    }

    private static Handler PickDouble<TShift, T>(bool memory, bool byCl) where TShift : struct, IDoubleShift where T : unmanaged
        => memory ? byCl ? &DoubleMemoryCl<TShift, T> : &DoubleMemoryImmediate<TShift, T>
            : byCl ? &DoubleRegisterCl<TShift, T> : &DoubleRegisterImmediate<TShift, T>;

    private static Op* DoubleRegisterImmediate<TShift, T>(CpuState* s, Op* op) where TShift : struct, IDoubleShift where T : unmanaged
        => DoubleRegister<TShift, T>(s, op, Mask<T>(op->Immediate));

    private static Op* DoubleRegisterCl<TShift, T>(CpuState* s, Op* op) where TShift : struct, IDoubleShift where T : unmanaged
        => DoubleRegister<TShift, T>(s, op, Mask<T>((long)s->Rcx));

    private static Op* DoubleMemoryImmediate<TShift, T>(CpuState* s, Op* op) where TShift : struct, IDoubleShift where T : unmanaged
        => DoubleMemory<TShift, T>(s, op, Mask<T>(op->Immediate));

    private static Op* DoubleMemoryCl<TShift, T>(CpuState* s, Op* op) where TShift : struct, IDoubleShift where T : unmanaged
        => DoubleMemory<TShift, T>(s, op, Mask<T>((long)s->Rcx));

    private static Op* DoubleRegister<TShift, T>(CpuState* s, Op* op, int count) where TShift : struct, IDoubleShift where T : unmanaged
    {
        ulong value = Operand.Register<T>(s, op->Destination);
        if (count != 0)
            value = TShift.Apply<T>(s, value, Operand.Register<T>(s, op->Source), count);
        Operand.SetRegister<T>(s, op->Destination, value);
        return op + 1;
    }

    private static Op* DoubleMemory<TShift, T>(CpuState* s, Op* op, int count) where TShift : struct, IDoubleShift where T : unmanaged
    {
        T* operand = Operand.ModifyMemory<T>(s, op);
        if (operand == null)
            return null;
        if (count != 0)
            Operand.Store<T>(operand, TShift.Apply<T>(s, Operand.Load<T>(operand), Operand.Register<T>(s, op->Destination), count));
        LinearMemory.Commit(s, op, operand);
        return op + 1;
    }

    /// <summary>
    /// 16-bit operands shifted by more than 16 are undefined by the manual: Zen shifts the filler in twice and clears CF; SHLD by 16 or
    /// more makes OF the same as CF.
    /// </summary>
    private readonly struct ShiftLeftDouble : IDoubleShift
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static ulong Apply<T>(CpuState* s, ulong value, ulong filler, int count) where T : unmanaged
        {
            int bits = sizeof(T) * 8;
            ulong result;
            uint carry;
            if (sizeof(T) == 2)
            {
                ulong wide = (value << 32) | (filler << 16) | filler;
                result = (ushort)((wide << count) >> 32);
                carry = count > bits ? 0 : (uint)(value >> (bits - count)) & 1;
            }
            else
            {
                result = Operand.Truncate<T>((value << count) | (filler >> (bits - count)));
                carry = (uint)(value >> (bits - count)) & 1;
            }
            uint overflow = sizeof(T) == 2 && count >= bits ? carry : carry ^ ShiftFlags.Top<T>(result);
            s->StatusFlags = ShiftFlags.Shift<T>(result, carry, overflow);
            return result;
        }
    }

    private readonly struct ShiftRightDouble : IDoubleShift
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static ulong Apply<T>(CpuState* s, ulong value, ulong filler, int count) where T : unmanaged
        {
            int bits = sizeof(T) * 8;
            ulong result;
            uint carry;
            if (sizeof(T) == 2)
            {
                ulong wide = (filler << 32) | (filler << 16) | value;
                result = (ushort)(wide >> count);
                carry = (uint)(value >> (count - 1)) & 1;
            }
            else
            {
                result = Operand.Truncate<T>((value >> count) | (filler << (bits - count)));
                carry = (uint)(value >> (count - 1)) & 1;
            }
            s->StatusFlags = ShiftFlags.Shift<T>(result, carry, ShiftFlags.Top<T>(result) ^ ShiftFlags.Second<T>(result));
            return result;
        }
    }
}
