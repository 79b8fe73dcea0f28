using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Boot;

/// <summary>
/// Linux by its boot protocol 2.00 to 2.15 (Documentation/arch/x86/boot.rst): bzImage and zImage, entered at the 32-bit or the
/// 64-bit entry point with a filled-in boot_params; the 16-bit set-up code never runs.
/// </summary>
internal sealed unsafe class LinuxLoader
{
    private const uint HeaderMagic = 0x5372_6448; // "HdrS"
    private const ulong HighLoadAddress = 0x10_0000, LowLoadAddress = 0x1000;

    // Kernels before 2.02 look for the parameters at 0x90000 and for the command line at an offset from there.
    private const ulong ParametersAddress = 0x9_0000, DescriptorsAddress = 0x9_1000, PageTablesAddress = 0x9_2000, CommandLineAddress = 0x9_8000;
    private const int ParametersLength = 0x1000;
    private const ulong LongEntryOffset = 0x200;
    private const ulong FourGiB = 1UL << 32;

    private const byte UndefinedLoader = 0xFF;
    private const ushort OldCommandLineMagic = 0xA33F;
    private const uint OldInitialRamDiskMax = 0x37FF_FFFF;
    private const uint OldCommandLineMax = 255;
    private const int E820TableEntries = 128;

    private readonly BootRequest _request;
    private readonly BootTarget _target;
    private readonly BootFile _kernel;
    private readonly GuestLayout _layout;
    private readonly ushort _version;

    private LinuxLoader(BootRequest request, BootTarget target, BootFile kernel)
    {
        (_request, _target, _kernel) = (request, target, kernel);
        _layout = new GuestLayout(target);
        _version = kernel.U16(0x206, "the boot protocol version");
    }

    public static bool Recognises(BootFile kernel)
        => kernel.Length >= 0x206 && kernel.U16(0x1FE, "the boot flag") == 0xAA55 && kernel.U32(0x202, "the header magic") == HeaderMagic;

    /// <summary>"Linux …" with the release that the image carries, if any.</summary>
    public static string Describe(BootFile kernel)
    {
        ushort version = kernel.U16(0x206, "the boot protocol version");
        string protocol = $"Linux, boot protocol {version >> 8}.{version & 0xFF:00}";
        ulong text = kernel.U16(0x20E, "the kernel version pointer") + 0x200UL;
        if (text == 0x200 || text + 128 > kernel.Length)
            return protocol;
        ReadOnlySpan<byte> release = kernel.Slice(text, 128, "the kernel version");
        int end = release.IndexOfAnyExceptInRange((byte)'!', (byte)'~');
        return end > 0 ? $"{protocol}, {System.Text.Encoding.ASCII.GetString(release[..end])}" : protocol;
    }

    public static BootPlan Load(BootRequest request, BootTarget target, BootFile kernel) => new LinuxLoader(request, target, kernel).Load();

    private BootPlan Load()
    {
        if (_version < 0x200)
            throw _kernel.Unsupported($"the boot protocol is {_version >> 8}.{_version & 0xFF:00}", "Use a kernel with protocol 2.00 or later (Linux 1.3.73).");
        if (_request.Modules.Count != 0)
            throw _kernel.Unsupported($"a Linux kernel takes no modules and {_request.Modules.Count} are given", "Give the initial RAM disk with -InitialRamDisk.");
        bool longEntry = ChooseEntry();

        byte[] parameters = new byte[ParametersLength];
        ulong headerEnd = 0x202UL + _kernel.U8(0x201, "the header length");
        _kernel.Slice(0x1F1, headerEnd - 0x1F1, "the setup header").CopyTo(parameters.AsSpan(0x1F1));

        ulong load = LoadKernel(longEntry);
        _layout.Reserve(_kernel.Name, "boot parameters", ParametersAddress, ParametersLength);
        _layout.Reserve(_kernel.Name, "descriptor table", DescriptorsAddress, 0x1000);
        if (longEntry)
            _layout.Reserve(_kernel.Name, "page tables", PageTablesAddress, EntryState.PageTablesLength);
        LoadCommandLine(parameters);
        LoadInitialRamDisk(parameters);
        FillMemoryMap(parameters);
        FillHeader(parameters, load);
        _layout.Fill(ParametersAddress, parameters, ParametersLength);

        ulong entry = longEntry ? load + LongEntryOffset : load;
        CpuState* s = longEntry
            ? EntryState.Long(_target, _layout, DescriptorsAddress, PageTablesAddress, entry, ParametersAddress)
            : EntryState.Protected(_target, _layout, DescriptorsAddress, entry, ParametersAddress);
        s->Rsi = ParametersAddress;
        return new BootPlan(BootFormat.Linux, Describe(_kernel), longEntry ? BootMode.Long : BootMode.Protected, entry, _layout.Ranges);
    }

    private bool ChooseEntry()
    {
        bool has64 = _version >= 0x20C && (_kernel.U16(0x236, "the extended load flags") & 1) != 0 && LoadsHigh;
        return _request.Mode switch
        {
            BootMode.Auto => has64 && _target.Cpu.Model.HasLongMode,
            BootMode.Protected => false,
            BootMode.Long => has64 ? true : throw _kernel.Unsupported("the kernel has no 64-bit entry point", "Boot it in protected mode."),
            _ => throw _kernel.Unsupported($"a Linux kernel is not entered in {_request.Mode} mode", "Use protected or long mode."),
        };
    }

    private bool LoadsHigh => (_kernel.U8(0x211, "the load flags") & 1) != 0;

