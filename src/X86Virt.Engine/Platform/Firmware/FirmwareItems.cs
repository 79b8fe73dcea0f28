using System.Buffers.Binary;
using X86Virt.Engine.Boot;

namespace X86Virt.Engine.Platform;

/// <summary>What the board tells firmware through the firmware configuration device, by the names that QEMU's <c>pc</c> uses.</summary>
internal static class FirmwareItems
{
    /// <summary>The device has its traditional and its DMA interface.</summary>
    private const uint Features = 1 << 0 | 1 << 1;

    /// <summary>Files that there is room for besides the board's.</summary>
    public const int MaximumOwn = FirmwareConfiguration.MaximumFiles - 8;

    public static void Fill(FirmwareConfiguration configuration, BoardMemory map, AcpiImage acpi, IEnumerable<KeyValuePair<string, ReadOnlyMemory<byte>>> own)
    {
        configuration.Set(FirmwareKey.Signature, "QEMU"u8.ToArray());
        configuration.Set32(FirmwareKey.Id, Features);
        configuration.Set(FirmwareKey.Uuid, new byte[16]);
        configuration.Set64(FirmwareKey.RamSize, map.LowSize + map.HighSize);
        configuration.Set16(FirmwareKey.NoGraphics, 1);
        configuration.Set16(FirmwareKey.ProcessorCount, 1);
        configuration.Set16(FirmwareKey.MaximumProcessors, 1);
        configuration.Set16(FirmwareKey.BootMenu, 0);
        configuration.Set(FirmwareKey.NumaNodes, new byte[16]);
        // IRQ 0 arrives at pin 2 of the I/O APIC.
        configuration.Set(FirmwareKey.Irq0Override, new byte[] { 1 });
        configuration.SetFile("bootorder", default);
        configuration.SetFile("etc/e820", MemoryRanges(map));
        configuration.SetFile("etc/system-states", SleepStates);
        configuration.SetFile(AcpiImage.TablesFile, acpi.Tables);
        configuration.SetFile(AcpiImage.RsdpFile, acpi.Rsdp);
        configuration.SetFile("etc/table-loader", acpi.LoaderScript());
        foreach ((string name, ReadOnlyMemory<byte> content) in own)
            configuration.SetFile(name, content);
    }

    /// <summary>By number of the sleeping state: bit 7 if it is supported, its SLP_TYP. S0 and S5 are.</summary>
    private static byte[] SleepStates => [0x80, 0, 0, 1, 2, 0x80];

    /// <summary>RAM as the memory controller has it; what of it is reserved is for firmware to say.</summary>
    private static byte[] MemoryRanges(BoardMemory map)
    {
        const int entryLength = 20;
        byte[] entries = new byte[(map.HighSize > 0 ? 2 : 1) * entryLength];
        Put(0, 0, map.LowSize);
        if (map.HighSize > 0)
            Put(entryLength, BoardMemory.FourGiB, map.HighSize);
        return entries;

        void Put(int at, ulong address, ulong length)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(entries.AsSpan(at), address);
            BinaryPrimitives.WriteUInt64LittleEndian(entries.AsSpan(at + 8), length);
            BinaryPrimitives.WriteUInt32LittleEndian(entries.AsSpan(at + 16), E820Entry.Usable);
        }
    }
}
