namespace X86Virt.Engine.Boot;

/// <summary>Recognises a kernel image, fills guest memory with it and sets the processor up for its first instruction.</summary>
public static class BootLoader
{
    /// <summary>The format of an image (decompressed first if need be); <see cref="BootFormat.Auto"/> if no loader knows it.</summary>
    public static BootFormat Recognise(BootFile image)
    {
        BootFile kernel = image.Decompressed();
        return LinuxLoader.Recognises(kernel) ? BootFormat.Linux
            : MultibootHeader.Find(kernel) != null ? BootFormat.Multiboot
            : !ElfImage.Recognises(kernel) ? BootFormat.Auto
            : new ElfImage(kernel).PvhEntry != null ? BootFormat.Pvh : BootFormat.Elf;
    }

    /// <summary>
    /// Loads what is asked for. On a <see cref="BootException"/> memory may be partly filled and the processor is not to be run.
    /// </summary>
    public static BootPlan Load(BootRequest request, BootTarget target)
    {
        if (request.Kernel.Length == 0)
            throw new BootException(BootFailure.Empty, request.Kernel.Name, "the file has 0 bytes", "Fetch or build the image again.");
        BootFormat format = request.Format == BootFormat.Auto ? Choose(request) : request.Format;
        if (format != BootFormat.Flat && (request.LoadAddress != null || request.EntryPoint != null))
            throw request.Kernel.Unsupported($"the image is {format} and says itself where it goes, but an address is given", "Leave out -LoadAddress and the entry point, or load it with -FlatBinary.");
        BootFile kernel = format == BootFormat.Flat ? request.Kernel : request.Kernel.Decompressed();
        BiosData.Write(new GuestLayout(target));
        return format switch
        {
            BootFormat.Linux => LinuxLoader.Load(request, target, kernel),
            BootFormat.Multiboot => MultibootLoader.Load(request, target, kernel),
            BootFormat.Pvh => PvhLoader.Load(request, target, kernel),
            BootFormat.Elf => FlatLoader.LoadElf(request, target, kernel),
            _ => FlatLoader.LoadFlat(request, target, kernel),
        };
    }

    /// <summary>An address makes an image without known headers a flat binary; nothing else does, so that damaged files are told apart.</summary>
    private static BootFormat Choose(BootRequest request)
    {
        BootFormat format = Recognise(request.Kernel);
        if (format != BootFormat.Auto)
            return format;
        return request.LoadAddress != null ? BootFormat.Flat
            : throw new BootException(BootFailure.Unrecognised, request.Kernel.Name,
                $"its {request.Kernel.Length} bytes are no Linux bzImage, multiboot kernel or ELF program", "For a flat binary use -FlatBinary or give a load address (-LoadAddress).");
    }
}
