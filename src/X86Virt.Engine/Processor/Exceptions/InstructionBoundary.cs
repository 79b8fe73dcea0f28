namespace X86Virt.Engine.Processor;

/// <summary>
/// What holds at one instruction boundary only: the interrupt shadow behind STI and MOV SS, and RF behind IRET. The boundary is named by
/// its retired-instruction count, so nothing has to be undone once the next instruction has retired.
/// </summary>
internal static unsafe class InstructionBoundary
{
    /// <summary>The shadow in force at the current boundary.</summary>
    public static InterruptShadow Shadow(CpuState* s) => s->BoundaryRetired == s->Retired ? s->Shadow : InterruptShadow.None;

    /// <summary>RF as the next instruction sees it.</summary>
    public static bool Resume(CpuState* s) => s->BoundaryRetired == s->Retired && (s->SystemFlags & Flags.Rf) != 0;

    /// <summary>
    /// Casts a shadow on the instruction behind <paramref name="op"/>, unless it stands in one itself: of several such instructions in
    /// a row only the first holds interrupts off.
    /// </summary>
    public static void CastShadow(CpuState* s, Op* op, InterruptShadow shadow)
    {
        long boundary = RetiredBehind(s, op);
        bool inShadow = s->Shadow != InterruptShadow.None && s->BoundaryRetired == boundary - 1;
        MoveTo(s, boundary);
        s->Shadow = inShadow ? InterruptShadow.None : shadow;
    }

    /// <summary>Sets or clears RF for the instruction that follows <paramref name="op"/>.</summary>
    public static void SetResume(CpuState* s, Op* op, bool resume)
    {
        MoveTo(s, RetiredBehind(s, op));
        if (resume)
            s->SystemFlags |= Flags.Rf;
    }

    /// <summary>An event was taken: the boundary is now in front of its handler.</summary>
    public static void Clear(CpuState* s) => MoveTo(s, s->Retired);

    private static void MoveTo(CpuState* s, long boundary)
    {
        s->BoundaryRetired = boundary;
        s->Shadow = InterruptShadow.None;
        s->SystemFlags &= ~Flags.Rf;
    }

    /// <summary>The retired-instruction count once the instruction has completed.</summary>
    private static long RetiredBehind(CpuState* s, Op* op)
        => op == null ? s->Retired : s->Retired - (Op.BlockOf(op)->Count - op->Ordinal - 1);
}
