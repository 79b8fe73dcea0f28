using System.Runtime.CompilerServices;
using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>
/// MUL, IMUL, DIV, IDIV (AMD volume 3). Of the flags that the manual leaves undefined, Zen keeps all but CF and OF in a
/// multiplication.
/// </summary>
internal static unsafe class MultiplyFamily
{
    public static Handler Bind(in Instruction instruction, bool memory)
    {
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Mul:
                return SourceForms<Mul>.Pick(OperandShape.Size(instruction, 0), memory, RegisterSlot.First);
            case Mnemonic.Imul when instruction.OpCount == 1:
                return SourceForms<Imul>.Pick(OperandShape.Size(instruction, 0), memory, RegisterSlot.First);
            case Mnemonic.Imul when instruction.OpCount == 2:
                return SourceForms<ImulRegister>.Pick(OperandShape.Size(instruction, 0), memory, RegisterSlot.Second);
            case Mnemonic.Imul:
                return SourceForms<ImulImmediate>.Pick(OperandShape.Size(instruction, 0), memory, RegisterSlot.Second);
            case Mnemonic.Div:
                return SourceForms<Div>.Pick(OperandShape.Size(instruction, 0), memory, RegisterSlot.First);
            case Mnemonic.Idiv:
                return SourceForms<Idiv>.Pick(OperandShape.Size(instruction, 0), memory, RegisterSlot.First);
            default:
                return null;
        }
    }

    /// <summary>CF and OF say that the product does not fit into its low half.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void SetOverflow(CpuState* s, bool overflow)
        => s->StatusFlags = (s->StatusFlags & ~(Flags.Cf | Flags.Of)) | (overflow ? Flags.Cf | Flags.Of : 0);

    /// <summary>Writes a double-width result to AX or rDX:rAX.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void SetPair<T>(CpuState* s, ulong low, ulong high) where T : unmanaged
    {
        if (sizeof(T) == 1)
        {
            *(ushort*)&s->Rax = (ushort)((high << 8) | (byte)low);
            return;
        }
        Operand.SetRegister<T>(s, 0, low);
        Operand.SetRegister<T>(s, 16, high);
    }

    private readonly struct Mul : ISourceOperation
    {
        public static bool Apply<T>(CpuState* s, Op* op, ulong value, byte other) where T : unmanaged
        {
            ulong a = Operand.Register<T>(s, 0);
            ulong low, high;
            if (sizeof(T) == 8)
            {
                high = Math.BigMul(a, value, out low);
            }
            else
            {
                low = a * value;
                high = low >> (sizeof(T) * 8);
            }
            SetPair<T>(s, low, high);
            SetOverflow(s, high != 0);
            return true;
        }
    }

    private readonly struct Imul : ISourceOperation
    {
        public static bool Apply<T>(CpuState* s, Op* op, ulong value, byte other) where T : unmanaged
        {
            long a = Operand.SignExtend<T>(Operand.Register<T>(s, 0));
            long high = Multiply<T>(a, Operand.SignExtend<T>(value), out long low, out bool overflow);
            SetPair<T>(s, (ulong)low, (ulong)high);
            SetOverflow(s, overflow);
            return true;
        }
    }

    private readonly struct ImulRegister : ISourceOperation
    {
        public static bool Apply<T>(CpuState* s, Op* op, ulong value, byte other) where T : unmanaged
        {
            long a = Operand.SignExtend<T>(Operand.Register<T>(s, op->Destination));
            Multiply<T>(a, Operand.SignExtend<T>(value), out long low, out bool overflow);
            Operand.SetRegister<T>(s, op->Destination, (ulong)low);
            SetOverflow(s, overflow);
            return true;
        }
    }

    private readonly struct ImulImmediate : ISourceOperation
    {
        public static bool Apply<T>(CpuState* s, Op* op, ulong value, byte other) where T : unmanaged
        {
            Multiply<T>(Operand.SignExtend<T>(value), Operand.SignExtend<T>((ulong)op->Immediate), out long low, out bool overflow);
            Operand.SetRegister<T>(s, op->Destination, (ulong)low);
            SetOverflow(s, overflow);
            return true;
        }
    }

    /// <summary>Multiplies sign-extended operands; the low half is not truncated to T.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static long Multiply<T>(long a, long b, out long low, out bool overflow) where T : unmanaged
    {
        long high;
        if (sizeof(T) == 8)
        {
            high = Math.BigMul(a, b, out low);
            overflow = high != low >> 63;
            return high;
        }
        low = a * b;
        overflow = Operand.SignExtend<T>((ulong)low) != low;
        return low >> (sizeof(T) * 8);
    }

    /// <summary>Zen sets AF and keeps the other flags.</summary>
    private static void SetDivideFlags(CpuState* s) => s->StatusFlags |= Flags.Af;

    private readonly struct Div : ISourceOperation
    {
        public static bool Apply<T>(CpuState* s, Op* op, ulong divisor, byte other) where T : unmanaged
        {
            ulong high = sizeof(T) == 1 ? (byte)(s->Rax >> 8) : Operand.Register<T>(s, 16);
            ulong low = Operand.Register<T>(s, 0);
            // The quotient fits if and only if the high half is below the divisor; that excludes 0, too.
            if (high >= divisor)
            {
                Fault.Raise(s, op, Vector.DivideError);
                return false;
            }
            ulong quotient, remainder;
            if (sizeof(T) == 8 && high != 0)
            {
                UInt128 dividend = new(high, low);
                UInt128 wide = dividend / divisor;
                quotient = (ulong)wide;
                remainder = low - quotient * divisor;
            }
            else
            {
                ulong dividend = sizeof(T) == 8 ? low : (high << (sizeof(T) * 8)) | low;
                quotient = dividend / divisor;
                remainder = dividend - quotient * divisor;
            }
            SetPair<T>(s, quotient, remainder);
            SetDivideFlags(s);
            return true;
        }
    }

    private readonly struct Idiv : ISourceOperation
    {
        public static bool Apply<T>(CpuState* s, Op* op, ulong value, byte other) where T : unmanaged
        {
            long divisor = Operand.SignExtend<T>(value);
            ulong high = sizeof(T) == 1 ? (byte)(s->Rax >> 8) : Operand.Register<T>(s, 16);
            ulong low = Operand.Register<T>(s, 0);
            long quotient, remainder;
            bool fits = divisor != 0;
            if (!fits)
            {
                (quotient, remainder) = (0, 0);
            }
            else if (sizeof(T) == 8 && (long)high != (long)low >> 63)
            {
                Int128 dividend = new(high, low);
                Int128 wide = dividend / divisor;
                quotient = (long)wide;
                fits = wide == quotient;
                remainder = (long)(low - (ulong)quotient * (ulong)divisor);
            }
            else
            {
                long dividend = sizeof(T) == 8 ? (long)low
                    : sizeof(T) == 4 ? (long)((high << 32) | low)
                    : sizeof(T) == 2 ? (int)((high << 16) | low)
                    : (short)((high << 8) | low);
                // The one quotient that a long cannot hold; the host would trap on it.
                if (divisor == -1 && dividend == long.MinValue)
                {
                    fits = false;
                    (quotient, remainder) = (0, 0);
                }
                else
                {
                    quotient = dividend / divisor;
                    remainder = dividend - quotient * divisor;
                    fits = Operand.SignExtend<T>((ulong)quotient) == quotient;
                }
            }
            if (!fits)
            {
                Fault.Raise(s, op, Vector.DivideError);
                return false;
            }
            SetPair<T>(s, (ulong)quotient, (ulong)remainder);
            SetDivideFlags(s);
            return true;
        }
    }
}