    private ulong LoadKernel(bool longEntry)
    {
        byte sectors = _kernel.U8(0x1F1, "the number of set-up sectors");
        ulong start = ((sectors == 0 ? 4UL : sectors) + 1) * 512;
        ulong length = _kernel.Length - Math.Min(start, _kernel.Length);
        if (_version >= 0x204)
        {
            // syssize counts 16-byte units; the last may be cut short.
            ulong stated = (ulong)_kernel.U32(0x1F4, "the code size") * 16;
            if (stated > length + 15)
                _kernel.Slice(start, stated, "the protected-mode code");
            length = Math.Min(stated, length);
        }
        if (length <= (longEntry ? LongEntryOffset : 0))
            throw new BootException(BootFailure.Truncated, _kernel.Name, $"the image is truncated: there is no protected-mode code at offset 0x{start:x} of {_kernel.Length} bytes", "Fetch or build the image again.");
        ReadOnlySpan<byte> code = _kernel.Slice(start, length, "the protected-mode code");
        if (_version >= 0x208)
        {
            ulong payload = _kernel.U32(0x248, "the payload offset"), payloadLength = _kernel.U32(0x24C, "the payload length");
            if (payload + payloadLength > length)
                _kernel.Slice(start + payload, payloadLength, "the payload");
        }

        ulong load = LoadsHigh ? HighLoadAddress : LowLoadAddress;
        ulong end = load + length;
        if (_version >= 0x20A)
        {
            // The decompressor moves the kernel to its preferred address, or above where it was loaded, and works in init_size bytes there.
            ulong preferred = _kernel.U64(0x258, "the preferred address"), initSize = _kernel.U32(0x260, "the initialisation size");
            ulong alignment = _kernel.U32(0x230, "the kernel alignment");
            if (preferred >= FourGiB)
                throw _kernel.Unsupported($"the preferred load address 0x{preferred:x} is above 4 GiB", "Use a kernel that is linked below it.");
            if (alignment == 0 || (alignment & (alignment - 1)) != 0)
                throw _kernel.Invalid($"the kernel alignment 0x{alignment:x} is not a power of 2");
            end = Math.Max(end, Math.Max(preferred, (load + alignment - 1) & ~(alignment - 1)) + initSize);
        }
        // What it will unpack itself into is its own to clear; touching that here would cost the host tens of MiB.
        _layout.Reserve(_kernel.Name, "the kernel", load, end - load);
        _layout.Fill(load, code, (ulong)code.Length);
        return load;
    }

    private void LoadCommandLine(byte[] parameters)
    {
        byte[] text = GuestLayout.Text(_kernel.Name, _request.CommandLine);
        ulong most = _version >= 0x206 ? _kernel.U32(0x238, "the command line size") : OldCommandLineMax;
        if ((ulong)text.Length - 1 > most)
            throw new BootException(BootFailure.TooLarge, _kernel.Name, $"the command line has {text.Length - 1} characters and the kernel takes {most}", "Shorten it (-CommandLine).");
        _layout.Place(_kernel.Name, "the command line", CommandLineAddress, text);
        if (_version >= 0x202)
        {
            GuestLayout.Put(parameters, 0x228, (uint)CommandLineAddress);
        }
        else
        {
            GuestLayout.Put(parameters, 0x20, OldCommandLineMagic);
            GuestLayout.Put(parameters, 0x22, (ushort)(CommandLineAddress - ParametersAddress));
        }
    }

    private void LoadInitialRamDisk(byte[] parameters)
    {
        if (_request.InitialRamDisk is not { } disk)
            return;
        uint highest = _version >= 0x203 ? _kernel.U32(0x22C, "the highest initrd address") : OldInitialRamDiskMax;
        ulong address = _layout.AllocateHigh(disk.Name, "the initial RAM disk", disk.Length, 0x1000, HighLoadAddress, highest + 1UL);
        _layout.Fill(address, disk.Span, disk.Length);
        GuestLayout.Put(parameters, 0x218, (uint)address);
        GuestLayout.Put(parameters, 0x21C, (uint)disk.Length);
    }

    private void FillMemoryMap(byte[] parameters)
    {
        IReadOnlyList<E820Entry> map = _target.MemoryMap;
        if (map.Count > E820TableEntries)
            throw _kernel.Unsupported($"the memory map has {map.Count} ranges and boot_params holds {E820TableEntries}", "Use a simpler memory map.");
        for (int i = 0; i < map.Count; i++)
        {
            int at = 0x2D0 + i * 20;
            GuestLayout.Put(parameters, at, map[i].Address);
            GuestLayout.Put(parameters, at + 8, map[i].Length);
            GuestLayout.Put(parameters, at + 16, map[i].Type);
        }
        parameters[0x1E8] = (byte)map.Count;
        ulong extended = (_layout.EndOfRam(HighLoadAddress) - HighLoadAddress) >> 10;
        GuestLayout.Put(parameters, 0x02, (ushort)Math.Min(extended, ushort.MaxValue));
        GuestLayout.Put(parameters, 0x1E0, (uint)Math.Min(extended, uint.MaxValue));
    }

    private void FillHeader(byte[] parameters, ulong load)
    {
        if (_target.HasTextDisplay)
        {
            parameters[0x06] = 3;  // mode
            parameters[0x07] = 80;
            parameters[0x0E] = 25;
            parameters[0x0F] = 1;  // VGA
            parameters[0x10] = 16; // font height
        }
        GuestLayout.Put(parameters, 0x70, _target.RsdpAddress);
        GuestLayout.Put(parameters, 0x1FA, (ushort)0xFFFF); // video mode: as it is
        parameters[0x210] = UndefinedLoader;
        GuestLayout.Put(parameters, 0x214, (uint)load);
    }
}
