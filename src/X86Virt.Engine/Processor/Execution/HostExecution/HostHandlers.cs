using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace X86Virt.Engine.Processor;

/// <summary>An 80-bit operand.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 2, Size = 10)]
internal readonly struct Float80
{
    private readonly ulong _significand;
    private readonly ushort _exponent;
}

/// <summary>
/// Handlers around the stubs of one execution unit: they check that the unit may execute, carry the memory operand between guest memory and
/// <see cref="CpuState.Operand"/> with all its faults, and call the stub that <see cref="Op.Immediate"/> points at.
/// </summary>
internal static unsafe class HostHandlers<TUnit> where TUnit : struct, IExecutionUnit
{
    /// <summary>Picks the handler for a memory operand of <paramref name="size"/> bytes.</summary>
    public static Handler PickMemory(int size, bool store, bool aligned) => size switch
    {
        1 => Pick<byte>(store, aligned),
        2 => Pick<ushort>(store, aligned),
        4 => Pick<uint>(store, aligned),
        8 => Pick<ulong>(store, aligned),
        16 => Pick<Vector128<byte>>(store, aligned),
        32 => Pick<Vector256<byte>>(store, aligned),
        _ => null,
    };

    private static Handler Pick<T>(bool store, bool aligned) where T : unmanaged
        => store ? aligned ? &StoreAligned<T> : &Store<T> : aligned ? &LoadAligned<T> : &Load<T>;

    public static Op* Registers(CpuState* s, Op* op)
    {
        if (!TUnit.Ready(s))
            return TUnit.Unavailable(s, op);
        uint raised = HostStub.Call(s, op);
        return raised == 0 ? op + 1 : SimdException.Raise(s, op, raised);
    }

    private static Op* Load<T>(CpuState* s, Op* op) where T : unmanaged => Load<T>(s, op, 1);

    private static Op* LoadAligned<T>(CpuState* s, Op* op) where T : unmanaged => Load<T>(s, op, (uint)sizeof(T));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Op* Load<T>(CpuState* s, Op* op, uint alignment) where T : unmanaged
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
        *(T*)s->Operand = value;
        uint raised = HostStub.Call(s, op);
        return raised == 0 ? op + 1 : SimdException.Raise(s, op, raised);
    }

    private static Op* Store<T>(CpuState* s, Op* op) where T : unmanaged => Store<T>(s, op, 1);

    private static Op* StoreAligned<T>(CpuState* s, Op* op) where T : unmanaged => Store<T>(s, op, (uint)sizeof(T));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Op* Store<T>(CpuState* s, Op* op, uint alignment) where T : unmanaged
    {
        if (!TUnit.Ready(s))
            return TUnit.Unavailable(s, op);
        // Misalignment comes before the segment's limit.
        ulong address = Operand.EffectiveAddress(s, op);
        if (((address + s->AddressBase[(int)op->Segment]) & (alignment - 1)) != 0)
            return Fault.GeneralProtection(s, op);
        if (!Operand.Linear(s, op, op->Segment, address, sizeof(T), true, out ulong linear))
            return null;
        // The stub may set exception flags or enter MMX mode, which a page fault must not.
        if (!HostStub.CanWrite<T>(s, op, linear))
            return null;
        uint raised = HostStub.Call(s, op);
        if (raised != 0)
            return SimdException.Raise(s, op, raised);
        return LinearMemory.Write(s, op, linear, *(T*)s->Operand) ? op + 1 : null;
    }
}

/// <summary>Calls stubs.</summary>
internal static unsafe class HostStub
{
    /// <summary>Executes the stub of an entry: a few instructions that neither block nor fault, so the runtime need not be told.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint Call(CpuState* s, Op* op)
        => ((delegate* unmanaged[SuppressGCTransition]<CpuState*, Op*, uint>)op->Immediate)(s, op);

    /// <summary>Raises the fault that a write would raise, so that the instruction can execute before it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool CanWrite<T>(CpuState* s, Op* op, ulong linear) where T : unmanaged
        => (((linear + (ulong)(sizeof(T) - 1)) ^ linear) & ~0xFFFUL) == 0 && LinearMemory.Direct(s, linear, write: true) != null
            || LinearMemory.ProbeWrite(s, op, linear, sizeof(T));
}
