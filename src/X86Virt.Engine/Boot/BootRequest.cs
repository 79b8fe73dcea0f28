using X86Virt.Engine.Memory;
using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Boot;

/// <summary>What kind of image a kernel is.</summary>
public enum BootFormat
{
    /// <summary>Recognise it by its headers.</summary>
    Auto,

    /// <summary>Linux bzImage or zImage, boot protocol 2.00 to 2.15.</summary>
    Linux,

    /// <summary>Multiboot version 1: ELF32, ELF64 or the address fields of the header.</summary>
    Multiboot,

    /// <summary>ELF with a PVH entry note (Linux vmlinux, Xen).</summary>
    Pvh,

    /// <summary>Any other static ELF program, run on the bare machine.</summary>
    Elf,

    /// <summary>Bytes that are copied to an address and run.</summary>
    Flat,
}

/// <summary>The processor mode that a guest is entered in.</summary>
public enum BootMode
{
    /// <summary>As the image asks; for flat binaries real mode below 1 MiB, protected mode above.</summary>
    Auto,
    Real,

    /// <summary>32-bit, flat segments, no paging.</summary>
    Protected,

    /// <summary>64-bit, the first 4 GiB mapped to themselves.</summary>
    Long,
}

/// <summary>A file that a boot loader hands to a kernel along with it.</summary>
public sealed record BootModule(BootFile File, string CommandLine = "");

/// <summary>What to boot.</summary>
public sealed record BootRequest(BootFile Kernel)
{
    public BootFile? InitialRamDisk { get; init; }

    /// <summary>ASCII; multiboot kernels find the kernel's file name in front of it, as boot loaders have it.</summary>
    public string CommandLine { get; init; } = "";

    /// <summary>Multiboot modules; an <see cref="InitialRamDisk"/> comes before them.</summary>
    public IReadOnlyList<BootModule> Modules { get; init; } = [];

    public BootFormat Format { get; init; }
    public BootMode Mode { get; init; }

    /// <summary>Guest-physical address of a flat binary.</summary>
    public ulong? LoadAddress { get; init; }

    /// <summary>Guest-physical address of a flat binary's first instruction, if that is not its first byte.</summary>
    public ulong? EntryPoint { get; init; }
}

/// <summary>The machine that is loaded into.</summary>
/// <param name="Memory">RAM, mapped.</param>
/// <param name="Cpu">The bootstrap processor; it is reset and set up for the first instruction.</param>
/// <param name="MemoryMap">What firmware reports; only usable ranges are loaded into.</param>
/// <param name="RsdpAddress">Where the ACPI tables start; 0 if there are none.</param>
/// <param name="HasTextDisplay">A VGA text screen of 80 by 25 at 0xB8000.</param>
public sealed record BootTarget(PhysicalMemory Memory, Cpu Cpu, IReadOnlyList<E820Entry> MemoryMap, ulong RsdpAddress = 0, bool HasTextDisplay = false);

/// <summary>A range of guest-physical memory that loading filled.</summary>
public sealed record BootRange(string What, ulong Address, ulong Length);

/// <summary>What was loaded where, and how the processor enters it.</summary>
/// <param name="Format">The recognised format.</param>
/// <param name="Description">Format and version in words.</param>
/// <param name="Mode">The processor mode at the entry.</param>
/// <param name="EntryPoint">Linear (and physical) address of the first instruction.</param>
/// <param name="Ranges">By address.</param>
public sealed record BootPlan(BootFormat Format, string Description, BootMode Mode, ulong EntryPoint, IReadOnlyList<BootRange> Ranges);
