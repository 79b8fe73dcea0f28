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

    /// <summary>From this protocol on the command line may be anywhere, and the header says how high the RAM disk may be.</summary>
    private const ushort OldestProtocol = 0x203;

    /// <summary>Room at the top of RAM that firmware keeps its tables in.</summary>
    private const uint FirmwareRoom = 0x2_0000;

    /// <summary>Publishes a kernel if it is Linux.</summary>
    /// <param name="configuration">Where the items go.</param>
    /// <param name="request">What is booted.</param>
    /// <param name="lowMemory">Bytes of RAM below 4 GiB.</param>
    public static void Publish(FirmwareConfiguration configuration, BootRequest request, ulong lowMemory)
    {
        BootFile kernel = request.Kernel.Decompressed();
        if (!LinuxLoader.Recognises(kernel) || kernel.U16(0x206, "the boot protocol version") < OldestProtocol)
            return;
        byte sectors = kernel.U8(0x1F1, "the number of set-up sectors");
        int setupLength = ((sectors == 0 ? 4 : sectors) + 1) * SectorSize;
        byte[] setup = kernel.Slice(0, (ulong)setupLength, "the set-up code").ToArray();
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
            ulong top = Math.Min(lowMemory - FirmwareRoom, kernel.U32(0x22C, "the highest initrd address") + 1UL);
            uint address = (uint)(top - Math.Min(disk.Length, top)) & ~0xFFFU;
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
