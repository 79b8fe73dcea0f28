using System.Buffers.Binary;
using System.Text;
using X86Virt.Engine.Memory;

namespace X86Virt.Engine.Platform;

/// <summary>
/// The ACPI tables that firmware would leave behind (ACPI 6.5, 5.2): RSDP, RSDT and XSDT, FADT, FACS, MADT, and a DSDT that says how to
/// switch off. Operating systems find the RSDP by its signature, at multiples of 16 bytes below 1 MiB.
/// </summary>
internal sealed class AcpiTables
{
    private const uint LocalApicAddress = 0xFEE0_0000, IoApicAddress = 0xFEC0_0000;
    private const byte LevelTriggeredActiveHigh = 0x0D;
    private const byte ResetValue = 0x0F;
    private const int HeaderLength = 36, RsdpLength = 36, FadtLength = 244, FacsLength = 64;

    private readonly byte[] _image = new byte[0x1000];
    private readonly uint _address;
    private int _end = RsdpLength;

    private AcpiTables(uint address) => _address = address;

    /// <summary>Writes the tables and returns the RSDP's address, which is the first.</summary>
    public static ulong Write(PhysicalMemory memory)
    {
        var tables = new AcpiTables((uint)BoardMemory.TablesStart);
        tables.Build();
        memory.Write(BoardMemory.TablesStart, tables._image.AsSpan(0, tables._end));
        return BoardMemory.TablesStart;
    }

    private void Build()
    {
        uint facs = Facs();
        uint dsdt = Table("DSDT", 2, SoftOffPackage());
        uint fadt = Table("FACP", 3, Fadt(facs, dsdt));
        uint madt = Table("APIC", 3, Madt());
        byte[] rsdtEntries = [.. Bytes(fadt), .. Bytes(madt)];
        byte[] xsdtEntries = [.. Bytes(fadt), .. Bytes(0), .. Bytes(madt), .. Bytes(0)];
        Rsdp(Table("RSDT", 1, rsdtEntries), Table("XSDT", 1, xsdtEntries));
    }

    private static byte[] Bytes(uint value) => BitConverter.GetBytes(value);

    /// <summary>Appends a table: header, content, checksum.</summary>
    private uint Table(string signature, byte revision, ReadOnlySpan<byte> content)
    {
        Span<byte> table = Take(HeaderLength + content.Length, 16, out uint address);
        Put(table, signature);
        BinaryPrimitives.WriteInt32LittleEndian(table[4..], table.Length);
        table[8] = revision;
        Put(table[10..], "X86VRT");
        Put(table[16..], "X86VIRT ");
        table[24] = 1;
        Put(table[28..], "X86V");
        table[32] = 1;
        content.CopyTo(table[HeaderLength..]);
        table[9] = Checksum(table);
        return address;
    }

    private Span<byte> Take(int length, int alignment, out uint address)
    {
        int start = (_end + alignment - 1) & -alignment;
        _end = start + length;
        address = _address + (uint)start;
        return _image.AsSpan(start, length);
    }

    private static void Put(Span<byte> destination, string text) => Encoding.ASCII.GetBytes(text, destination);

    /// <summary>What makes the bytes add up to 0.</summary>
    private static byte Checksum(ReadOnlySpan<byte> bytes)
    {
        byte sum = 0;
        foreach (byte b in bytes)
            sum += b;
        return (byte)-sum;
    }

    private void Rsdp(uint rsdt, uint xsdt)
    {
        Span<byte> rsdp = _image.AsSpan(0, RsdpLength);
        Put(rsdp, "RSD PTR ");
        Put(rsdp[9..], "X86VRT");
        rsdp[15] = 2;
        BinaryPrimitives.WriteUInt32LittleEndian(rsdp[16..], rsdt);
        rsdp[20] = RsdpLength;
        BinaryPrimitives.WriteUInt64LittleEndian(rsdp[24..], xsdt);
        // The first covers what ACPI 1.0 knew, the second all.
        rsdp[8] = Checksum(rsdp[..20]);
        rsdp[32] = Checksum(rsdp);
    }

    private uint Facs()
    {
        Span<byte> facs = Take(FacsLength, 64, out uint address);
        Put(facs, "FACS");
        facs[4] = FacsLength;
        facs[32] = 2;
        return address;
    }

    /// <summary>AML: Name (_S5, Package (4) { SLP_TYP of PM1a and PM1b, 0, 0 }).</summary>
    private static byte[] SoftOffPackage()
    {
        const byte NameOp = 0x08, PackageOp = 0x12, Zero = PowerManagement.SoftOff;
        return [NameOp, (byte)'_', (byte)'S', (byte)'5', (byte)'_', PackageOp, 6, 4, Zero, Zero, Zero, Zero];
    }

    private static byte[] Fadt(uint facs, uint dsdt)
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
        Put32(36, facs);
        Put32(40, dsdt);
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
        Put32(132, facs);
        Put32(140, dsdt);
        PutPort(148, 32, PowerManagement.EventBlock);
        PutPort(172, 16, PowerManagement.ControlBlock);
        PutPort(208, 32, PowerManagement.TimerBlock);
        return table[HeaderLength..];
    }

    /// <summary>One processor, one IOAPIC, the ISA interrupts that differ from the rule, and NMI at LINT1.</summary>
    private static byte[] Madt()
    {
        const byte LocalApic = 0, IoApic = 1, Override = 2, LocalNmi = 4, AllProcessors = 0xFF;
        return
        [
            .. Bytes(LocalApicAddress), .. Bytes(1),
            LocalApic, 8, 0, 0, .. Bytes(1),
            IoApic, 12, 0, 0, .. Bytes(IoApicAddress), .. Bytes(0),
            Override, 10, 0, InterruptRouter.TimerIrq, .. Bytes(InterruptRouter.TimerPin), 0, 0,
            Override, 10, 0, PowerManagement.Sci, .. Bytes(PowerManagement.Sci), LevelTriggeredActiveHigh, 0,
            LocalNmi, 6, AllProcessors, 0, 0, 1,
        ];
    }
}
