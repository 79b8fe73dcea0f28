using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;
using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>
/// BMI1 (ANDN, BEXTR, BLSI, BLSMSK, BLSR), BMI2 (BZHI, MULX, PDEP, PEXT, RORX, SARX, SHLX, SHRX), ADX (ADCX, ADOX), CRC32
/// (AMD volume 3); undefined flags as Zen leaves them.
/// </summary>
internal static unsafe class BitManipulationFamily
{
    public static Handler Bind(in Instruction instruction, bool memory)
    {
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Andn:
                return Pick<Andn>(instruction, memory, RegisterSlot.Third);
            case Mnemonic.Bextr when instruction.Op2Kind == OpKind.Register:
                return Pick<Bextr>(instruction, memory, RegisterSlot.Second);
            case Mnemonic.Blsi:
                return Pick<Blsi>(instruction, memory, RegisterSlot.Second);
            case Mnemonic.Blsmsk:
                return Pick<Blsmsk>(instruction, memory, RegisterSlot.Second);
            case Mnemonic.Blsr:
                return Pick<Blsr>(instruction, memory, RegisterSlot.Second);
            case Mnemonic.Bzhi:
                return Pick<Bzhi>(instruction, memory, RegisterSlot.Second);
            case Mnemonic.Mulx:
                return Pick<Mulx>(instruction, memory, RegisterSlot.Third);
            case Mnemonic.Pdep:
                return Pick<Pdep>(instruction, memory, RegisterSlot.Third);
            case Mnemonic.Pext:
                return Pick<Pext>(instruction, memory, RegisterSlot.Third);
            case Mnemonic.Rorx:
                return Pick<Rorx>(instruction, memory, RegisterSlot.Second);
            case Mnemonic.Sarx:
                return Pick<Sarx>(instruction, memory, RegisterSlot.Second);
            case Mnemonic.Shlx:
                return Pick<Shlx>(instruction, memory, RegisterSlot.Second);
            case Mnemonic.Shrx:
                return Pick<Shrx>(instruction, memory, RegisterSlot.Second);
            case Mnemonic.Adcx:
                return Pick<Adcx>(instruction, memory, RegisterSlot.Second);
            case Mnemonic.Adox:
                return Pick<Adox>(instruction, memory, RegisterSlot.Second);
            case Mnemonic.Crc32:
                return SourceForms<Crc32>.Pick(OperandShape.Size(instruction, 1), memory, RegisterSlot.Second);
            default:
                return null;
        }
    }

    private static Handler Pick<TOperation>(in Instruction instruction, bool memory, RegisterSlot slot) where TOperation : struct, ISourceOperation
        => SourceForms<TOperation>.Pick(OperandShape.Size(instruction, 0), memory, slot);

    private readonly struct Andn : ISourceOperation
    {
        public static bool Apply<T>(CpuState* s, Op* op, ulong value, byte other) where T : unmanaged
        {
            ulong result = ~Operand.Register<T>(s, other) & value;
            s->StatusFlags = Flags.Logic<T>(result);
            Operand.SetRegister<T>(s, op->Destination, result);
            return true;
        }
    }

    /// <summary>Bits 0 to 7 of the control give the first bit, bits 8 to 15 the length.</summary>
    private readonly struct Bextr : ISourceOperation
    {
        public static bool Apply<T>(CpuState* s, Op* op, ulong value, byte other) where T : unmanaged
        {
            ulong control = Operand.Register<T>(s, other);
            int start = (byte)control, length = (byte)(control >> 8);
            ulong result = start >= 64 ? 0 : value >> start;
            if (length < 64)
                result &= (1UL << length) - 1;
            s->StatusFlags = (Flags.SignZeroParity<T>(result) & ~Flags.Sf) | Flags.Af;
            Operand.SetRegister<T>(s, op->Destination, result);
            return true;
        }
    }

    private readonly struct Blsi : ISourceOperation
    {
        public static bool Apply<T>(CpuState* s, Op* op, ulong value, byte other) where T : unmanaged
            => Lowest<T>(s, op, value & (0 - value), value != 0);
    }

    private readonly struct Blsmsk : ISourceOperation
    {
        public static bool Apply<T>(CpuState* s, Op* op, ulong value, byte other) where T : unmanaged
            => Lowest<T>(s, op, Operand.Truncate<T>(value ^ (value - 1)), value == 0);
    }

    private readonly struct Blsr : ISourceOperation
    {
        public static bool Apply<T>(CpuState* s, Op* op, ulong value, byte other) where T : unmanaged
            => Lowest<T>(s, op, value & (value - 1), value == 0);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool Lowest<T>(CpuState* s, Op* op, ulong result, bool carry) where T : unmanaged
    {
        s->StatusFlags = Flags.SignZeroParity<T>(result) | (carry ? Flags.Cf : 0);
        Operand.SetRegister<T>(s, op->Destination, result);
        return true;
    }

    private readonly struct Bzhi : ISourceOperation
    {
        public static bool Apply<T>(CpuState* s, Op* op, ulong value, byte other) where T : unmanaged
        {
            int index = (byte)Operand.Register<T>(s, other);
            bool beyond = index >= sizeof(T) * 8;
            ulong result = beyond ? value : value & ((1UL << index) - 1);
            s->StatusFlags = Flags.SignZeroParity<T>(result) | (beyond ? Flags.Cf : 0);
            Operand.SetRegister<T>(s, op->Destination, result);
            return true;
        }
    }

    /// <summary>The high half wins where both results go to one register.</summary>
    private readonly struct Mulx : ISourceOperation
    {
        public static bool Apply<T>(CpuState* s, Op* op, ulong value, byte other) where T : unmanaged
        {
            ulong a = Operand.Register<T>(s, 16);
            ulong high, low;
            if (sizeof(T) == 8)
            {
                high = Math.BigMul(a, value, out low);
            }
            else
            {
                low = a * value;
                high = low >> 32;
            }
            Operand.SetRegister<T>(s, other, low);
            Operand.SetRegister<T>(s, op->Destination, high);
            return true;
        }
    }

    private readonly struct Pdep : ISourceOperation
    {
        public static bool Apply<T>(CpuState* s, Op* op, ulong value, byte other) where T : unmanaged
        {
            ulong bits = Operand.Register<T>(s, other);
            Operand.SetRegister<T>(s, op->Destination, Bmi2.X64.IsSupported ? Bmi2.X64.ParallelBitDeposit(bits, value) : Deposit(bits, value));
            return true;
        }

        private static ulong Deposit(ulong bits, ulong mask)
        {
            ulong result = 0;
            for (; mask != 0; mask &= mask - 1, bits >>= 1)
                result |= (bits & 1) * (mask & (0 - mask));
            return result;
        }
    }

    private readonly struct Pext : ISourceOperation
    {
        public static bool Apply<T>(CpuState* s, Op* op, ulong value, byte other) where T : unmanaged
        {
            ulong bits = Operand.Register<T>(s, other);
            Operand.SetRegister<T>(s, op->Destination, Bmi2.X64.IsSupported ? Bmi2.X64.ParallelBitExtract(bits, value) : Extract(bits, value));
            return true;
        }

        private static ulong Extract(ulong bits, ulong mask)
        {
            ulong result = 0;
            for (int i = 0; mask != 0; mask &= mask - 1, i++)
                result |= ((bits >> BitOperations.TrailingZeroCount(mask)) & 1) << i;
            return result;
        }
    }

    private readonly struct Rorx : ISourceOperation
    {
        public static bool Apply<T>(CpuState* s, Op* op, ulong value, byte other) where T : unmanaged
        {
            int count = (int)op->Immediate;
            Operand.SetRegister<T>(s, op->Destination, sizeof(T) == 4 ? BitOperations.RotateRight((uint)value, count) : BitOperations.RotateRight(value, count));
            return true;
        }
    }

    private readonly struct Sarx : ISourceOperation
    {
        public static bool Apply<T>(CpuState* s, Op* op, ulong value, byte other) where T : unmanaged
        {
            Operand.SetRegister<T>(s, op->Destination, (ulong)(Operand.SignExtend<T>(value) >> Count<T>(s, other)));
            return true;
        }
    }

    private readonly struct Shlx : ISourceOperation
    {
        public static bool Apply<T>(CpuState* s, Op* op, ulong value, byte other) where T : unmanaged
        {
            Operand.SetRegister<T>(s, op->Destination, value << Count<T>(s, other));
            return true;
        }
    }

    private readonly struct Shrx : ISourceOperation
    {
        public static bool Apply<T>(CpuState* s, Op* op, ulong value, byte other) where T : unmanaged
        {
            Operand.SetRegister<T>(s, op->Destination, value >> Count<T>(s, other));
            return true;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Count<T>(CpuState* s, byte register) where T : unmanaged => (int)Operand.Register<T>(s, register) & (sizeof(T) * 8 - 1);

    private readonly struct Adcx : ISourceOperation
    {
        public static bool Apply<T>(CpuState* s, Op* op, ulong value, byte other) where T : unmanaged
        {
            uint carry = AddWithCarry<T>(s, op, value, (s->StatusFlags >> 8) & 1);
            s->StatusFlags = (s->StatusFlags & ~Flags.Cf) | (carry << 8);
            return true;
        }
    }

    private readonly struct Adox : ISourceOperation
    {
        public static bool Apply<T>(CpuState* s, Op* op, ulong value, byte other) where T : unmanaged
        {
            uint carry = AddWithCarry<T>(s, op, value, s->StatusFlags & Flags.Of);
            s->StatusFlags = (s->StatusFlags & ~Flags.Of) | carry;
            return true;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint AddWithCarry<T>(CpuState* s, Op* op, ulong value, uint carry) where T : unmanaged
    {
        ulong a = Operand.Register<T>(s, op->Destination);
        ulong result = Operand.Truncate<T>(a + value + carry);
        Operand.SetRegister<T>(s, op->Destination, result);
        return result < a || (carry != 0 && result == a) ? 1u : 0;
    }

    /// <summary>The destination is 32 or 64 bits wide, the sum always 32: the upper half ends up clear.</summary>
    private readonly struct Crc32 : ISourceOperation
    {
        public static bool Apply<T>(CpuState* s, Op* op, ulong value, byte other) where T : unmanaged
        {
            uint sum = (uint)Operand.Register<uint>(s, op->Destination);
            sum = sizeof(T) switch
            {
                1 => BitOperations.Crc32C(sum, (byte)value),
                2 => BitOperations.Crc32C(sum, (ushort)value),
                4 => BitOperations.Crc32C(sum, (uint)value),
                _ => BitOperations.Crc32C(sum, value),
            };
            Operand.SetRegister<uint>(s, op->Destination, sum);
            return true;
        }
    }
}
