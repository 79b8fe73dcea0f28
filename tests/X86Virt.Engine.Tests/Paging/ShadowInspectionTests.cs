using X86Virt.Engine.Boot;
using X86Virt.Engine.Processor;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace X86Virt.Engine.Tests.Paging;

/// <summary>Shadow page tables as people see them.</summary>
public sealed class ShadowInspectionTests : IDisposable
{
    private const ulong Code = 0x10_0000, Data = 0x40_0000;

    private readonly string _file = Path.GetTempFileName();

    public void Dispose() => File.Delete(_file);

    /// <summary>64-bit code under an identity map of 2 MiB pages, which stores to one of them.</summary>
    private VirtualMachine Machine(EngineKind engine)
    {
        File.WriteAllBytes(_file, BareCpu.Assemble(64, a =>
        {
            a.mov(__dword_ptr[Data], 1);
            a.hlt();
        }, Code));
        return new VirtualMachine(new MachineConfiguration
        {
            Name = "shadow", MemorySize = 16 << 20, Engine = engine, Paging = PagingKind.Shadow, NoReboot = true, FlatBinary = _file, LoadAddress = Code, BootMode = BootMode.Long,
        });
    }

    [Theory]
    [InlineData(EngineKind.Interpreter)]
    [InlineData(EngineKind.BinaryTranslation)]
    [InlineData(EngineKind.HardwareAssist)]
    public void EveryTableOfAWalkIsShown(EngineKind engine)
    {
        using VirtualMachine machine = Machine(engine);
        machine.Step(1);
        IReadOnlyList<ShadowPageTable> tables = machine.ReadShadowTables();
        Assert.Equal(["PML4", "PDPT", "PD"], tables.Select(t => t.Name));
        Assert.Equal(machine.ResolveAddress(Data).Select(l => l.EntryAddress & ~0xFFFUL), tables.Select(t => t.GuestTable));
        Assert.All(tables, t => Assert.Equal((true, ShadowTableState.InUse, "long"), (t.Traced, t.State, t.Format[..4])));
        Assert.Equal((0, 2, 1), (tables[2].Links, tables[2].Mappings, tables[2].Dirty));
        Assert.Equal((1, 0), (tables[0].Links, tables[0].Mappings));
        Assert.All(tables, t => Assert.Equal(engine == EngineKind.HardwareAssist ? 1 : 0, t.HostTables.Count));

        ShadowPageTableEntry entry = machine.ReadShadowEntries(tables[2].Number!.Value).Single(e => e.Dirty);
        Assert.Equal((Data, 2UL << 20, 2), (entry.PhysicalAddress!.Value, entry.PageSize!.Value, entry.Index));
        Assert.Equal(machine.ResolveAddress(Data)[^1].Entry, entry.GuestEntry);
        Assert.Equal(tables[1].Number, machine.ReadShadowEntries(tables[0].Number!.Value).Single().NextTable);
        Assert.Equal(tables.Select(t => t.Number), machine.ResolveAddress(Data).Select(l => (int?)l.Shadow!.Table));
        Assert.Equal(Data, machine.ResolveAddress(Data + 5)[^1].Shadow!.PhysicalAddress);
        Assert.Null(machine.ResolveAddress(0x60_0000)[^1].Shadow);
        Assert.Equal(3, machine.ResolveAddress(Data).Sum(l => l.References));
        // Present, writable, accessed, dirty.
        Assert.Equal(engine == EngineKind.HardwareAssist ? 0x63UL : 0, (entry.HostEntry ?? 0) & 0x63);
    }

    /// <summary>A table that is stored to between uses again and again has no shadow for a while.</summary>
    [Fact]
    public void TablesThatRestAreShown()
    {
        File.WriteAllBytes(_file, BareCpu.Assemble(64, a =>
        {
            Iced.Intel.Label again = a.CreateLabel();
            // A page table at 0x50_0000 in place of the large page behind 0x60_0000.
            a.mov(rbx, cr3);
            a.mov(rbx, __qword_ptr[rbx]);
            a.and(rbx, -0x1000);
            a.mov(rbx, __qword_ptr[rbx]);
            a.and(rbx, -0x1000);
            a.mov(__qword_ptr[rbx + 3 * 8], 0x50_0063);
            a.mov(__qword_ptr[0x50_0000], 0x40_0063);
            a.mov(ecx, 1000);
            a.Label(ref again);
            a.mov(__qword_ptr[0x50_0000], 0x40_0063);
            a.invlpg(__byte_ptr[0x60_0000]);
            a.mov(eax, __dword_ptr[0x60_0000]);
            a.dec(ecx);
            a.jnz(again);
            a.hlt();
        }, Code));
        using var machine = new VirtualMachine(new MachineConfiguration
        {
            Name = "resting", MemorySize = 16 << 20, Engine = EngineKind.Interpreter, Paging = PagingKind.Shadow, NoReboot = true, FlatBinary = _file, LoadAddress = Code, BootMode = BootMode.Long,
        });
        for (int i = 0; i < 2000 && machine.ReadShadowTables().All(t => t.State == ShadowTableState.InUse); i++)
            machine.Step(5);
        ShadowPageTable table = Assert.Single(machine.ReadShadowTables(), t => t.State == ShadowTableState.Resting);
        Assert.Equal((0x50_0000UL, 1, false), (table.GuestTable, table.Level, table.Traced));
        Assert.InRange(table.RestingWalks, 1, 512);
        Assert.Null(table.Number);
    }
}
