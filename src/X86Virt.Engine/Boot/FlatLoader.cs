namespace X86Virt.Engine.Boot;

/// <summary>Bytes at an address, and static ELF programs on the bare machine.</summary>
internal static class FlatLoader
{
    private const ulong BootSectorAddress = 0x7C00, HighAddress = 0x10_0000;
    private const ulong StackLength = 0x1_0000;
    private const ulong FourGiB = 1UL << 32;

    public static BootPlan LoadFlat(BootRequest request, BootTarget target, BootFile image)
    {
        BootMode mode = request.Mode;
        ulong address = request.LoadAddress ?? (mode is BootMode.Auto or BootMode.Real ? BootSectorAddress : HighAddress);
        if (mode == BootMode.Auto)
            mode = address < HighAddress ? BootMode.Real : BootMode.Protected;
        ulong entry = request.EntryPoint ?? address;

        var layout = new GuestLayout(target);
        layout.Place(image.Name, "the image", address, image.Span);
        if (entry < address || entry - address >= image.Length)
            throw image.Invalid($"the entry point 0x{entry:x} is outside the image at 0x{address:x}-0x{address + image.Length - 1:x}", "Give an entry point inside it.");
        if (mode == BootMode.Real)
            EnterReal(target, image, address, entry);
        else
            Enter(target, layout, image, mode, entry);
        return new BootPlan(BootFormat.Flat, $"flat binary at 0x{address:x}", mode, entry, layout.Ranges);
    }

    public static BootPlan LoadElf(BootRequest request, BootTarget target, BootFile image)
    {
        if (request.InitialRamDisk != null || request.Modules.Count != 0)
            throw image.Unsupported("a plain ELF program takes neither an initial RAM disk nor modules", "Leave out -InitialRamDisk and -Module.");
        var elf = new ElfImage(image);
        BootMode mode = request.Mode == BootMode.Auto ? elf.Is64 ? BootMode.Long : BootMode.Protected : request.Mode;
        if (mode != (elf.Is64 ? BootMode.Long : BootMode.Protected))
            throw image.Unsupported($"an ELF{(elf.Is64 ? 64 : 32)} program is not entered in {mode} mode", "Leave the mode to the image.");
        var layout = new GuestLayout(target);
        elf.Place(layout);
        ulong entry = elf.PhysicalEntry();
        Enter(target, layout, image, mode, entry);
        return new BootPlan(BootFormat.Elf, $"ELF{(elf.Is64 ? 64 : 32)} program", mode, entry, layout.Ranges);
    }

    private static void EnterReal(BootTarget target, BootFile image, ulong address, ulong entry)
    {
        if (entry >= HighAddress)
            throw image.Unsupported($"the entry point 0x{entry:x} is out of real mode's reach", "Load it below 1 MiB, or enter it in protected or long mode.");

        // Segment 0 where it reaches, as firmware enters a boot sector; the stack grows down from the image.
        ushort segment = entry < 0x1_0000 ? (ushort)0 : (ushort)(address >> 4);
        ulong offset = entry - ((ulong)segment << 4);
        if (offset >= 0x1_0000)
            throw image.Unsupported($"the entry point 0x{entry:x} is more than 64 KiB above the load address 0x{address:x}", "Load the image closer to its entry point.");
        ulong stack = address is >= 0x1000 and < 0x1_0000 ? address & ~0xFUL : BootSectorAddress;
        EntryState.Real(target, segment, (ushort)offset, (ushort)stack);
    }

    /// <summary>Protected or long mode with a stack of its own; the tables go where the image is not.</summary>
    private static unsafe void Enter(BootTarget target, GuestLayout layout, BootFile image, BootMode mode, ulong entry)
    {
        if (entry >= FourGiB)
            throw image.Unsupported($"the entry point 0x{entry:x} is above 4 GiB", "Link or load it below.");
        ulong descriptors = layout.AllocateTables(image.Name, "descriptor table", 0x1000);
        if (mode == BootMode.Long)
        {
            if (!target.Cpu.Model.HasLongMode)
                throw image.Unsupported("the processor model has no long mode", "Choose another model (-ProcessorModel).");
            ulong tables = layout.AllocateTables(image.Name, "page tables", EntryState.PageTablesLength);
            ulong stack = layout.AllocateTables(image.Name, "stack", StackLength);

            // As at a function's entry: the slot of the return address makes RSP 8 modulo 16.
            EntryState.Long(target, layout, descriptors, tables, entry, stack + StackLength - 8);
        }
        else
        {
            ulong stack = layout.AllocateTables(image.Name, "stack", StackLength);
            EntryState.Protected(target, layout, descriptors, entry, stack + StackLength - 16);
        }
    }
}
