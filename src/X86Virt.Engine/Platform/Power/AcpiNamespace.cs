namespace X86Virt.Engine.Platform;

/// <summary>
/// The DSDT's content: the devices of the board that an operating system cannot find by probing, the PCI root bridge with what it passes
/// on and where its interrupts go, and how to switch off.
/// </summary>
internal static class AcpiNamespace
{
    public static byte[] Build(BoardMemory map, IReadOnlyList<Device> devices) => Aml.Joined(
        Aml.Name("_S5", Aml.Package(Aml.Integer(PowerManagement.SoftOff), Aml.Integer(PowerManagement.SoftOff), Aml.Integer(0), Aml.Integer(0))),
        Aml.Scope("_SB",
            Aml.Device("C000", Aml.Name("_HID", Aml.Text("ACPI0007")), Aml.Name("_UID", Aml.Integer(0))),
            Aml.Device("PCI0",
                Aml.Name("_HID", Aml.EisaId("PNP0A03")),
                Aml.Name("_UID", Aml.Integer(0)),
                Aml.Name("_CRS", RootBridgeWindows(map)),
                Aml.Name("_PRT", InterruptRouting()),
                Aml.Device("ISA", [Aml.Name("_ADR", Aml.Integer(1 << 16)), .. devices.SelectMany(IsaDevices)])),
            Aml.Joined([.. devices.OfType<Hpet>().Select(h => Aml.Device("HPET", Aml.Name("_HID", Aml.EisaId("PNP0103")), Resources(Aml.FixedMemory((uint)h.Addresses[0].Start, 0x400))))])));

    private static byte[] Resources(params ReadOnlySpan<byte[]> descriptors) => Aml.Name("_CRS", Aml.Resources(descriptors));

    /// <summary>All ports but those of the configuration mechanism; the video memory; the hole below the I/O APIC.</summary>
    private static byte[] RootBridgeWindows(BoardMemory map) => Aml.Resources(
        Aml.BusNumbers(0, 0xFF),
        Aml.Ports(PciBus.AddressPort, 8),
        Aml.PortWindow(0, PciBus.AddressPort - 1),
        Aml.PortWindow(PciBus.DataPort + 4, 0xFFFF),
        Aml.MemoryWindow((uint)BoardMemory.VideoStart, (uint)(BoardMemory.VideoStart + BoardMemory.VideoLength - 1), cacheable: true),
        Aml.MemoryWindow((uint)map.HoleStart, PciSetup.MemoryEnd - 1));

    /// <summary>For each pin of each device (function number all ones: any) the interrupt that firmware has led its request to.</summary>
    private static byte[] InterruptRouting()
    {
        var routes = new List<byte[]>();
        for (int device = 0; device < 32; device++)
        {
            for (int pin = 1; pin <= 4; pin++)
            {
                int irq = PciSetup.PirqIrqs[PciBus.PirqOf(new PciAddress(device, 0), pin)];
                // The power management function's pin is the system control interrupt.
                if (device == 1 && pin == 1)
                    irq = PowerManagement.Sci;
                routes.Add(Aml.Package(Aml.Integer((uint)device << 16 | 0xFFFF), Aml.Integer((uint)pin - 1), Aml.Integer(0), Aml.Integer((uint)irq)));
            }
        }
        return Aml.Package([.. routes]);
    }

    /// <summary>What a device of the board is to an operating system; nothing if that need not be told.</summary>
    private static IEnumerable<byte[]> IsaDevices(Device device) => device switch
    {
        Rtc rtc => [Describe("RTC", "PNP0B00", rtc)],
        Pit pit => [Describe("TIMR", "PNP0100", pit)],
        Pic pic => [Aml.Device("PIC", Aml.Name("_HID", Aml.EisaId("PNP0000")), Resources([.. pic.Ports.Select(Aml.Ports), Aml.Irq(2)]))],
        KeyboardController k =>
        [
            Aml.Device("KBD", Aml.Name("_HID", Aml.EisaId("PNP0303")), Resources([.. k.Ports.Select(Aml.Ports), Aml.Irq(1)])),
            Aml.Device("MOU", Aml.Name("_HID", Aml.EisaId("PNP0F13")), Resources(Aml.Irq(12))),
        ],
        Uart16550 uart => [Describe(uart.Name, "PNP0501", uart, (uint)(uart.Name[^1] - '0'))],
        PowerManagement => [Aml.Device("PMIO", Aml.Name("_HID", Aml.EisaId("PNP0C02")), Resources(Aml.Ports(PowerManagement.ApmPorts), Aml.Ports(PowerManagement.DefaultPorts)))],
        FirmwareConfiguration f => [Aml.Device("FWCF", Aml.Name("_HID", Aml.Text("QEMU0002")), Aml.Name("_STA", Aml.Integer(0x0B)), Resources(Aml.Ports(f.Ports[0].First, 12)))],
        _ => [],
    };

    private static byte[] Describe(string name, string id, Device device, uint unit = 0) => Aml.Device(name,
        Aml.Name("_HID", Aml.EisaId(id)),
        Aml.Name("_UID", Aml.Integer(unit)),
        Resources([.. device.Ports.Select(Aml.Ports), .. device.Irqs.Select(Aml.Irq)]));
}
