using System.Runtime.CompilerServices;

namespace X86Virt.Engine.Processor;

/// <summary>
/// Whether the instructions of a unit may execute now (CR0.EM, CR0.TS, CR4.OSFXSR, CR4.OSXSAVE, XCR0, a pending x87 exception), and
/// the exception that they raise if not, in the order that hardware looks (AMD volume 4, 1.2; volume 5, 1.8).
/// </summary>
internal unsafe interface IExecutionUnit
{
    static abstract bool Ready(CpuState* s);

    static abstract Op* Unavailable(CpuState* s, Op* op);
}

/// <summary>Legacy SSE instructions on XMM registers.</summary>
internal readonly unsafe struct SseUnit : IExecutionUnit
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Ready(CpuState* s) => ((uint)s->Cr0 & (uint)(Cr0.Em | Cr0.Ts)) == 0 && ((uint)s->Cr4 & (uint)Cr4.Osfxsr) != 0;

    public static Op* Unavailable(CpuState* s, Op* op)
        => (s->Cr0 & Cr0.Em) != 0 || (s->Cr4 & Cr4.Osfxsr) == 0 ? Fault.InvalidOpcode(s, op) : Fault.Raise(s, op, Vector.DeviceNotAvailable);
}

/// <summary>VEX-encoded instructions.</summary>
internal readonly unsafe struct AvxUnit : IExecutionUnit
{
    public const ulong StateBits = 6;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Ready(CpuState* s) => Enabled(s) && (s->Cr0 & Cr0.Ts) == 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Enabled(CpuState* s)
        => (s->Xcr0 & StateBits) == StateBits && (s->Cr4 & Cr4.Osxsave) != 0 && s->ProtectedMode && !s->Virtual8086;

    public static Op* Unavailable(CpuState* s, Op* op)
        => Enabled(s) ? Fault.Raise(s, op, Vector.DeviceNotAvailable) : Fault.InvalidOpcode(s, op);
}

/// <summary>Instructions on MMX registers alone.</summary>
internal readonly unsafe struct MmxUnit : IExecutionUnit
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Ready(CpuState* s) => ((uint)s->Cr0 & (uint)(Cr0.Em | Cr0.Ts)) == 0 && !X87State.ExceptionPending(s);

    public static Op* Unavailable(CpuState* s, Op* op)
    {
        if ((s->Cr0 & Cr0.Em) != 0)
            return Fault.InvalidOpcode(s, op);
        return Fault.Raise(s, op, (s->Cr0 & Cr0.Ts) != 0 ? Vector.DeviceNotAvailable : Vector.FloatingPoint);
    }
}

/// <summary>Instructions on MMX and XMM registers (CVTPS2PI, MOVDQ2Q and the like).</summary>
internal readonly unsafe struct MmxSseUnit : IExecutionUnit
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Ready(CpuState* s) => SseUnit.Ready(s) && !X87State.ExceptionPending(s);

    public static Op* Unavailable(CpuState* s, Op* op)
        => SseUnit.Ready(s) ? Fault.Raise(s, op, Vector.FloatingPoint) : SseUnit.Unavailable(s, op);
}

/// <summary>x87 instructions that wait for pending exceptions.</summary>
internal readonly unsafe struct X87Unit : IExecutionUnit
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Ready(CpuState* s) => ((uint)s->Cr0 & (uint)(Cr0.Em | Cr0.Ts)) == 0 && !X87State.ExceptionPending(s);

    /// <remarks>With CR0.NE clear a PC reports the exception by IRQ 13; here it is #MF whatever NE says.</remarks>
    public static Op* Unavailable(CpuState* s, Op* op)
        => Fault.Raise(s, op, (s->Cr0 & (Cr0.Em | Cr0.Ts)) != 0 ? Vector.DeviceNotAvailable : Vector.FloatingPoint);
}

/// <summary>x87 instructions that execute although an exception is pending (FNSTSW, FNINIT and the like), FXSAVE, FXRSTOR.</summary>
internal readonly unsafe struct X87ControlUnit : IExecutionUnit
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Ready(CpuState* s) => ((uint)s->Cr0 & (uint)(Cr0.Em | Cr0.Ts)) == 0;

    public static Op* Unavailable(CpuState* s, Op* op) => Fault.Raise(s, op, Vector.DeviceNotAvailable);
}
