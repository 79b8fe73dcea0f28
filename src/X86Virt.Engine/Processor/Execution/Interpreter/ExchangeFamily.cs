using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>XCHG, XADD, CMPXCHG, CMPXCHG8B, CMPXCHG16B, BSWAP, MOVBE. There is one processor, so LOCK needs no more than they do anyway.</summary>
internal static unsafe class ExchangeFamily
{
    public static Handler Bind(in Instruction instruction, bool memory)
    {
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Xchg:
                return OperandShape.Size(instruction, 0) switch
                {
                    1 => memory ? &ExchangeMemory<byte> : &Exchange<byte>,
                    2 => memory ? &ExchangeMemory<ushort> : &Exchange<ushort>,
                    4 => memory ? &ExchangeMemory<uint> : &Exchange<uint>,
                    _ => memory ? &ExchangeMemory<ulong> : &Exchange<ulong>,
                };
            case Mnemonic.Xadd:
                return OperandShape.Size(instruction, 0) switch
                {
                    1 => memory ? &AddMemory<byte> : &Add<byte>,
                    2 => memory ? &AddMemory<ushort> : &Add<ushort>,
                    4 => memory ? &AddMemory<uint> : &Add<uint>,
                    _ => memory ? &AddMemory<ulong> : &Add<ulong>,
                };
            case Mnemonic.Cmpxchg:
                return OperandShape.Size(instruction, 0) switch
                {
                    1 => memory ? &CompareMemory<byte> : &Compare<byte>,
                    2 => memory ? &CompareMemory<ushort> : &Compare<ushort>,
                    4 => memory ? &CompareMemory<uint> : &Compare<uint>,
                    _ => memory ? &CompareMemory<ulong> : &Compare<ulong>,
                };
            case Mnemonic.Cmpxchg8b:
                return &Compare8;
            case Mnemonic.Cmpxchg16b:
                return &Compare16;
            case Mnemonic.Bswap:
                return OperandShape.Size(instruction, 0) switch { 2 => &SwapBytes<ushort>, 4 => &SwapBytes<uint>, _ => &SwapBytes<ulong> };
            case Mnemonic.Movbe when instruction.Op0Kind == OpKind.Register:
                return OperandShape.Size(instruction, 0) switch { 2 => &LoadSwapped<ushort>, 4 => &LoadSwapped<uint>, _ => &LoadSwapped<ulong> };
            case Mnemonic.Movbe:
                return OperandShape.Size(instruction, 0) switch { 2 => &StoreSwapped<ushort>, 4 => &StoreSwapped<uint>, _ => &StoreSwapped<ulong> };
            default:
                return null;
        }
    }

    private static Op* Exchange<T>(CpuState* s, Op* op) where T : unmanaged
    {
        ulong first = Operand.Register<T>(s, op->Destination);
        ulong second = Operand.Register<T>(s, op->Source);
        Operand.SetRegister<T>(s, op->Destination, second);
        Operand.SetRegister<T>(s, op->Source, first);
        return op + 1;
    }

    private static Op* ExchangeMemory<T>(CpuState* s, Op* op) where T : unmanaged
    {
        T* operand = Operand.ModifyMemory<T>(s, op);
        if (operand == null)
            return null;
        ulong value = Operand.Load<T>(operand);
        Operand.Store<T>(operand, Operand.Register<T>(s, op->Destination));
        LinearMemory.Commit(s, op, operand);
        Operand.SetRegister<T>(s, op->Destination, value);
        return op + 1;
    }

    private static Op* Add<T>(CpuState* s, Op* op) where T : unmanaged
    {
        ulong value = Operand.Register<T>(s, op->Destination);
        ulong sum = Processor.Add.Apply<T>(s, value, Operand.Register<T>(s, op->Source));
        Operand.SetRegister<T>(s, op->Source, value);
        Operand.SetRegister<T>(s, op->Destination, sum);
        return op + 1;
    }

    private static Op* AddMemory<T>(CpuState* s, Op* op) where T : unmanaged
    {
        T* operand = Operand.ModifyMemory<T>(s, op);
        if (operand == null)
            return null;
        ulong value = Operand.Load<T>(operand);
        Operand.Store<T>(operand, Processor.Add.Apply<T>(s, value, Operand.Register<T>(s, op->Destination)));
        LinearMemory.Commit(s, op, operand);
        Operand.SetRegister<T>(s, op->Destination, value);
        return op + 1;
    }

    private static Op* Compare<T>(CpuState* s, Op* op) where T : unmanaged
    {
        ulong value = Operand.Register<T>(s, op->Destination);
        ulong accumulator = Operand.Register<T>(s, 0);
        Cmp.Apply<T>(s, accumulator, value);
        if (value == accumulator)
            Operand.SetRegister<T>(s, op->Destination, Operand.Register<T>(s, op->Source));
        else
            Operand.SetRegister<T>(s, 0, value);
        return op + 1;
    }

    /// <summary>The operand is written whatever the outcome (with what it held), so write permission is always needed.</summary>
    private static Op* CompareMemory<T>(CpuState* s, Op* op) where T : unmanaged
    {
        T* operand = Operand.ModifyMemory<T>(s, op);
        if (operand == null)
            return null;
        ulong value = Operand.Load<T>(operand);
        ulong accumulator = Operand.Register<T>(s, 0);
        Cmp.Apply<T>(s, accumulator, value);
        if (value == accumulator)
            Operand.Store<T>(operand, Operand.Register<T>(s, op->Destination));
        else
            Operand.SetRegister<T>(s, 0, value);
        LinearMemory.Commit(s, op, operand);
        return op + 1;
    }

    private static Op* Compare8(CpuState* s, Op* op)
    {
        ulong* operand = Operand.ModifyMemory<ulong>(s, op);
        if (operand == null)
            return null;
        ulong value = Operand.Load<ulong>(operand);
        if (value == ((s->Rdx << 32) | (uint)s->Rax))
        {
            s->StatusFlags |= Flags.Zf;
            Operand.Store<ulong>(operand, (s->Rcx << 32) | (uint)s->Rbx);
        }
        else
        {
            s->StatusFlags &= ~Flags.Zf;
            s->Rax = (uint)value;
            s->Rdx = value >> 32;
        }
        LinearMemory.Commit(s, op, operand);
        return op + 1;
    }

    private static Op* Compare16(CpuState* s, Op* op)
    {
        if (!Operand.Linear(s, op, 16, true, out ulong linear))
            return null;
        if ((linear & 15) != 0)
            return Fault.GeneralProtection(s, op);
        UInt128* operand = LinearMemory.Modify<UInt128>(s, op, linear);
        if (operand == null)
            return null;
        ulong low = Operand.Load<ulong>(operand), high = Operand.Load<ulong>((ulong*)operand + 1);
        if (low == s->Rax && high == s->Rdx)
        {
            s->StatusFlags |= Flags.Zf;
            Operand.Store<ulong>(operand, s->Rbx);
            Operand.Store<ulong>((ulong*)operand + 1, s->Rcx);
        }
        else
        {
            s->StatusFlags &= ~Flags.Zf;
            s->Rax = low;
            s->Rdx = high;
        }
        LinearMemory.Commit(s, op, operand);
        return op + 1;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Swap<T>(ulong value) where T : unmanaged => sizeof(T) switch
    {
        2 => BinaryPrimitives.ReverseEndianness((ushort)value),
        4 => BinaryPrimitives.ReverseEndianness((uint)value),
        _ => BinaryPrimitives.ReverseEndianness(value),
    };

    /// <summary>A 16-bit operand is undefined by the manual; processors clear it.</summary>
    private static Op* SwapBytes<T>(CpuState* s, Op* op) where T : unmanaged
    {
        Operand.SetRegister<T>(s, op->Destination, sizeof(T) == 2 ? 0 : Swap<T>(Operand.Register<T>(s, op->Destination)));
        return op + 1;
    }

    private static Op* LoadSwapped<T>(CpuState* s, Op* op) where T : unmanaged
    {
        if (!Operand.ReadMemory<T>(s, op, out ulong value))
            return null;
        Operand.SetRegister<T>(s, op->Destination, Swap<T>(value));
        return op + 1;
    }

    private static Op* StoreSwapped<T>(CpuState* s, Op* op) where T : unmanaged
        => Operand.WriteMemory<T>(s, op, Swap<T>(Operand.Register<T>(s, op->Destination))) ? op + 1 : null;
}
