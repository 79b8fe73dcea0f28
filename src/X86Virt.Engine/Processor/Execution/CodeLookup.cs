using System.Runtime.InteropServices;

namespace X86Virt.Engine.Processor;

/// <summary>
/// The direct-mapped table that leads from a linear address to the code of the block that starts there. An entry is good while its key equals
/// <see cref="CpuState.LookupKey"/>, so that changing the mode, or advancing the generation, drops all entries at once.
/// </summary>
[StructLayout(LayoutKind.Sequential, Size = EntrySize)]
internal unsafe struct CodeLookup
{
    public const int Entries = 1 << 12;
    public const int EntrySize = 32;
    public const int SizeInBytes = Entries * EntrySize;

    // What translated code names in an entry.
    public const int LinearOffset = 0;
    public const int KeyOffset = 8;
    public const int HostOffset = 16;

    public ulong Linear;
    public ulong Key;

    /// <summary>Executable address of the host code; null where blocks are only decoded.</summary>
    public byte* Host;
    public Block* Block;

    /// <summary>Offset of the entry for an address in the table. Translated code computes the same: (a &lt;&lt; 5 ^ a &gt;&gt; 7) &amp; mask.</summary>
    public static int OffsetOf(ulong linear) => (int)((linear << 5) ^ (linear >> 7)) & IndexMask;

    public const int IndexMask = SizeInBytes - EntrySize;

    public static CodeLookup* Entry(CpuState* s, ulong linear) => (CodeLookup*)((byte*)s + CpuState.LookupOffset + OffsetOf(linear));
}
