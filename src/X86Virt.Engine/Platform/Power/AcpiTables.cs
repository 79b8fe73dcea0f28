using System.Buffers.Binary;
using System.Text;

namespace X86Virt.Engine.Platform;

/// <summary>
/// The ACPI tables of the board (ACPI 6.5, 5.2): RSDP, RSDT and XSDT, FADT, FACS, MADT, DSDT, and HPET where there is one.
/// </summary>
internal static class AcpiTables
{
    private const byte ResetValue = 0x0F;
    private const int HeaderLength = 36, FadtLength = 244, FacsLength = 64;

    public static AcpiImage Build(BoardMemory map, IReadOnlyList<Device> devices)
    {
        var image = new AcpiImage();
        int facs = image.Add(Facs(), 64);
        int dsdt = image.AddTable("DSDT", 2, AcpiNamespace.Build(map, devices));
        List<int> tables =
        [
            image.AddTable("FACP", 3, Fadt(facs, dsdt), (36, 4), (40, 4), (140, 8)),
            image.AddTable("APIC", 3, Madt()),
        ];
        if (devices.OfType<Hpet>().Any())
            tables.Add(image.AddTable("HPET", 1, HpetDescription()));
        int rsdt = Root(image, "RSDT", tables, 4);
        image.SetRsdp(rsdt, Root(image, "XSDT", tables, 8));
        return image;
    }

    private static byte[] Bytes(uint value) => BitConverter.GetBytes(value);

    private static int Root(AcpiImage image, string signature, List<int> tables, int entrySize)
    {
        byte[] entries = new byte[tables.Count * entrySize];
        var pointers = new (int, int)[tables.Count];
        for (int i = 0; i < tables.Count; i++)
        {
            BinaryPrimitives.WriteInt32LittleEndian(entries.AsSpan(i * entrySize), tables[i]);
            pointers[i] = (HeaderLength + i * entrySize, entrySize);
        }
        return image.AddTable(signature, 1, entries, pointers);
    }

    private static byte[] Facs()
    {
        byte[] facs = new byte[FacsLength];
        Encoding.ASCII.GetBytes("FACS", facs);
        facs[4] = FacsLength;
        facs[32] = 2;
        return facs;
    }

    private static byte[] Fadt(int facs, int dsdt)
    {
        const int Wbinvd = 1 << 0, HaltIsC1 = 1 << 2, NoFixedPowerButton = 1 << 4, NoFixedSleepButton = 1 << 5, NoRtcWake = 1 << 6, ResetRegister = 1 << 10;
        const int LegacyDevices = 1 << 0, KeyboardController = 1 << 1;
        byte[] table = new byte[FadtLength];
        void Put8(int offset, byte value) => table[offset] = value;
        void Put16(int offset, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(table.AsSpan(offset), value);
        void Put32(int offset, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(table.AsSpan(offset), value);
        void PutPort(int offset, byte bits, ushort port)
        {
            // Generic address: system I/O, its width in bits, byte access by default.
            (table[offset], table[offset + 1]) = (1, bits);
            Put16(offset + 4, port);
        }
        Put32(36, (uint)facs);
        Put32(40, (uint)dsdt);
        Put16(46, PowerManagement.Sci);
        Put32(48, PowerManagement.ApmControl);
        Put8(52, PowerManagement.AcpiEnable);
        Put8(53, PowerManagement.AcpiDisable);
        Put32(56, PowerManagement.EventBlock);
        Put32(64, PowerManagement.ControlBlock);
        Put32(76, PowerManagement.TimerBlock);
        Put8(88, 4);
        Put8(89, 2);
        Put8(91, 4);
        // Latencies too long for C2 and C3 to be of use.
        Put16(96, 0xFFFF);
        Put16(98, 0xFFFF);
        Put8(108, Rtc.Century);
        Put16(109, LegacyDevices | KeyboardController);
        Put32(112, Wbinvd | HaltIsC1 | NoFixedPowerButton | NoFixedSleepButton | NoRtcWake | ResetRegister);
        PutPort(116, 8, SystemControl.ResetControl);
        Put8(128, ResetValue);
        // The wide pointer to the FACS stays 0: only one of the two may be given.
        Put32(140, (uint)dsdt);
        PutPort(148, 32, PowerManagement.EventBlock);
        PutPort(172, 16, PowerManagement.ControlBlock);
        PutPort(208, 32, PowerManagement.TimerBlock);
        return table[HeaderLength..];
    }

    /// <summary>One processor, one IOAPIC, the ISA interrupts that differ from the rule, and NMI at LINT1.</summary>
    private static byte[] Madt()
    {
        const byte processor = 0, ioApic = 1, nonMaskable = 4, allProcessors = 0xFF;
        const uint legacyPics = 1;
        return
        [
            .. Bytes((uint)LocalApic.DefaultAddress), .. Bytes(legacyPics),
            processor, 8, 0, 0, .. Bytes(1),
            ioApic, 12, IoApic.DefaultId, 0, .. Bytes((uint)IoApic.DefaultAddress), .. Bytes(0),
            .. Override(InterruptRouter.TimerIrq, InterruptRouter.TimerPin, 0),
            .. LevelInterrupts.SelectMany(irq => Override(irq, irq, LevelTriggeredActiveHigh)),
            nonMaskable, 6, allProcessors, 0, 0, 1,
        ];
    }

    private const byte LevelTriggeredActiveHigh = 0x0D;

    /// <summary>The system control interrupt, and those that PCI devices may be led to.</summary>
    private static byte[] LevelInterrupts => [5, PowerManagement.Sci, 10, 11];

    private static byte[] Override(byte irq, byte pin, byte flags) => [2, 10, 0, irq, pin, 0, 0, 0, flags, 0];

    /// <summary>The HPET's identity and address (IA-PC HPET 1.0a, 3.2.4).</summary>
    private static byte[] HpetDescription()
        => [.. Bytes(Hpet.Id), 0, 64, 0, 0, .. Bytes((uint)Hpet.DefaultAddress), .. Bytes(0), 0, 0, 0, 0];
}
