using System.Runtime.InteropServices;

namespace X86Virt.Engine.Processor;

/// <summary>What the translator made of one instruction of a unit.</summary>
[StructLayout(LayoutKind.Sequential, Size = 4)]
public struct TranslatedOp
{
    /// <summary>Where its host code begins, from the beginning of the unit's.</summary>
    public ushort HostOffset;

    public TranslationKind Kind;

    /// <summary>Times that it trapped.</summary>
    public byte Traps;
}
