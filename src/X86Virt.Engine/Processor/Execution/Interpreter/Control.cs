using System.Runtime.CompilerServices;

namespace X86Virt.Engine.Processor;

/// <summary>RIP inside a block, and the ways a handler ends one.</summary>
public static unsafe class Control
{
    /// <summary>Offset in CS of the instruction itself.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong RipOf(CpuState* s, Op* op) => Wrap(s, s->BlockRip + op->Offset);

    /// <summary>Offset in CS of the instruction after it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong NextRip(CpuState* s, Op* op) => Wrap(s, s->BlockRip + op->Offset + op->Length);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Wrap(CpuState* s, ulong rip) => s->Code64 ? rip : (uint)rip;

    /// <summary>
    /// Ends the block behind a completed instruction, for one after which the dispatch loop must look up: it changed the mode,
    /// mappings, IF or a device. Instructions behind it in the block are given back to the budget.
    /// </summary>
    public static Op* Complete(CpuState* s, Op* op)
    {
        s->Rip = NextRip(s, op);
        s->Budget += Op.BlockOf(op)->Count - op->Ordinal - 1;
        return null;
    }

    /// <summary>
    /// Ends the block on an instruction that has more iterations to go (REP): RIP stays on it, so that interrupts and the deadline are
    /// looked at in between. What was done counts as one retired instruction.
    /// </summary>
    public static Op* Repeat(CpuState* s, Op* op)
    {
        s->Rip = RipOf(s, op);
        s->Budget += Op.BlockOf(op)->Count - op->Ordinal - 1;
        return null;
    }

    /// <summary>The entry behind the last instruction of every block.</summary>
    public static Op* EndOfBlock(CpuState* s, Op* op)
    {
        s->Rip = RipOf(s, op);
        return null;
    }

    /// <summary>Stands in for an entry before which the block must be left: its code changed, or a device wants attention.</summary>
    public static Op* Leave(CpuState* s, Op* op)
    {
        s->Rip = RipOf(s, op);
        s->Budget += Op.BlockOf(op)->Count - op->Ordinal;
        return null;
    }

    /// <summary>
    /// Has the block left behind <paramref name="op"/>, whose handler is free to return the next entry as ever: a device was touched,
    /// so timers and interrupts must be looked at before another instruction runs.
    /// </summary>
    public static void LeaveAfter(CpuState* s, Op* op)
    {
        if (s->PatchedOp != null)
            return;
        Op* next = op + 1;
        s->PatchedOp = next;
        s->PatchedHandler = next->Handler;
        next->Handler = &Leave;
        s->Attend(Attention.Patched);
    }

    /// <summary>Undoes <see cref="LeaveAfter"/>.</summary>
    public static void RestorePatched(CpuState* s)
    {
        // An invalidated block has Leave in every entry, which must stay.
        if (s->PatchedOp != null && Op.BlockOf(s->PatchedOp)->Valid)
            s->PatchedOp->Handler = (Handler)s->PatchedHandler;
        s->PatchedOp = null;
        s->Attended(Attention.Patched);
    }
}
