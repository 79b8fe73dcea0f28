using System.Runtime.CompilerServices;

namespace X86Virt.Engine.Processor;

/// <summary>Pushes and pops through SS:RSP at the width the stack segment gives the pointer.</summary>
internal static unsafe class Stack
{
    /// <summary>Writes below the stack pointer and moves it; false after a fault, with the pointer unmoved.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Push<T>(CpuState* s, Op* op, ulong value) where T : unmanaged
    {
        ulong pointer = (s->Rsp - (ulong)sizeof(T)) & s->StackMask;
        if (!Linear(s, op, pointer, sizeof(T), true, out ulong linear))
            return false;
        T raw;
        Operand.Store<T>(&raw, value);
        if (!LinearMemory.Write(s, op, linear, raw))
            return false;
        SetPointer(s, pointer);
        return true;
    }

    /// <summary>Raises the fault that a push would raise; writes nothing.</summary>
    public static bool Probe<T>(CpuState* s, Op* op) where T : unmanaged
        => Linear(s, op, (s->Rsp - (ulong)sizeof(T)) & s->StackMask, sizeof(T), true, out ulong linear) && LinearMemory.ProbeWrite(s, op, linear, sizeof(T));

    /// <summary>Reads at the stack pointer plus <paramref name="displacement"/> without moving it; false after a fault.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Peek<T>(CpuState* s, Op* op, int displacement, out ulong value) where T : unmanaged
    {
        value = 0;
        if (!Linear(s, op, (s->Rsp + (ulong)displacement) & s->StackMask, sizeof(T), false, out ulong linear)
            || !LinearMemory.Read(s, op, linear, out T raw))
            return false;
        value = Operand.Load<T>(&raw);
        return true;
    }

    /// <summary>Adds to the stack pointer, keeping what the stack's width does not reach.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Release(CpuState* s, long bytes) => SetPointer(s, s->Rsp + (ulong)bytes);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SetPointer(CpuState* s, ulong pointer)
    {
        if (s->StackMask == ~0UL)
            s->Rsp = pointer;
        else if (s->StackMask == 0xFFFF)
            *(ushort*)&s->Rsp = (ushort)pointer;
        else
            s->Rsp = (uint)pointer;
    }

    /// <summary>Linear address of an offset in SS; raises #SS where the segment does not allow the access.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Linear(CpuState* s, Op* op, ulong offset, int size, bool write, out ulong linear)
    {
        linear = offset;
        if ((s->Mode & CodeMode.Flat) == 0)
            return SegmentAccess.Check(s, op, Segment.Ss, offset, size, write, out linear);
        if (s->Code64 ? !(Canonical.Is(s, offset) && Canonical.Is(s, offset + (ulong)(size - 1))) : offset + (ulong)(size - 1) > uint.MaxValue)
        {
            Fault.Segment(s, op, Segment.Ss);
            return false;
        }
        return true;
    }
}
