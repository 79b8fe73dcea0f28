using System.Text;
using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Boot;

/// <summary>Multiboot version 1 (Multiboot Specification 0.6.96) for ELF32, ELF64 and images with addresses in the header.</summary>
internal sealed unsafe class MultibootLoader
{
    private const uint BootMagic = 0x2BAD_B002;
    private const ulong HighMemory = 0x10_0000, FourGiB = 1UL << 32;

    [Flags]
    private enum InfoFlags : uint
    {
        MemorySizes = 1 << 0, CommandLine = 1 << 2, Modules = 1 << 3, ElfSections = 1 << 5, MemoryMap = 1 << 6, LoaderName = 1 << 9, Framebuffer = 1 << 12,
    }

    private readonly BootRequest _request;
    private readonly BootTarget _target;
    private readonly BootFile _kernel;
    private readonly GuestLayout _layout;
    private readonly InfoBlock _block = new();
    private readonly int _info;
    private InfoFlags _flags;

    private MultibootLoader(BootRequest request, BootTarget target, BootFile kernel)
    {
        (_request, _target, _kernel) = (request, target, kernel);
        _layout = new GuestLayout(target);
        _info = _block.Add(116);
    }

    public static BootPlan Load(BootRequest request, BootTarget target, BootFile kernel) => new MultibootLoader(request, target, kernel).Load();

    private BootPlan Load()
    {
        MultibootHeader header = MultibootHeader.Find(_kernel) ?? throw _kernel.Invalid("there is no multiboot header in the first 8 KiB", "Use a multiboot kernel.");
        if (header.UnknownRequirements != 0)
            throw _kernel.Unsupported($"the multiboot header requires features 0x{header.UnknownRequirements:x}", "Use a kernel that requires none but bits 0, 1 and 2.");
        if (_request.Mode is not (BootMode.Auto or BootMode.Protected))
            throw _kernel.Unsupported($"a multiboot kernel is not entered in {_request.Mode} mode", "Leave the mode to the image.");

        ElfImage? elf = header.HasAddresses ? null : new ElfImage(_kernel);
        ulong entry;
        if (elf != null)
        {
            elf.Place(_layout);
            entry = elf.PhysicalEntry();
        }
        else
        {
            entry = PlaceByHeader(header.Offset);
        }
        if (entry >= FourGiB)
            throw _kernel.Unsupported($"the entry point 0x{entry:x} is above 4 GiB", "Link the kernel below it.");

        ulong end = Math.Max(HighMemory, _layout.Ranges.Max(r => r.Address + r.Length));
        AddModules(end);
        AddMemory();
        AddText(InfoFlags.CommandLine, 16, GuestLayout.Text(_kernel.Name, WithName(_kernel, _request.CommandLine)));
        AddText(InfoFlags.LoaderName, 64, "X86Virt\0"u8);
        if (elf != null)
            AddSections(elf, end);
        if (_target.HasTextDisplay)
            AddTextScreen();
        _block.Put(_info, (uint)_flags);
        int descriptors = _block.Add(0x40);
        ulong block = _block.Place(_layout, _kernel.Name, "multiboot information");

        CpuState* s = EntryState.Protected(_target, _layout, block + (ulong)descriptors, entry, 0);
        s->Rax = BootMagic;
        s->Rbx = block + (ulong)_info;
        string kind = elf == null ? "addresses in the header" : elf.Is64 ? "ELF64" : "ELF32";
        return new BootPlan(BootFormat.Multiboot, $"multiboot kernel, {kind}", BootMode.Protected, entry, _layout.Ranges);
    }

    /// <summary>The address fields of the header (3.1.3), for images that are not ELF.</summary>
    private ulong PlaceByHeader(ulong header)
    {
        uint Field(ulong offset) => _kernel.U32(header + offset, "the multiboot header");
        uint headerAddress = Field(12), loadAddress = Field(16), loadEnd = Field(20), bssEnd = Field(24), entry = Field(28);
        if (loadAddress > headerAddress || headerAddress - loadAddress > header)
            throw _kernel.Invalid($"the multiboot header at 0x{headerAddress:x} would load from before the start of the file to 0x{loadAddress:x}");
        ulong start = header - (headerAddress - loadAddress);
        if (loadEnd != 0 && loadEnd < loadAddress)
            throw _kernel.Invalid($"the multiboot load end 0x{loadEnd:x} is below the load address 0x{loadAddress:x}");
        ulong length = loadEnd == 0 ? _kernel.Length - start : loadEnd - loadAddress;
        ulong end = loadAddress + length;
        if (bssEnd != 0 && bssEnd < end)
            throw _kernel.Invalid($"the multiboot bss end 0x{bssEnd:x} is below the load end 0x{end:x}");
        end = Math.Max(end, bssEnd);
        if (entry < loadAddress || entry >= end)
            throw _kernel.Invalid($"the entry point 0x{entry:x} is outside 0x{loadAddress:x}-0x{end:x}");
        _layout.Place(_kernel.Name, "the kernel", loadAddress, _kernel.Slice(start, length, "the kernel"), end - loadAddress);
        return entry;
    }

