namespace X86Virt.Engine.Platform;

/// <summary>Selectors of items of the firmware configuration device (QEMU's docs/specs/fw_cfg).</summary>
public static class FirmwareKey
{
    public const ushort Signature = 0x00, Id = 0x01, Uuid = 0x02, RamSize = 0x03, NoGraphics = 0x04, ProcessorCount = 0x05, MachineId = 0x06;
    public const ushort KernelAddress = 0x07, KernelSize = 0x08, InitrdAddress = 0x0A, InitrdSize = 0x0B, BootDevice = 0x0C, NumaNodes = 0x0D, BootMenu = 0x0E;
    public const ushort MaximumProcessors = 0x0F, KernelEntry = 0x10, KernelData = 0x11, InitrdData = 0x12, CommandLineAddress = 0x13, CommandLineSize = 0x14;
    public const ushort CommandLineData = 0x15, SetupAddress = 0x16, SetupSize = 0x17, SetupData = 0x18, FileDirectory = 0x19, FirstFile = 0x20;

    /// <summary>The x86 PC's own.</summary>
    public const ushort Irq0Override = 0x8002;
}
