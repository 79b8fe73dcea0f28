using System.Runtime.InteropServices;

namespace X86Virt.Engine.Processor;

/// <summary>A segment register with its hidden part, laid out as in AMD's VMCB (AMD volume 2, appendix B).</summary>
[StructLayout(LayoutKind.Sequential, Size = 16)]
public struct SegmentRegister
{
    internal const int SelectorOffset = 0, BaseOffset = 8;

    public ushort Selector;

    /// <summary>Bits 0-3 type, 4 S, 5-6 DPL, 7 P, 8 AVL, 9 L, 10 D/B, 11 G.</summary>
    public SegmentAttributes Attributes;

    /// <summary>Byte-granular limit, already scaled by G.</summary>
    public uint Limit;

    public ulong Base;

    public readonly int Type => (int)Attributes & 0xF;
    public readonly int Dpl => ((int)Attributes >> 5) & 3;
    public readonly bool Present => (Attributes & SegmentAttributes.Present) != 0;
    public readonly bool IsCode => (Attributes & (SegmentAttributes.CodeOrData | SegmentAttributes.Code)) == (SegmentAttributes.CodeOrData | SegmentAttributes.Code);
    public readonly bool Big => (Attributes & SegmentAttributes.Big) != 0;
    public readonly bool Long => (Attributes & SegmentAttributes.Long) != 0;
}

/// <summary>Descriptor attributes squeezed into 12 bits, as in the VMCB.</summary>
[Flags]
public enum SegmentAttributes : ushort
{
    None = 0,
    Accessed = 1 << 0,

    /// <summary>Writable (data) or readable (code).</summary>
    Writable = 1 << 1,

    /// <summary>Expand-down (data) or conforming (code).</summary>
    ExpandDown = 1 << 2,
    Code = 1 << 3,

    /// <summary>The S bit: set for code and data, clear for system descriptors.</summary>
    CodeOrData = 1 << 4,
    DplMask = 3 << 5,
    Present = 1 << 7,
    Available = 1 << 8,
    Long = 1 << 9,
    Big = 1 << 10,
    Granular = 1 << 11,
}

/// <summary>Encoding order of the segment registers, then the two system ones.</summary>
public enum Segment : byte
{
    Es, Cs, Ss, Ds, Fs, Gs, Ldtr, Tr,
}

/// <summary>GDTR or IDTR.</summary>
[StructLayout(LayoutKind.Sequential, Size = 16)]
public struct DescriptorTableRegister
{
    public ulong Base;
    public uint Limit;
}
