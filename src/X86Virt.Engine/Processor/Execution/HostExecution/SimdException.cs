namespace X86Virt.Engine.Processor;

/// <summary>#XM (AMD volume 1, 4.10): unmasked SIMD floating-point exceptions.</summary>
internal static unsafe class SimdException
{
    /// <summary>Invalid operation, denormal, divide by zero: found before computing, they keep the others from being found.</summary>
    private const uint BeforeComputing = 7;

    /// <summary>MXCSR.UM.</summary>
    public const int UnderflowMask = 0x800;

    /// <summary>Bits of MXCSR that software may set.</summary>
    public const uint WritableMxcsr = 0xFFFF;

    /// <summary>
    /// Raises the exception for flags of which at least one is unmasked. No destination has been written.
    /// </summary>
    /// <remarks>
    /// The host computes with overflow and underflow masked and calls both inexact; unmasked they need not be, so PE may be set in excess.
    /// </remarks>
    public static Op* Raise(CpuState* s, Op* op, uint raised)
    {
        uint unmasked = raised & ~(s->Mxcsr >> 7);
        s->Mxcsr |= (unmasked & BeforeComputing) != 0 ? raised & BeforeComputing : raised;
        return (s->Cr4 & Cr4.Osxmmexcpt) != 0 ? Fault.Raise(s, op, Vector.SimdFloatingPoint) : Fault.InvalidOpcode(s, op);
    }
}
