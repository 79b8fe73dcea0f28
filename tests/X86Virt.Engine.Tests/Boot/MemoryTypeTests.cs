using X86Virt.Engine.Boot;
using X86Virt.Engine.Processor;
using Xunit;

namespace X86Virt.Engine.Tests.Boot;

/// <summary>The memory types that a guest booted without firmware finds set.</summary>
public sealed unsafe class MemoryTypeTests
{
    private const uint DefaultType = 0x2FF, PhysBase0 = 0x200, PhysMask0 = 0x201, TopMemory = 0xC001_001A;

    private static ulong Read(Cpu cpu, uint index)
    {
        Assert.True(ModelSpecificRegisters.TryRead(cpu, index, out ulong value));
        return value;
    }

    [Fact]
    public void MemoryIsWriteBackButForTheHoles()
    {
        using var bench = new BootBench(64);
        BootLoader.Load(new BootRequest(new BootFile("code.bin", new byte[] { 0xF4 })) { Format = BootFormat.Flat }, bench.Target);
        Assert.Equal(0xC06UL, Read(bench.Cpu, DefaultType));
        // The last GiB below 4 GiB.
        Assert.Equal(0xC000_0000UL, Read(bench.Cpu, PhysBase0));
        Assert.Equal(0xFF_C000_0800UL, Read(bench.Cpu, PhysMask0));
        // Conventional memory, video memory, firmware.
        Assert.Equal(0x0606_0606_0606_0606UL, Read(bench.Cpu, 0x250));
        Assert.Equal(0UL, Read(bench.Cpu, 0x259));
        Assert.Equal(0x0505_0505_0505_0505UL, Read(bench.Cpu, 0x26F));
        Assert.Equal(64UL << 20, Read(bench.Cpu, TopMemory));
    }

    [Fact]
    public void AResetDisablesThem()
    {
        using var bench = new BootBench();
        BootLoader.Load(new BootRequest(new BootFile("code.bin", new byte[] { 0xF4 })) { Format = BootFormat.Flat }, bench.Target);
        bench.Cpu.Reset();
        Assert.Equal(0UL, Read(bench.Cpu, DefaultType));
    }
}
