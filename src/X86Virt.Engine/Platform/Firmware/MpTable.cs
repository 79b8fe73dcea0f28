using System.Buffers.Binary;
using System.Text;
using X86Virt.Engine.Memory;

namespace X86Virt.Engine.Platform;

/// <summary>
/// The tables of the MultiProcessor Specification 1.4, by which operating systems that know no ACPI, or are told to leave it alone, find
/// the APICs and how interrupts reach them.
/// </summary>
internal static class MpTable
{
    private const byte Revision = 4, Checksum = 7;
    private const byte ProcessorEntry = 0, BusEntry = 1, IoApicEntry = 2, InterruptEntry = 3, LocalInterruptEntry = 4;
    private const byte PciBus = 0, IsaBus = 1;
    private const byte VectoredInterrupt = 0, NonMaskable = 1, External = 3;
    private const ushort ConformsToBus = 0, LevelActiveHigh = 0x0D;
    private const byte Usable = 1, Bootstrap = 2, AllApics = 0xFF;
    private const int PointerLength = 16, HeaderLength = 44;

    /// <summary>Writes the pointer structure, by whose signature the tables are found, and the configuration table behind it.</summary>
    /// <param name="memory">Guest-physical memory.</param>
    /// <param name="address">A multiple of 16 from 0xF0000 on.</param>
    /// <param name="processor">CPUID function 1: signature in EAX, features in EDX.</param>
    /// <param name="pci">The functions on the bus.</param>
    public static void Write(PhysicalMemory memory, uint address, (uint Signature, uint Features) processor, IEnumerable<PciFunction> pci)
    {
        List<byte[]> entries =
        [
            [ProcessorEntry, 0, 0x14, Usable | Bootstrap, .. Bytes(processor.Signature), .. Bytes(processor.Features), .. new byte[8]],
            [BusEntry, PciBus, .. "PCI   "u8],
            [BusEntry, IsaBus, .. "ISA   "u8],
            [IoApicEntry, IoApic.DefaultId, 0x11, Usable, .. Bytes((uint)IoApic.DefaultAddress)],
            .. pci.Where(f => f.InterruptPin != 0).Select(PciInterrupt).DistinctBy(e => e[5]),
            .. Enumerable.Range(0, InterruptRouter.IsaCount).Where(irq => irq != InterruptRouter.TimerPin && !PciSetup.PirqIrqs.Contains((byte)irq)).Select(IsaInterrupt),
            [LocalInterruptEntry, External, 0, 0, IsaBus, 0, AllApics, 0],
            [LocalInterruptEntry, NonMaskable, 0, 0, IsaBus, 0, AllApics, 1],
        ];
        uint tableAddress = address + PointerLength;
        memory.Write(address, Sum([.. "_MP_"u8, .. Bytes(tableAddress), 1, Revision, 0, 0, 0, 0, 0, 0], 10));

        byte[] body = Aml.Joined([.. entries]);
        byte[] header = new byte[HeaderLength];
        Encoding.ASCII.GetBytes("PCMP", header);
        BinaryPrimitives.WriteUInt16LittleEndian(header.AsSpan(4), (ushort)(HeaderLength + body.Length));
        header[6] = Revision;
        Encoding.ASCII.GetBytes("X86VIRT PC          ", header.AsSpan(8));
        BinaryPrimitives.WriteUInt16LittleEndian(header.AsSpan(34), (ushort)entries.Count);
        BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(36), (uint)LocalApic.DefaultAddress);
        memory.Write(tableAddress, Sum([.. header, .. body], Checksum));
    }

    private static byte[] Bytes(uint value) => BitConverter.GetBytes(value);

    /// <summary>Sets the byte that makes all add up to 0.</summary>
    private static byte[] Sum(byte[] bytes, int at)
    {
        byte sum = 0;
        foreach (byte b in bytes)
            sum += b;
        bytes[at] = (byte)-sum;
        return bytes;
    }

    private static byte[] IsaInterrupt(int irq)
        => Interrupt(irq == PowerManagement.Sci ? LevelActiveHigh : ConformsToBus, IsaBus, irq, irq == InterruptRouter.TimerIrq ? InterruptRouter.TimerPin : irq);

    /// <summary>A PCI pin is named by its device and its number from 0 on.</summary>
    private static byte[] PciInterrupt(PciFunction function)
        => Interrupt(LevelActiveHigh, PciBus, function.Address.Device << 2 | function.InterruptPin - 1, (int)function.ReadConfiguration(PciRegister.InterruptLine, 1));

    private static byte[] Interrupt(ushort flags, byte bus, int source, int pin)
        => [InterruptEntry, VectoredInterrupt, (byte)flags, (byte)(flags >> 8), bus, (byte)source, IoApic.DefaultId, (byte)pin];
}
