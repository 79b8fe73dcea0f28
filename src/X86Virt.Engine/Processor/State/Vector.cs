namespace X86Virt.Engine.Processor;

/// <summary>Exception vectors (AMD volume 2, 8.2).</summary>
public enum Vector : byte
{
    DivideError = 0,
    Debug = 1,
    Nmi = 2,
    Breakpoint = 3,
    Overflow = 4,
    BoundRange = 5,
    InvalidOpcode = 6,
    DeviceNotAvailable = 7,
    DoubleFault = 8,
    InvalidTss = 10,
    SegmentNotPresent = 11,
    StackFault = 12,
    GeneralProtection = 13,
    PageFault = 14,
    FloatingPoint = 16,
    AlignmentCheck = 17,
    MachineCheck = 18,
    SimdFloatingPoint = 19,

    /// <summary>#SX, of SVM.</summary>
    Security = 30,
}

internal static class VectorExtensions
{
    /// <summary>Whether an exception pushes an error code, outside real mode (AMD volume 2, table 8-1).</summary>
    public static bool HasErrorCode(this Vector vector)
        => vector is Vector.DoubleFault or Vector.InvalidTss or Vector.SegmentNotPresent or Vector.StackFault or Vector.GeneralProtection or Vector.PageFault or Vector.AlignmentCheck
            or Vector.Security;
}
