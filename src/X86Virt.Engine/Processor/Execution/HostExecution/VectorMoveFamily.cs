using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>
/// Moves of whole vectors between registers and memory, and VZEROUPPER, VZEROALL. The host could execute them too; they are the commonest
/// vector instructions by far (copying, clearing), and a handler of their own saves the way through <see cref="CpuState.Operand"/>.
/// </summary>
internal static unsafe class VectorMoveFamily
{
    public static Handler Bind(in Instruction instruction, bool memory)
    {
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Movups or Mnemonic.Movupd or Mnemonic.Movdqu or Mnemonic.Movaps or Mnemonic.Movapd or Mnemonic.Movdqa:
            case Mnemonic.Lddqu or Mnemonic.Movntps or Mnemonic.Movntpd or Mnemonic.Movntdq or Mnemonic.Movntdqa:
                return HostFeatures.Executes(instruction.Code) ? Pick<SseUnit, Vector128<byte>>(instruction, memory) : null;
            case Mnemonic.Vmovups or Mnemonic.Vmovupd or Mnemonic.Vmovdqu or Mnemonic.Vmovaps or Mnemonic.Vmovapd or Mnemonic.Vmovdqa:
            case Mnemonic.Vlddqu or Mnemonic.Vmovntps or Mnemonic.Vmovntpd or Mnemonic.Vmovntdq or Mnemonic.Vmovntdqa:
                if (!HostFeatures.Executes(instruction.Code))
                    return null;
                return instruction.Op0Register.IsYMM() || instruction.Op1Register.IsYMM()
                    ? Pick<AvxUnit, Vector256<byte>>(instruction, memory)
                    : Pick<AvxUnit, Vector128<byte>>(instruction, memory);
            case Mnemonic.Vzeroupper:
                return HostFeatures.Executes(instruction.Code) ? &ZeroUpper : null;
            case Mnemonic.Vzeroall:
                return HostFeatures.Executes(instruction.Code) ? &ZeroAll : null;
            default:
                return null;
        }
    }

    private static Handler Pick<TUnit, T>(in Instruction instruction, bool memory) where TUnit : struct, IExecutionUnit where T : unmanaged
    {
        // The store forms of register moves name their source second as the load forms do, but in the other slot of ModRM.
        if (!memory)
            return &Copy<TUnit, T>;
        bool aligned = HostExecutedFamily.NeedsAlignment(instruction);
        if (instruction.Op0Kind == OpKind.Memory)
            return aligned ? &StoreAligned<TUnit, T> : &Store<TUnit, T>;
        return aligned ? &LoadAligned<TUnit, T> : &Load<TUnit, T>;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static T* Register<T>(CpuState* s, byte number) where T : unmanaged => (T*)(s->Vectors + number * CpuState.VectorSize);

    /// <summary>Writes a register as legacy and VEX instructions do: the latter clear what they do not write.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Set<TUnit, T>(CpuState* s, byte number, T value) where TUnit : struct, IExecutionUnit where T : unmanaged
    {
        *Register<T>(s, number) = value;
        if (typeof(TUnit) == typeof(AvxUnit) && sizeof(T) == 16)
            Register<Vector128<byte>>(s, number)[1] = default;
    }

    private static Op* Copy<TUnit, T>(CpuState* s, Op* op) where TUnit : struct, IExecutionUnit where T : unmanaged
    {
        if (!TUnit.Ready(s))
            return TUnit.Unavailable(s, op);
        Set<TUnit, T>(s, op->Destination, *Register<T>(s, op->Source));
        return op + 1;
    }

    private static Op* Load<TUnit, T>(CpuState* s, Op* op) where TUnit : struct, IExecutionUnit where T : unmanaged
        => Load<TUnit, T>(s, op, 1);

    private static Op* LoadAligned<TUnit, T>(CpuState* s, Op* op) where TUnit : struct, IExecutionUnit where T : unmanaged
        => Load<TUnit, T>(s, op, (uint)sizeof(T));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Op* Load<TUnit, T>(CpuState* s, Op* op, uint alignment) where TUnit : struct, IExecutionUnit where T : unmanaged
    {
        if (!TUnit.Ready(s))
            return TUnit.Unavailable(s, op);
        // Misalignment comes before the segment's limit.
        ulong address = Operand.EffectiveAddress(s, op);
        if (((address + s->AddressBase[(int)op->Segment]) & (alignment - 1)) != 0)
            return Fault.GeneralProtection(s, op);
        if (!Operand.Linear(s, op, op->Segment, address, sizeof(T), false, out ulong linear))
            return null;
        if (!LinearMemory.Read(s, op, linear, out T value))
            return null;
        Set<TUnit, T>(s, op->Destination, value);
        return op + 1;
    }

    private static Op* Store<TUnit, T>(CpuState* s, Op* op) where TUnit : struct, IExecutionUnit where T : unmanaged
        => Store<TUnit, T>(s, op, 1);

    private static Op* StoreAligned<TUnit, T>(CpuState* s, Op* op) where TUnit : struct, IExecutionUnit where T : unmanaged
        => Store<TUnit, T>(s, op, (uint)sizeof(T));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Op* Store<TUnit, T>(CpuState* s, Op* op, uint alignment) where TUnit : struct, IExecutionUnit where T : unmanaged
    {
        if (!TUnit.Ready(s))
            return TUnit.Unavailable(s, op);
        // Misalignment comes before the segment's limit.
        ulong address = Operand.EffectiveAddress(s, op);
        if (((address + s->AddressBase[(int)op->Segment]) & (alignment - 1)) != 0)
            return Fault.GeneralProtection(s, op);
        if (!Operand.Linear(s, op, op->Segment, address, sizeof(T), true, out ulong linear))
            return null;
        return LinearMemory.Write(s, op, linear, *Register<T>(s, op->Destination)) ? op + 1 : null;
    }

    private static Op* ZeroUpper(CpuState* s, Op* op)
    {
        if (!AvxUnit.Ready(s))
            return AvxUnit.Unavailable(s, op);
        for (int i = 0; i < FxImage.XmmCount(s); i++)
            Register<Vector128<byte>>(s, (byte)i)[1] = default;
        return op + 1;
    }

    private static Op* ZeroAll(CpuState* s, Op* op)
    {
        if (!AvxUnit.Ready(s))
            return AvxUnit.Unavailable(s, op);
        new Span<byte>(s->Vectors, FxImage.XmmCount(s) * CpuState.VectorSize).Clear();
        return op + 1;
    }
}
