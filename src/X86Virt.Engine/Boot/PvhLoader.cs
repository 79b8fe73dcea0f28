using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Boot;

/// <summary>ELF kernels with a PVH entry note, such as Linux's vmlinux (Xen's x86/HVM direct boot ABI).</summary>
internal static unsafe class PvhLoader
{
    private const uint StartInfoMagic = 0x336E_C578;
    private const ulong HighMemory = 0x10_0000, ModuleLimit = 0x8000_0000;

    public static BootPlan Load(BootRequest request, BootTarget target, BootFile kernel)
    {
        var elf = new ElfImage(kernel);
        if (elf.PvhEntry is not { } entryPoint)
            throw kernel.Invalid("there is no PVH entry note", "Use a kernel with one (Linux: CONFIG_PVH).");
        if (request.Mode is not (BootMode.Auto or BootMode.Protected))
            throw kernel.Unsupported($"a PVH kernel is not entered in {request.Mode} mode", "Leave the mode to the image.");
        var layout = new GuestLayout(target);
        elf.Place(layout);
        ulong entry = elf.CheckPhysical(entryPoint);

        var block = new InfoBlock();
        int info = block.Add(56);
        block.Put(info, StartInfoMagic);
        block.Put(info + 4, 1U);
        AddModules(request, layout, block, info);
        block.Point(info + 24, block.Add(GuestLayout.Text(kernel.Name, request.CommandLine)));
        block.Put(info + 32, target.RsdpAddress);
        AddMemoryMap(target.MemoryMap, block, info);
        int descriptors = block.Add(0x40);
        ulong address = block.Place(layout, kernel.Name, "PVH start information");

        CpuState* s = EntryState.Protected(target, layout, address + (ulong)descriptors, entry, 0);
        s->Rbx = address + (ulong)info;
        return new BootPlan(BootFormat.Pvh, $"PVH kernel, ELF{(elf.Is64 ? 64 : 32)}", BootMode.Protected, entry, layout.Ranges);
    }

    private static void AddModules(BootRequest request, GuestLayout layout, InfoBlock block, int info)
    {
        List<BootModule> modules = [.. request.Modules];
        if (request.InitialRamDisk is { } disk)
            modules.Insert(0, new BootModule(disk));
        if (modules.Count == 0)
            return;
        int table = block.Add(modules.Count * 32);
        for (int i = 0; i < modules.Count; i++)
        {
            BootFile file = modules[i].File;
            ulong address = layout.AllocateHigh(file.Name, "the module", file.Length, 0x1000, HighMemory, ModuleLimit);
            layout.Fill(address, file.Span, file.Length);
            block.Put(table + i * 32, address);
            block.Put(table + i * 32 + 8, file.Length);
            block.Point(table + i * 32 + 16, block.Add(GuestLayout.Text(file.Name, modules[i].CommandLine)));
        }
        block.Put(info + 12, (uint)modules.Count);
        block.Point(info + 16, table);
    }

    private static void AddMemoryMap(IReadOnlyList<E820Entry> map, InfoBlock block, int info)
    {
        int table = block.Add(map.Count * 24);
        for (int i = 0; i < map.Count; i++)
        {
            block.Put(table + i * 24, map[i].Address);
            block.Put(table + i * 24 + 8, map[i].Length);
            block.Put(table + i * 24 + 16, map[i].Type);
        }
        block.Point(info + 40, table);
        block.Put(info + 48, (uint)map.Count);
    }
}
