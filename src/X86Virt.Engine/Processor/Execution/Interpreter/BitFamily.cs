using System.Numerics;
using System.Runtime.CompilerServices;
using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>BT, BTS, BTR, BTC, BSF, BSR, LZCNT, TZCNT, POPCNT (AMD volume 3), with the undefined flags as Zen leaves them.</summary>
internal static unsafe class BitFamily
{
    public static Handler Bind(in Instruction instruction, bool memory) => instruction.Mnemonic switch
    {
        Mnemonic.Bt => Pick<Keep>(instruction, memory),
        Mnemonic.Bts => Pick<Set>(instruction, memory),
        Mnemonic.Btr => Pick<Reset>(instruction, memory),
        Mnemonic.Btc => Pick<Complement>(instruction, memory),
        Mnemonic.Bsf => SourceForms<Bsf>.Pick(OperandShape.Size(instruction, 0), memory, RegisterSlot.Second),
        Mnemonic.Bsr => SourceForms<Bsr>.Pick(OperandShape.Size(instruction, 0), memory, RegisterSlot.Second),
        Mnemonic.Lzcnt => SourceForms<Lzcnt>.Pick(OperandShape.Size(instruction, 0), memory, RegisterSlot.Second),
        Mnemonic.Tzcnt => SourceForms<Tzcnt>.Pick(OperandShape.Size(instruction, 0), memory, RegisterSlot.Second),
        Mnemonic.Popcnt => SourceForms<Popcnt>.Pick(OperandShape.Size(instruction, 0), memory, RegisterSlot.Second),
        _ => null,
    };

    /// <summary>What becomes of the tested bit.</summary>
    private interface IBitChange
    {
        static abstract bool Writes { get; }
        static abstract ulong Change(ulong value, ulong bit);
    }

    private readonly struct Keep : IBitChange
    {
        public static bool Writes => false;
        public static ulong Change(ulong value, ulong bit) => value;
    }

    private readonly struct Set : IBitChange
    {
        public static bool Writes => true;
        public static ulong Change(ulong value, ulong bit) => value | bit;
    }

    private readonly struct Reset : IBitChange
    {
        public static bool Writes => true;
        public static ulong Change(ulong value, ulong bit) => value & ~bit;
    }

    private readonly struct Complement : IBitChange
    {
        public static bool Writes => true;
        public static ulong Change(ulong value, ulong bit) => value ^ bit;
    }

    private static Handler Pick<TChange>(in Instruction instruction, bool memory) where TChange : struct, IBitChange
    {
        bool register = instruction.Op1Kind == OpKind.Register;
        return OperandShape.Size(instruction, 0) switch
        {
            2 => Pick<TChange, ushort>(memory, register),
            4 => Pick<TChange, uint>(memory, register),
            _ => Pick<TChange, ulong>(memory, register),
        };
    }

    private static Handler Pick<TChange, T>(bool memory, bool register) where TChange : struct, IBitChange where T : unmanaged
        => memory ? register ? &MemoryRegister<TChange, T> : &MemoryImmediate<TChange, T>
            : register ? &RegisterRegister<TChange, T> : &RegisterImmediate<TChange, T>;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Position<T>(ulong offset) where T : unmanaged => (int)offset & (sizeof(T) * 8 - 1);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Test(CpuState* s, ulong value, int position)
        => s->StatusFlags = (s->StatusFlags & ~Flags.Cf) | (uint)((value >> position) & 1) << 8;

    private static Op* RegisterRegister<TChange, T>(CpuState* s, Op* op) where TChange : struct, IBitChange where T : unmanaged
        => Register<TChange, T>(s, op, Position<T>(Operand.Register<T>(s, op->Source)));

    private static Op* RegisterImmediate<TChange, T>(CpuState* s, Op* op) where TChange : struct, IBitChange where T : unmanaged
        => Register<TChange, T>(s, op, Position<T>((ulong)op->Immediate));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Op* Register<TChange, T>(CpuState* s, Op* op, int position) where TChange : struct, IBitChange where T : unmanaged
    {
        ulong value = Operand.Register<T>(s, op->Destination);
        Test(s, value, position);
        if (TChange.Writes)
            Operand.SetRegister<T>(s, op->Destination, TChange.Change(value, 1UL << position));
        return op + 1;
    }

