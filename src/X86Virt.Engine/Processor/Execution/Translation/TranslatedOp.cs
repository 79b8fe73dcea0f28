using System.Runtime.InteropServices;

namespace X86Virt.Engine.Processor;

/// <summary>What the translator made of one instruction of a unit.</summary>
[StructLayout(LayoutKind.Sequential, Size = 8)]
public struct TranslatedOp
{
    /// <summary>Where its host code begins, from the beginning of the unit's.</summary>
    public ushort HostOffset;

    public TranslationKind Kind;

    /// <summary>Times that it trapped, 255 at most.</summary>
    public byte Traps;

    /// <summary>Times that its handler was called.</summary>
    public uint Callouts;
}
