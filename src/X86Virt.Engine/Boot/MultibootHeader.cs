namespace X86Virt.Engine.Boot;

/// <summary>The header that marks a multiboot kernel (Multiboot Specification 0.6.96, section 3.1): flags and, by flag, load addresses.</summary>
internal sealed record MultibootHeader(ulong Offset, uint Flags)
{
    private const uint Magic = 0x1BAD_B002;
    private const ulong SearchLength = 8192;

    /// <summary>Bits 0 to 15 that must be understood: page alignment of modules, memory information, a video mode.</summary>
    private const uint KnownRequirements = 7;

    public bool HasAddresses => (Flags & (1 << 16)) != 0;

    /// <summary>Bits that the kernel insists on and that no one here knows.</summary>
    public uint UnknownRequirements => Flags & 0xFFFF & ~KnownRequirements;

    public static MultibootHeader? Find(BootFile kernel)
    {
        for (ulong at = 0; at + 12 <= Math.Min(SearchLength, kernel.Length); at += 4)
        {
            if (kernel.U32(at, "the multiboot header") != Magic)
                continue;
            uint flags = kernel.U32(at + 4, "the multiboot header"), checksum = kernel.U32(at + 8, "the multiboot header");
            if (Magic + flags + checksum == 0)
                return new MultibootHeader(at, flags);
        }
        return null;
    }
}
