namespace X86Virt.Engine.Platform;

/// <summary>
/// The 82371SB ("PIIX3"), the bridge to the ISA bus. Its PIRQ route registers (0x60-0x63) lead the PCI bus's interrupt requests to
/// ISA interrupts; bit 7 disconnects one.
/// </summary>
public sealed class IsaBridge : PciFunction
{
    public const int PirqRoute = 0x60;
    public const byte Disconnected = 0x80;

    /// <summary>Interrupts that a request may be led to: not those of timer, keyboard, cascade, RTC and coprocessor.</summary>
    private const int Routable = 0xDEF8;

    private readonly IrqLine?[] _lines = new IrqLine?[InterruptRouter.IsaCount];
    private readonly bool[] _requests = new bool[PciBus.PirqCount];

    public IsaBridge(PciBus bus, InterruptRouter interrupts)
        : base(new PciAddress(1, 0), new PciIdentity(0x8086, 0x7000, 0x06_0100))
    {
        Preset16(PciRegister.Command, (ushort)(PciCommand.IoSpace | PciCommand.MemorySpace | PciCommand.BusMaster));
        Preset16(PciRegister.Status, 0x0200);
        Preset(PciRegister.HeaderType, 0x80);
        Preset16(PciRegister.SubsystemVendorId, 0);
        Preset16(PciRegister.SubsystemId, 0);
        // ISA refresh, X-bus chip select and motherboard DMA as at power-on (data sheet, 2.1).
        Preset(0x4C, 0x4D);
        Preset(0x4E, 0x03);
        Preset(0x69, 0x02);
        foreach (int offset in (ReadOnlySpan<int>)[0x4C, 0x4E, 0x4F, 0x69, 0x6A, 0x6B, 0x70, 0x71, 0x76, 0x77, 0x82])
            Writable(offset, 0xFF);
        for (int i = 0; i < PciBus.PirqCount; i++)
        {
            Preset(PirqRoute + i, Disconnected);
            Writable(PirqRoute + i, 0x8F);
        }
        for (int irq = 0; irq < InterruptRouter.IsaCount; irq++)
        {
            if ((Routable >> irq & 1) != 0)
                _lines[irq] = interrupts.CreateLine(irq);
        }
        bus.PirqChanged += SetRequest;
    }

    public override string Name => "ISA bridge";
    public override IReadOnlyList<DeviceRegister> Registers => [.. base.Registers, .. Enumerable.Range(0, PciBus.PirqCount).Select(i => new DeviceRegister($"PIRQ{(char)('A' + i)}", Get8(PirqRoute + i)))];

    private void SetRequest(int pirq, bool level)
    {
        _requests[pirq] = level;
        DriveLines();
    }

    public override void Reset()
    {
        base.Reset();
        DriveLines();
    }

    protected override void ConfigurationWritten(int offset, int size)
    {
        if (offset < PirqRoute + PciBus.PirqCount && offset + size > PirqRoute)
            DriveLines();
    }

    private void DriveLines()
    {
        int asserted = 0;
        for (int i = 0; i < PciBus.PirqCount; i++)
        {
            byte route = Get8(PirqRoute + i);
            if (_requests[i] && (route & Disconnected) == 0)
                asserted |= 1 << (route & 0xF);
        }
        for (int irq = 0; irq < _lines.Length; irq++)
        {
            if (_lines[irq] is { } line)
                line.Level = (asserted >> irq & 1) != 0;
        }
    }
}
