using System.Runtime.Intrinsics;
using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>
/// VGATHERDPS to VPGATHERQQ (AMD volume 4): element by element, each done being cleared in the mask, so that after a fault the
/// instruction goes on where it stopped.
/// </summary>
internal static unsafe class GatherFamily
{
    public static Handler Bind(in Instruction instruction)
    {
        if (!HostFeatures.Executes(instruction.Code) || instruction.Encoding != EncodingKind.VEX)
            return null;
        bool wideIndex = instruction.MemoryIndex.IsYMM(), wideData = instruction.Op0Register.IsYMM();
        return instruction.Mnemonic switch
        {
            Mnemonic.Vgatherdps or Mnemonic.Vpgatherdd => wideData ? &Gather<uint, int, Eight> : &Gather<uint, int, Four>,
            Mnemonic.Vgatherdpd or Mnemonic.Vpgatherdq => wideData ? &Gather<ulong, int, Four> : &Gather<ulong, int, Two>,
            Mnemonic.Vgatherqps or Mnemonic.Vpgatherqd => wideIndex ? &Gather<uint, long, Four> : &Gather<uint, long, Two>,
            Mnemonic.Vgatherqpd or Mnemonic.Vpgatherqq => wideIndex ? &Gather<ulong, long, Four> : &Gather<ulong, long, Two>,
            _ => null,
        };
    }

    private interface ICount
    {
        static abstract int Value { get; }
    }

    private readonly struct Two : ICount
    {
        public static int Value => 2;
    }

    private readonly struct Four : ICount
    {
        public static int Value => 4;
    }

    private readonly struct Eight : ICount
    {
        public static int Value => 8;
    }

    private static byte* Register(CpuState* s, byte number) => s->Vectors + number * CpuState.VectorSize;

    /// <summary>Destination in the first register operand, mask in the second, index by number in <see cref="Op.Index"/>.</summary>
    private static Op* Gather<T, TIndex, TCount>(CpuState* s, Op* op) where T : unmanaged where TIndex : unmanaged where TCount : ICount
    {
        if (!AvxUnit.Ready(s))
            return AvxUnit.Unavailable(s, op);
        if (op->Destination == op->Source || op->Destination == op->Index || op->Source == op->Index)
            return Fault.InvalidOpcode(s, op);
        T* destination = (T*)Register(s, op->Destination), mask = (T*)Register(s, op->Source);
        byte* indices = Register(s, op->Index);
        ulong start = *(ulong*)((byte*)s + op->Base) + (ulong)(long)op->Displacement;
        for (int i = 0; i < TCount.Value; i++)
        {
            if ((sbyte)((byte*)(mask + i))[sizeof(T) - 1] < 0)
            {
                long index = sizeof(TIndex) == 4 ? ((int*)indices)[i] : ((long*)indices)[i];
                ulong address = start + (ulong)(index << op->Scale);
                if ((op->Flags & OpFlags.Narrow) != 0)
                    address = (uint)address;
                if (!Operand.Linear(s, op, op->Segment, address, sizeof(T), false, out ulong linear)
                    || !LinearMemory.Read(s, op, linear, out destination[i]))
                    return null;
            }
            mask[i] = default;
        }
        ClearAbove(destination, TCount.Value * sizeof(T));
        *(Vector256<byte>*)mask = default;
        return op + 1;
    }

    private static void ClearAbove(void* register, int bytes) => new Span<byte>((byte*)register + bytes, CpuState.VectorSize - bytes).Clear();
}
