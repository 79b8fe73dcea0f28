namespace X86Virt.Engine.Platform;

/// <summary>
/// What firmware does to the PCI bus before it starts an operating system: gives every base address register an address, switches
/// decoding on, and leads interrupt requests to the interrupts that the ACPI tables name.
/// </summary>
internal static class PciSetup
{
    /// <summary>Interrupts of PIRQA to PIRQD.</summary>
    public static ReadOnlySpan<byte> PirqIrqs => [10, 10, 11, 11];

    /// <summary>The end of the window for PCI memory: the I/O APIC's page comes next.</summary>
    public const uint MemoryEnd = 0xFEC0_0000;

    private const uint FirstPort = 0xC000;

    public static void Configure(PciBus bus, IsaBridge isa, Pic pic)
    {
        int levels = 0;
        for (int i = 0; i < PciBus.PirqCount; i++)
        {
            isa.WriteConfiguration(IsaBridge.PirqRoute + i, 1, PirqIrqs[i]);
            levels |= 1 << PirqIrqs[i];
        }
        pic.EdgeLevel |= (ushort)levels;

        uint port = FirstPort;
        ulong memory = MemoryEnd;
        foreach (PciFunction function in bus.Functions)
        {
            if (function.InterruptPin != 0)
                function.WriteConfiguration(PciRegister.InterruptLine, 1, PirqIrqs[PciBus.PirqOf(function.Address, function.InterruptPin)]);
            PciCommand enable = function.Command;
            foreach (PciBar bar in function.Bars)
            {
                if (bar.Kind == PciBarKind.Io)
                {
                    port = (uint)((port + bar.Size - 1) & ~(bar.Size - 1));
                    function.WriteConfiguration(bar.Offset, 4, port);
                    port += (uint)bar.Size;
                    enable |= PciCommand.IoSpace;
                }
                else
                {
                    // From the top down, so that the window's start is of no concern.
                    memory = (memory - bar.Size) & ~(bar.Size - 1);
                    function.WriteConfiguration(bar.Offset, 4, (uint)memory);
                    enable |= PciCommand.MemorySpace;
                }
            }
            function.WriteConfiguration(PciRegister.Command, 2, (uint)enable);
        }
    }
}