    private void AddModules(ulong kernelEnd)
    {
        List<BootModule> modules = [.. _request.Modules];
        if (_request.InitialRamDisk is { } disk)
            modules.Insert(0, new BootModule(disk));
        if (modules.Count == 0)
            return;
        int table = _block.Add(modules.Count * 16);
        for (int i = 0; i < modules.Count; i++)
        {
            BootFile file = modules[i].File;
            ulong address = _layout.AllocateLow(file.Name, "the module", file.Length, 0x1000, kernelEnd, FourGiB);
            _layout.Fill(address, file.Span, file.Length);
            _block.Put(table + i * 16, (uint)address);
            _block.Put(table + i * 16 + 4, (uint)(address + file.Length));
            _block.Point(table + i * 16 + 8, _block.Add(GuestLayout.Text(file.Name, WithName(file, modules[i].CommandLine))));
        }
        _flags |= InfoFlags.Modules;
        _block.Put(_info + 20, (uint)modules.Count);
        _block.Point(_info + 24, table);
    }

    /// <summary>Kernels skip the first word, which boot loaders make the file's name.</summary>
    private static string WithName(BootFile file, string arguments)
    {
        var name = new StringBuilder(Path.GetFileName(file.Name));
        for (int i = 0; i < name.Length; i++)
        {
            if (name[i] is <= ' ' or > '~')
                name[i] = '_';
        }
        if (arguments.Length != 0)
            name.Append(' ').Append(arguments);
        return name.ToString();
    }

    private void AddText(InfoFlags flag, int field, ReadOnlySpan<byte> text)
    {
        _flags |= flag;
        _block.Point(_info + field, _block.Add(text));
    }

    private void AddMemory()
    {
        _flags |= InfoFlags.MemorySizes | InfoFlags.MemoryMap;
        _block.Put(_info + 4, (uint)Math.Min(_layout.EndOfRam(0), 0xA_0000) >> 10);
        _block.Put(_info + 8, (uint)Math.Min((_layout.EndOfRam(HighMemory) - HighMemory) >> 10, uint.MaxValue));
        IReadOnlyList<E820Entry> map = _target.MemoryMap;
        int table = _block.Add(map.Count * 24);
        for (int i = 0; i < map.Count; i++)
        {
            int at = table + i * 24;
            _block.Put(at, 20U);
            _block.Put(at + 4, map[i].Address);
            _block.Put(at + 12, map[i].Length);
            _block.Put(at + 20, map[i].Type);
        }
        _block.Put(_info + 44, (uint)(map.Count * 24));
        _block.Point(_info + 48, table);
    }

    /// <summary>
    /// The section headers, with the symbol and string tables loaded so that a kernel finds its own symbols. An image whose section
    /// headers make no sense boots without.
    /// </summary>
    private void AddSections(ElfImage elf, ulong kernelEnd)
    {
        const uint SymbolTable = 2, StringTable = 3;
        int entrySize = elf.Is64 ? 64 : 40;
        ulong tableLength = (ulong)elf.SectionCount * elf.SectionHeaderSize;
        if (elf.SectionCount == 0 || elf.SectionHeaderSize != entrySize || elf.SectionHeaders > _kernel.Length || tableLength > _kernel.Length - elf.SectionHeaders)
            return;
        byte[] headers = _kernel.Slice(elf.SectionHeaders, tableLength, "the section headers").ToArray();
        var file = new BootFile(_kernel.Name, headers);
        for (int i = 0; i < elf.SectionCount; i++)
        {
            ulong at = (ulong)(i * entrySize);
            ulong Word(ulong at32, ulong at64) => elf.Is64 ? file.U64(at + at64, "a section header") : file.U32(at + at32, "a section header");
            uint type = file.U32(at + 4, "a section header");
            ulong address = Word(12, 16), offset = Word(16, 24), length = Word(20, 32);
            if (type is not (SymbolTable or StringTable) || address != 0 || length == 0)
                continue;
            if (offset > _kernel.Length || length > _kernel.Length - offset)
                return;
            address = _layout.AllocateLow(_kernel.Name, "the symbols", length, 0x1000, kernelEnd, FourGiB);
            _layout.Fill(address, _kernel.Slice(offset, length, "the symbols"), length);
            if (elf.Is64)
                GuestLayout.Put(headers, (int)at + 16, address);
            else
                GuestLayout.Put(headers, (int)at + 12, (uint)address);
        }
        _flags |= InfoFlags.ElfSections;
        _block.Put(_info + 28, (uint)elf.SectionCount);
        _block.Put(_info + 32, (uint)entrySize);
        _block.Point(_info + 36, _block.Add(headers));
        _block.Put(_info + 40, (uint)elf.SectionNames);
    }

    /// <summary>The text screen, whatever video mode the header would prefer (its mode fields are a wish, 3.1.4).</summary>
    private void AddTextScreen()
    {
        const uint TextFramebuffer = 2;
        _flags |= InfoFlags.Framebuffer;
        _block.Put(_info + 88, 0xB8000UL);
        _block.Put(_info + 96, 160U);
        _block.Put(_info + 100, 80U);
        _block.Put(_info + 104, 25U);
        _block.Put(_info + 108, 16U | (TextFramebuffer << 8));
    }
}
