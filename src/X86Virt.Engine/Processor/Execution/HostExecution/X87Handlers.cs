using System.Runtime.CompilerServices;

namespace X86Virt.Engine.Processor;

/// <summary>Handlers around x87 stubs: state in and out, memory operands, instruction and data pointers.</summary>
internal static unsafe class X87Handlers
{
    // Layout of FNSAVE's 32-bit image.
    private const int ImageStatus = 4, ImageTags = 8, ImageRegisters = 28;

    private const int StoreSuppressing = 0x19;

    public static Handler PickMemory(int size, bool store) => size switch
    {
        2 => store ? &Store<ushort> : &Load<ushort>,
        4 => store ? &Store<uint> : &Load<uint>,
        8 => store ? &Store<ulong> : &Load<ulong>,
        _ => store ? &Store<Float80> : &Load<Float80>,
    };

    public static Op* Registers(CpuState* s, Op* op)
    {
        if (!X87Unit.Ready(s))
            return X87Unit.Unavailable(s, op);
        Execute(s, op);
        return op + 1;
    }

    private static Op* Load<T>(CpuState* s, Op* op) where T : unmanaged
    {
        if (!X87Unit.Ready(s))
            return X87Unit.Unavailable(s, op);
        if (!Operand.Linear(s, op, sizeof(T), false, out ulong linear) || !LinearMemory.Read(s, op, linear, out T value))
            return null;
        *(T*)s->Operand = value;
        Execute(s, op);
        PointAtData(s, op);
        return op + 1;
    }

    private static Op* Store<T>(CpuState* s, Op* op) where T : unmanaged
    {
        if (!X87Unit.Ready(s))
            return X87Unit.Unavailable(s, op);
        if (!Operand.Linear(s, op, sizeof(T), true, out ulong linear) || !HostStub.CanWrite<T>(s, op, linear))
            return null;
        Execute(s, op);
        PointAtData(s, op);
        // An unmasked invalid operation, overflow or underflow leaves the destination alone; an inexact result is stored.
        if (X87State.ExceptionPending(s) && (X87State.Status(s) & ~X87State.Control(s) & StoreSuppressing) != 0)
            return op + 1;
        return LinearMemory.Write(s, op, linear, *(T*)s->Operand) ? op + 1 : null;
    }

    private static void PointAtData(CpuState* s, Op* op)
    {
        X87State.DataPointer(s) = Operand.EffectiveAddress(s, op);
        X87State.DataSegment(s) = CpuState.Seg(s, op->Segment)->Selector;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Execute(CpuState* s, Op* op)
    {
        MakeHostImage(s);
        HostStub.Call(s, op);
        TakeHostImage(s);
        X87State.InstructionPointer(s) = Control.RipOf(s, op);
        X87State.InstructionSegment(s) = CpuState.Seg(s, Segment.Cs)->Selector;
        if (X87State.ExceptionPending(s))
            X87State.RecordOpcode(s, op);
    }

    /// <summary>Puts control, status and tag word and the registers into <see cref="CpuState.HostX87"/> for FRSTOR.</summary>
    public static void MakeHostImage(CpuState* s)
    {
        byte* image = s->HostX87;
        *(uint*)image = X87State.Control(s);
        *(uint*)(image + ImageStatus) = X87State.Status(s);
        *(uint*)(image + ImageTags) = EmptyTags(X87State.Tags(s));
        byte* packed = image + ImageRegisters;
        for (int i = 0; i < 8; i++, packed += 10)
        {
            byte* register = X87State.St(s, i);
            *(ulong*)packed = *(ulong*)register;
            *(ushort*)(packed + 8) = *(ushort*)(register + 8);
        }
    }

    /// <summary>Takes them back from what FNSAVE left there.</summary>
    public static void TakeHostImage(CpuState* s)
    {
        byte* image = s->HostX87;
        s->LiveUnits = DataUnits.None;
        X87State.Control(s) = *(ushort*)image;
        X87State.Status(s) = *(ushort*)(image + ImageStatus);
        X87State.SetFullTags(s, *(ushort*)(image + ImageTags));
        byte* packed = image + ImageRegisters;
        for (int i = 0; i < 8; i++, packed += 10)
        {
            byte* register = X87State.St(s, i);
            *(ulong*)register = *(ulong*)packed;
            *(ushort*)(register + 8) = *(ushort*)(packed + 8);
        }
    }

    /// <summary>A full tag word that says empty or not, which is all that FRSTOR looks at.</summary>
    private static uint EmptyTags(byte tags)
    {
        uint empty = 0;
        for (int i = 0; i < 8; i++)
            empty |= (tags >> i & 1) == 0 ? 3u << (i * 2) : 0;
        return empty;
    }
}
