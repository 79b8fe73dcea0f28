using System.Runtime.CompilerServices;

namespace X86Virt.Engine.Processor;

/// <summary>
/// How a handler stops: it raises an exception and returns what the method returned (null). State is then as before the instruction:
/// RIP is put back on it, and the instructions of the block that did not retire are given back to the budget.
/// Entries given as null belong to no instruction (delivery of an event, a debugger); RIP is exact already.
/// </summary>
public static unsafe class Fault
{
    public static Op* Raise(CpuState* s, Op* op, Vector vector) => Raise(s, op, vector, 0, false);

    public static Op* Raise(CpuState* s, Op* op, Vector vector, uint errorCode) => Raise(s, op, vector, errorCode, true);

    public static Op* GeneralProtection(CpuState* s, Op* op, uint errorCode = 0) => Raise(s, op, Vector.GeneralProtection, errorCode, true);

    public static Op* InvalidOpcode(CpuState* s, Op* op) => Raise(s, op, Vector.InvalidOpcode, 0, false);

    /// <summary>The fault of a memory operand through <paramref name="segment"/>: #SS for the stack segment, else #GP.</summary>
    public static Op* Segment(CpuState* s, Op* op, Segment segment)
        => Raise(s, op, segment == Processor.Segment.Ss ? Vector.StackFault : Vector.GeneralProtection, 0, true);

    /// <summary>#PF; CR2 is loaded on the way to delivery.</summary>
    public static Op* Page(CpuState* s, Op* op, ulong linear, PageFaultCode code)
    {
        Raise(s, op, Vector.PageFault, (uint)code, true);
        s->Exception.Address = linear;
        return null;
    }

    /// <summary>#DB; DR6 is loaded when the exception is delivered.</summary>
    internal static Op* Debug(CpuState* s, Op* op, uint bits)
    {
        Raise(s, op, Vector.Debug, 0, false);
        s->Exception.Address = bits;
        return null;
    }

    /// <summary>Puts RIP on the instruction, of which nothing is done; null leaves it where it is.</summary>
    internal static void Rewind(CpuState* s, Op* op)
    {
        if (op == null)
            return;
        s->Rip = Control.RipOf(s, op);
        s->Budget += Op.BlockOf(op)->Count - op->Ordinal;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Op* Raise(CpuState* s, Op* op, Vector vector, uint errorCode, bool hasErrorCode)
    {
        Rewind(s, op);
        s->Exception = new PendingException { Vector = vector, ErrorCode = errorCode, HasErrorCode = hasErrorCode };
        s->Attend(Attention.Exception);
        return null;
    }
}
