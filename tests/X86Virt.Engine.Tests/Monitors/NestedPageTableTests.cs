using X86Virt.Engine.Boot;
using X86Virt.Engine.Processor;
using X86Virt.Guests;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace X86Virt.Engine.Tests.Monitors;

/// <summary>Nested page tables as people see them, and D bits as a means to see what the guest stores to.</summary>
public sealed class NestedPageTableTests : IDisposable
{
    private const ulong Memory = 16 << 20, Small = 4 << 10, Large = 2 << 20, Code = 0x10_0000, First = 0x40_0000, Second = 0x80_3000;

    private readonly string _file = Path.GetTempFileName();

    public void Dispose() => File.Delete(_file);

    private VirtualMachine Machine(EngineKind engine, PagingKind? paging, string? kernel = null)
        => new(new MachineConfiguration
        {
            Name = "nested", MemorySize = Memory, Engine = engine, Paging = paging, NoReboot = true, Kernel = kernel, FlatBinary = kernel == null ? _file : null,
            LoadAddress = kernel == null ? Code : null, BootMode = kernel == null ? BootMode.Protected : default, CommandLine = kernel == null ? "" : "iterations=20",
        });

    /// <summary>Stores to one page, reads another, then stores to that; and halts.</summary>
    private VirtualMachine Stores(PagingKind paging = PagingKind.Nested)
    {
        File.WriteAllBytes(_file, BareCpu.Assemble(32, a =>
        {
            a.mov(__dword_ptr[(int)First], 1);
            a.mov(eax, __dword_ptr[(int)Second]);
            a.mov(__dword_ptr[(int)Second], 2);
            a.hlt();
        }, Code));
        return Machine(EngineKind.HardwareAssist, paging);
    }

    [Fact]
    public void PagesThatAreAlikeAreOneRegion()
    {
        using VirtualMachine machine = Stores();
        machine.ClearNestedPages(Small);
        machine.Step(3);
        IReadOnlyList<NestedRegion> regions = machine.ReadNestedPages();
        Assert.Equal([Code, First, Second], regions.Select(r => r.GuestAddress));
        Assert.All(regions, r => Assert.Equal((Small, 1L, "rwx", true), (r.PageSize, r.Pages, r.Access, r.Accessed)));
        Assert.Equal([false, true, true], regions.Select(r => r.Dirty));
        Assert.Equal(regions[0].HostAddress - Code, regions[2].HostAddress - Second);
        Assert.Equal(Second, machine.ReadNestedPage(Second + 0x123).GuestAddress);
        Assert.Equal("NestedPageNotFound", Assert.Throws<MachineException>(() => machine.ReadNestedPage(Second + Small)).ErrorId);
    }

    [Fact]
    public void LargePagesAreUsedUnlessTheyAreForbidden()
    {
        using VirtualMachine machine = Stores();
        machine.Step(3);
        Assert.Equal(Large, machine.ReadNestedPage(First).PageSize);
        machine.ClearNestedPages(Small);
        Assert.Empty(machine.ReadNestedPages());
        machine.Step(1);
        Assert.All(machine.ReadNestedPages(), r => Assert.Equal(Small, r.PageSize));
        machine.ClearNestedPages(1UL << 30);
        Assert.Empty(machine.ReadNestedPages());
    }

    [Fact]
    public void DirtyBitsTellWhatWasStoredToSinceTheyWereCleared()
    {
        using VirtualMachine machine = Stores();
        machine.ClearNestedPages(Small);
        machine.Step(2);
        Assert.Equal([First], machine.ReadNestedPages().Where(r => r.Dirty).Select(r => r.GuestAddress));
        Assert.Equal(1, machine.ClearNestedDirty());
        Assert.DoesNotContain(machine.ReadNestedPages(), r => r.Dirty);
        Assert.Equal(0, machine.ClearNestedDirty());
        machine.Step(1);
        Assert.Equal([Second], machine.ReadNestedPages().Where(r => r.Dirty).Select(r => r.GuestAddress));
    }

    /// <summary>An operating system, whose pages are taken away and cleared every now and then, ends as it does on another engine.</summary>
    [Fact]
    public void TheGuestDoesNotNotice()
    {
        File.WriteAllBytes(_file, BuiltInGuest.Nanobenchmark.Image);
        using VirtualMachine reference = Machine(EngineKind.DecodedCache, null, _file);
        using VirtualMachine machine = Machine(EngineKind.HardwareAssist, PagingKind.Nested, _file);
        do
        {
            reference.Step(5_000_000);
        }
        while (reference.State == MachineState.Suspended);
        ulong[] sizes = [Small, Large];
        long dirty = 0;
        int round = 0;
        do
        {
            machine.Step(50_021);
            dirty += machine.ClearNestedDirty();
            if (++round % 8 == 0)
                machine.ClearNestedPages(sizes[round / 8 % sizes.Length]);
        }
        while (machine.State == MachineState.Suspended);
        Assert.True(dirty > 0);
        Assert.Equal(reference.InstructionsRetired, machine.InstructionsRetired);
        Assert.Equal(reference.Console.Read(0), machine.Console.Read(0));
        Assert.Equal(reference.ReadRegister("RSP").Hex, machine.ReadRegister("RSP").Hex);
    }

    /// <summary>Four levels over four: each entry of the guest's takes a nested walk, and so does the page.</summary>
    [Fact]
    public void AWalkInTwoDimensionsReads24Entries()
    {
        File.WriteAllBytes(_file, BareCpu.Assemble(64, a =>
        {
            // A page table at First in place of the large page behind Second.
            a.mov(rbx, cr3);
            a.mov(rbx, __qword_ptr[rbx]);
            a.and(rbx, -0x1000);
            a.mov(rbx, __qword_ptr[rbx]);
            a.and(rbx, -0x1000);
            a.mov(__qword_ptr[rbx + 4 * 8], (int)First | 0x63);
            a.mov(__qword_ptr[First + 3 * 8], (int)Code | 0x63);
            a.mov(eax, __dword_ptr[Second]);
            a.hlt();
        }, Code));
        using var machine = new VirtualMachine(new MachineConfiguration
        {
            Name = "walk", MemorySize = Memory, Engine = EngineKind.HardwareAssist, Paging = PagingKind.Nested, NoReboot = true, FlatBinary = _file, LoadAddress = Code, BootMode = BootMode.Long,
        });
        machine.ClearNestedPages(Small);
        machine.Step(8);
        IReadOnlyList<PageWalkLevel> levels = machine.ResolveAddress(Second + 8);
        Assert.Equal([5, 5, 5, 9], levels.Select(l => l.References));
        Assert.All(levels, l => Assert.Equal(["PML4E", "PDPE", "PDE", "PTE"], l.EntryWalk.Select(n => n.Name)));
        Assert.Equal(machine.ReadNestedPage(Code).HostAddress + 8, levels[^1].HostAddress);
        Assert.Equal("not present", machine.ResolveAddress(0xC0_0000)[^1].PageWalk[^1].Problem);
        Assert.Null(machine.ResolveAddress(0xC0_0000)[^1].HostAddress);
    }

    [Fact]
    public void OtherMachinesHaveNone()
    {
        using VirtualMachine shadow = Stores(PagingKind.Shadow);
        Assert.Equal("NoNestedPageTables", Assert.Throws<MachineException>(shadow.ReadNestedPages).ErrorId);
        using VirtualMachine nested = Stores();
        Assert.Equal("NoShadowPageTables", Assert.Throws<MachineException>(nested.ReadShadowTables).ErrorId);
    }
}
