using X86Virt.Engine.Platform;

namespace X86Virt.Engine.Boot;

/// <summary>
/// A Linux kernel as firmware finds it in the firmware configuration device: the 16-bit set-up code with its header filled in, the
/// kernel proper, the command line and the initial RAM disk, each with the address where it is to go.
/// </summary>
internal static class LinuxFirmwareItems
{
    private const uint SetupAddress = 0x1_0000, CommandLineAddress = 0x2_0000, KernelAddress = 0x10_0000;
    private const byte Loader = 0xB0, CanUseHeap = 0x80;
    private const int SectorSize = 512;

    /// <summary>From this protocol on the command line may be anywhere.</summary>
    private const ushort OldestProtocol = 0x202;

    /// <summary>Publishes what was booted if it is a Linux kernel, and else takes away what an earlier boot published.</summary>
    public static void Publish(FirmwareConfiguration configuration, BootRequest? request, BootPlan? plan)
    {
        for (ushort key = FirmwareKey.KernelAddress; key <= FirmwareKey.SetupData; key++)
        {
            if (key is <= FirmwareKey.InitrdSize or >= FirmwareKey.KernelEntry)
                configuration.Remove(key);
        }
        if (request == null || plan?.Format != BootFormat.Linux)
            return;
        BootFile kernel = request.Kernel.Decompressed();
        if (kernel.U16(0x206, "the boot protocol version") < OldestProtocol)
            return;
        byte sectors = kernel.U8(0x1F1, "the number of set-up sectors");
        int setupLength = ((sectors == 0 ? 4 : sectors) + 1) * SectorSize;
        byte[] setup = kernel.Content[..setupLength].ToArray();
        setup[0x210] = Loader;
        setup[0x211] |= CanUseHeap;
        GuestLayout.Put(setup, 0x224, (ushort)(CommandLineAddress - SetupAddress - 0x200));
        GuestLayout.Put(setup, 0x228, CommandLineAddress);

        byte[] commandLine = GuestLayout.Text(kernel.Name, request.CommandLine);
        configuration.Set32(FirmwareKey.CommandLineAddress, CommandLineAddress);
        configuration.Set32(FirmwareKey.CommandLineSize, (uint)commandLine.Length);
        configuration.Set(FirmwareKey.CommandLineData, commandLine);
        configuration.Set32(FirmwareKey.KernelAddress, KernelAddress);
        configuration.Set32(FirmwareKey.KernelSize, (uint)(kernel.Content.Length - setupLength));
        configuration.Set(FirmwareKey.KernelData, kernel.Content[setupLength..]);
        if (request.InitialRamDisk is { } disk)
        {
            uint address = (uint)plan.Ranges.First(r => r.What == LinuxLoader.InitialRamDisk).Address;
            GuestLayout.Put(setup, 0x218, address);
            GuestLayout.Put(setup, 0x21C, (uint)disk.Length);
            configuration.Set32(FirmwareKey.InitrdAddress, address);
            configuration.Set32(FirmwareKey.InitrdSize, (uint)disk.Length);
            configuration.Set(FirmwareKey.InitrdData, disk.Content);
        }
        configuration.Set32(FirmwareKey.SetupAddress, SetupAddress);
        configuration.Set32(FirmwareKey.SetupSize, (uint)setupLength);
        configuration.Set(FirmwareKey.SetupData, setup);
    }
}
