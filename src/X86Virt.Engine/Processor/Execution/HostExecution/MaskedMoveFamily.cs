using System.Runtime.Intrinsics;
using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>
/// MASKMOVQ, MASKMOVDQU, VMASKMOVPS/PD, VPMASKMOVD/Q: elements that the mask leaves out are not accessed and, but
/// for the first two, raise no fault (AMD volume 4).
/// </summary>
internal static unsafe class MaskedMoveFamily
{
    public static Handler Bind(in Instruction instruction, bool memory)
    {
        if (!memory || !HostFeatures.Executes(instruction.Code))
            return null;
        bool store = instruction.Op0Kind == OpKind.Memory;
        bool wide = (store ? instruction.Op1Register : instruction.Op0Register).IsYMM();
        return instruction.Mnemonic switch
        {
            Mnemonic.Maskmovq => &StoreMmxBytes,
            Mnemonic.Maskmovdqu => &StoreBytes<SseUnit>,
            Mnemonic.Vmaskmovdqu => &StoreBytes<AvxUnit>,
            Mnemonic.Vmaskmovps or Mnemonic.Vpmaskmovd => Pick<uint>(store, wide),
            Mnemonic.Vmaskmovpd or Mnemonic.Vpmaskmovq => Pick<ulong>(store, wide),
            _ => null,
        };
    }

    private static Handler Pick<T>(bool store, bool wide) where T : unmanaged
        => store ? wide ? &Store<T, Vector256<byte>> : &Store<T, Vector128<byte>>
            : wide ? &Load<T, Vector256<byte>> : &Load<T, Vector128<byte>>;

    private static Op* StoreMmxBytes(CpuState* s, Op* op)
    {
        if (!MmxUnit.Ready(s))
            return MmxUnit.Unavailable(s, op);
        // As on Zen even if a page fault follows.
        X87State.EnterMmx(s);
        byte* registers = s->Fx + X87State.Registers;
        ulong address = StringAddress(s, op);
        return CanWriteAll(s, op, address, 8) && WriteElements<byte>(s, op, address, registers + op->Destination * 16, registers + op->Source * 16, 8)
            ? op + 1 : null;
    }

    private static Op* StoreBytes<TUnit>(CpuState* s, Op* op) where TUnit : struct, IExecutionUnit
    {
        if (!TUnit.Ready(s))
            return TUnit.Unavailable(s, op);
        ulong address = StringAddress(s, op);
        return CanWriteAll(s, op, address, 16) && WriteElements<byte>(s, op, address, Register(s, op->Destination), Register(s, op->Source), 16)
            ? op + 1 : null;
    }

    /// <summary>Zen wants all of the operand writable, bytes that the mask leaves out too (the manual lets it).</summary>
    private static bool CanWriteAll(CpuState* s, Op* op, ulong address, int size)
        => Operand.Linear(s, op, op->Segment, address, size, true, out ulong linear) && LinearMemory.ProbeWrite(s, op, linear, size);

    /// <summary>(E)DI or RDI: MASKMOVQ and MASKMOVDQU name no base register.</summary>
    private static ulong StringAddress(CpuState* s, Op* op)
        => (op->Flags & OpFlags.Address16) != 0 ? (ushort)s->Rdi : (op->Flags & OpFlags.Address32) != 0 ? (uint)s->Rdi : s->Rdi;

    private static byte* Register(CpuState* s, byte number) => s->Vectors + number * CpuState.VectorSize;

    /// <summary>Mask in the first register operand, data in the second.</summary>
    private static Op* Store<T, TVector>(CpuState* s, Op* op) where T : unmanaged where TVector : unmanaged
    {
        if (!AvxUnit.Ready(s))
            return AvxUnit.Unavailable(s, op);
        return WriteElements<T>(s, op, Operand.EffectiveAddress(s, op), Register(s, op->Source), Register(s, op->Destination), sizeof(TVector) / sizeof(T))
            ? op + 1 : null;
    }

    /// <summary>Destination, then mask. Elements left out become 0.</summary>
    private static Op* Load<T, TVector>(CpuState* s, Op* op) where T : unmanaged where TVector : unmanaged
    {
        if (!AvxUnit.Ready(s))
            return AvxUnit.Unavailable(s, op);
        Vector256<byte> result = default;
        byte* mask = Register(s, op->Source);
        ulong address = Operand.EffectiveAddress(s, op);
        for (int i = 0; i < sizeof(TVector); i += sizeof(T))
        {
            if (!IsSet<T>(mask + i))
                continue;
            if (!Operand.Linear(s, op, op->Segment, Element(op, address, i), sizeof(T), false, out ulong linear)
                || !LinearMemory.Read(s, op, linear, out T value))
                return null;
            *(T*)((byte*)&result + i) = value;
        }
        *(Vector256<byte>*)Register(s, op->Destination) = result;
        return op + 1;
    }

    /// <summary>Writes the elements whose mask has its top bit set, once none of them can fault.</summary>
    private static bool WriteElements<T>(CpuState* s, Op* op, ulong address, byte* data, byte* mask, int count) where T : unmanaged
    {
        for (int i = 0; i < count; i++)
        {
            if (IsSet<T>(mask + i * sizeof(T)) && !(Linear(i, out ulong probed) && HostStub.CanWrite<T>(s, op, probed)))
                return false;
        }
        for (int i = 0; i < count; i++)
        {
            if (IsSet<T>(mask + i * sizeof(T)))
            {
                Linear(i, out ulong linear);
                LinearMemory.Write(s, op, linear, ((T*)data)[i]);
            }
        }
        return true;

        bool Linear(int i, out ulong linear)
            => Operand.Linear(s, op, op->Segment, Element(op, address, i * sizeof(T)), sizeof(T), true, out linear);
    }

    /// <summary>Offset of an element; it wraps at the address size.</summary>
    private static ulong Element(Op* op, ulong address, int offset)
    {
        address += (ulong)offset;
        return (op->Flags & OpFlags.Address16) != 0 ? (ushort)address : (op->Flags & OpFlags.Address32) != 0 ? (uint)address : address;
    }

    private static bool IsSet<T>(byte* element) where T : unmanaged => (sbyte)element[sizeof(T) - 1] < 0;
}
