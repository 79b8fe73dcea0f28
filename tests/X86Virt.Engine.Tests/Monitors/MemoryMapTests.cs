using System.Xml.Linq;
using X86Virt.Engine.Boot;
using X86Virt.Engine.Processor;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace X86Virt.Engine.Tests.Monitors;

/// <summary>The map of a guest's physical memory, and its drawing.</summary>
public sealed class MemoryMapTests : IDisposable
{
    private const ulong Memory = 16 << 20, Small = 4 << 10, Large = 2 << 20, Code = 0x10_0000, Data = 0x80_0000;

    private readonly string _file = Path.GetTempFileName();

    public void Dispose() => File.Delete(_file);

    private VirtualMachine Machine(EngineKind engine, PagingKind paging)
    {
        File.WriteAllBytes(_file, BareCpu.Assemble(64, a =>
        {
            a.mov(__dword_ptr[Data], 1);
            a.cli();
            a.hlt();
        }, Code));
        return new VirtualMachine(new MachineConfiguration
        {
            Name = "map", MemorySize = Memory, Engine = engine, Paging = paging, NoReboot = true, FlatBinary = _file, LoadAddress = Code, BootMode = BootMode.Long,
        });
    }

    private static MemoryMapRegion At(IReadOnlyList<MemoryMapRegion> map, ulong address) => map.Single(r => address - r.Start < r.Length);

    [Fact]
    public void NestedPagesAreToldBySize()
    {
        using VirtualMachine machine = Machine(EngineKind.HardwareAssist, PagingKind.Nested);
        machine.Step(1);
        IReadOnlyList<MemoryMapRegion> map = machine.ReadMemoryMap();
        Assert.Equal(new MemoryMapRegion(Data, Large, MemoryMapState.Mapped, Large, Dirty: true), At(map, Data));
        Assert.Equal((MemoryMapState.Mapped, Small, false), (At(map, Code).State, At(map, Code).PageSize!.Value, At(map, Code).Dirty));
        Assert.Equal(new MemoryMapRegion(Data + Large, Memory - Data - Large, MemoryMapState.Untouched), At(map, Memory - 1));
        Assert.Equal(MemoryMapState.Device, At(map, 0xFEE0_0000).State);
    }

    [Theory]
    [InlineData(EngineKind.BinaryTranslation)]
    [InlineData(EngineKind.HardwareAssist)]
    public void ShadowedTablesAndCodeAreTold(EngineKind engine)
    {
        using VirtualMachine machine = Machine(engine, PagingKind.Shadow);
        machine.Start();
        Assert.True(machine.Wait(MachineState.Stopped, TimeSpan.FromMinutes(1), CancellationToken.None));
        IReadOnlyList<MemoryMapRegion> map = machine.ReadMemoryMap();
        Assert.All(machine.ReadShadowTables(), t => Assert.Equal(MemoryMapState.PageTable, At(map, t.GuestTable).State));
        Assert.Equal(MemoryMapState.Code, At(map, Code).State);
        Assert.Equal(new MemoryMapRegion(Data, Small, MemoryMapState.Ram), At(map, Data));
        Assert.Equal(MemoryMapState.Zero, At(map, Data + Small).State);
    }

    /// <summary>Every byte is in one region, and every region in the drawing.</summary>
    [Fact]
    public void TheDrawingShowsAll()
    {
        using VirtualMachine machine = Machine(EngineKind.HardwareAssist, PagingKind.Nested);
        machine.Step(1);
        IReadOnlyList<MemoryMapRegion> map = machine.ReadMemoryMap();
        for (int i = 1; i < map.Count; i++)
            Assert.True(map[i - 1].Start + map[i - 1].Length <= map[i].Start);
        XElement svg = XDocument.Parse(new MemoryMapDrawing("a <title> & more", map).ToSvg()).Root!;
        string[] texts = [.. svg.Descendants().Where(e => e.Name.LocalName == "text").Select(e => e.Value)];
        Assert.Contains("a <title> & more", texts);
        Assert.Contains("0x0 to 0xffffff, 4 KiB a cell", texts);
        Assert.Superset(new HashSet<string> { "device", "nested page of 2 MiB, dirty", "nested page of 4 KiB", "RAM that was not touched" }, texts.ToHashSet());
        string[] titles = [.. svg.Descendants().Where(e => e.Name.LocalName == "title").Select(e => e.Value)];
        Assert.Contains("0x100000 to 0x100fff: nested page of 4 KiB", titles);
        Assert.Equal(8, titles.Count(t => t.EndsWith("2 MiB, dirty", StringComparison.Ordinal)));
    }
}