    private static Op* MemoryImmediate<TChange, T>(CpuState* s, Op* op) where TChange : struct, IBitChange where T : unmanaged
        => Memory<TChange, T>(s, op, Operand.EffectiveAddress(s, op), Position<T>((ulong)op->Immediate));

    /// <summary>The register is a signed bit offset: it reaches units of the operand size on either side of the operand.</summary>
    private static Op* MemoryRegister<TChange, T>(CpuState* s, Op* op) where TChange : struct, IBitChange where T : unmanaged
    {
        long offset = Operand.SignExtend<T>(Operand.Register<T>(s, op->Destination));
        int shift = sizeof(T) == 2 ? 4 : sizeof(T) == 4 ? 5 : 6;
        ulong address = Operand.EffectiveAddress(s, op) + (ulong)((offset >> shift) * sizeof(T));
        return Memory<TChange, T>(s, op, Operand.WrapAddress(op, address), Position<T>((ulong)offset));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Op* Memory<TChange, T>(CpuState* s, Op* op, ulong address, int position) where TChange : struct, IBitChange where T : unmanaged
    {
        if (!Operand.Linear(s, op, op->Segment, address, sizeof(T), TChange.Writes, out ulong linear))
            return null;
        if (!TChange.Writes)
        {
            if (!LinearMemory.Read(s, op, linear, out T raw))
                return null;
            Test(s, Operand.Load<T>(&raw), position);
            return op + 1;
        }
        T* operand = LinearMemory.Modify<T>(s, op, linear);
        if (operand == null)
            return null;
        ulong value = Operand.Load<T>(operand);
        Test(s, value, position);
        Operand.Store<T>(operand, TChange.Change(value, 1UL << position));
        LinearMemory.Commit(s, op, operand);
        return op + 1;
    }

    /// <summary>A source of 0 leaves the whole destination register.</summary>
    private readonly struct Bsf : ISourceOperation
    {
        public static bool Apply<T>(CpuState* s, Op* op, ulong value, byte other) where T : unmanaged
        {
            Scan<T>(s, op, value, (ulong)BitOperations.TrailingZeroCount(value));
            return true;
        }
    }

    private readonly struct Bsr : ISourceOperation
    {
        public static bool Apply<T>(CpuState* s, Op* op, ulong value, byte other) where T : unmanaged
        {
            Scan<T>(s, op, value, (ulong)BitOperations.Log2(value));
            return true;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Scan<T>(CpuState* s, Op* op, ulong value, ulong index) where T : unmanaged
    {
        if (value == 0)
        {
            s->StatusFlags = Flags.Zf | Flags.Pf;
            return;
        }
        s->StatusFlags = Flags.SignZeroParity<T>(index) & Flags.Pf;
        Operand.SetRegister<T>(s, op->Destination, index);
    }

    private readonly struct Lzcnt : ISourceOperation
    {
        public static bool Apply<T>(CpuState* s, Op* op, ulong value, byte other) where T : unmanaged
        {
            Count<T>(s, op, value, BitOperations.LeadingZeroCount(value) - (64 - sizeof(T) * 8));
            return true;
        }
    }

    private readonly struct Tzcnt : ISourceOperation
    {
        public static bool Apply<T>(CpuState* s, Op* op, ulong value, byte other) where T : unmanaged
        {
            Count<T>(s, op, value, Math.Min(BitOperations.TrailingZeroCount(value), sizeof(T) * 8));
            return true;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Count<T>(CpuState* s, Op* op, ulong value, int count) where T : unmanaged
    {
        s->StatusFlags = (s->StatusFlags & Flags.Of) | (value == 0 ? Flags.Cf : 0) | (count == 0 ? Flags.Zf : 0);
        Operand.SetRegister<T>(s, op->Destination, (ulong)count);
    }

    private readonly struct Popcnt : ISourceOperation
    {
        public static bool Apply<T>(CpuState* s, Op* op, ulong value, byte other) where T : unmanaged
        {
            s->StatusFlags = value == 0 ? Flags.Zf : 0;
            Operand.SetRegister<T>(s, op->Destination, (ulong)BitOperations.PopCount(value));
            return true;
        }
    }
}
