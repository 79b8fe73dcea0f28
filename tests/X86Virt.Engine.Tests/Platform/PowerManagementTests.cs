using System.Text;
using X86Virt.Engine.Platform;
using Xunit;

namespace X86Virt.Engine.Tests.Platform;

/// <summary>The ACPI fixed hardware and the tables that lead to it.</summary>
public sealed class PowerManagementTests : IDisposable
{
    private const ushort Status = PowerManagement.EventBlock, Enable = PowerManagement.EventBlock + 2;

    private readonly TestBoard _b = new();

    public void Dispose() => _b.Dispose();

    [Fact]
    public void SoftOffIsAskedForBySleepEnableWithItsTypeAlone()
    {
        _b.Out(PowerManagement.ControlBlock, 0x0000, 2);
        Assert.False(_b.Board.TakePowerOff());
        _b.Out(PowerManagement.ControlBlock, 0x2400, 2);
        Assert.False(_b.Board.TakePowerOff());
        _b.Out(PowerManagement.ControlBlock, 0x2000, 2);
        Assert.True(_b.Board.TakePowerOff());
        Assert.False(_b.Board.TakePowerOff());
        Assert.Equal(0u, _b.In(PowerManagement.ControlBlock, 2));
    }

    [Fact]
    public void TheApmPortHandsTheHardwareOverAndBack()
    {
        Assert.Equal(0u, _b.In(PowerManagement.ControlBlock, 2));
        _b.Out(PowerManagement.ApmControl, PowerManagement.AcpiEnable);
        Assert.Equal(1u, _b.In(PowerManagement.ControlBlock, 2));
        Assert.Equal(PowerManagement.AcpiEnable, _b.In(PowerManagement.ApmControl));
        _b.Out(PowerManagement.ApmControl, PowerManagement.AcpiDisable);
        Assert.Equal(0u, _b.In(PowerManagement.ControlBlock, 2));
    }

    [Fact]
    public void TheBlocksMoveWithTheirBaseRegister()
    {
        const uint pm = 0x8000_0B00;
        uint Config(uint offset) { _b.Out(PciBus.AddressPort, pm | offset, 4); return _b.In(PciBus.DataPort, 4); }
        Assert.Equal(0x7113_8086u, Config(0));
        Assert.Equal(0x601u, Config(0x40));
        _b.Out(PciBus.DataPort, 0xB000, 4);
        Assert.Equal(0xB001u, Config(0x40));
        Assert.Equal(0xFFFFu, _b.In(PowerManagement.ControlBlock, 2));
        _b.Out(0xB004, 0x2000, 2);
        Assert.True(_b.Board.TakePowerOff());
        // Over another device's ports nothing is decoded, and that device stays.
        _b.Out(PciBus.DataPort, 0x3C0, 4);
        Assert.Equal(0x3C1u, Config(0x40));
        Assert.Equal(0xFFFFu, _b.In(0xB004, 2));
        Assert.Equal(0x60u, _b.In(0x3FD));
    }

    [Fact]
    public void TheTimerCountsItsCrystalIn24Bits()
    {
        uint before = _b.In(PowerManagement.TimerBlock, 4);
        _b.Advance(1_000_000_000);
        Assert.Equal(3_579_545u, _b.In(PowerManagement.TimerBlock, 4) - before);
        _b.Advance(4_000_000_000);
        Assert.Equal((5 * 3_579_545u) & 0xFF_FFFF, _b.In(PowerManagement.TimerBlock, 4));
    }

    [Fact]
    public void ItsHighestBitRaisesTheInterruptUntilTheStatusIsCleared()
    {
        _b.Out(PowerManagement.ControlBlock, 1, 2);
        _b.Out(Enable, 1, 2);
        _b.Advance(2_300_000_000);
        Assert.False(_b.Board.Interrupts.IsAsserted(PowerManagement.Sci));
        _b.Advance(100_000_000);
        Assert.True(_b.Board.Interrupts.IsAsserted(PowerManagement.Sci));
        Assert.Equal(1u, _b.In(Status, 2));
        _b.Out(Status, 1, 2);
        Assert.False(_b.Board.Interrupts.IsAsserted(PowerManagement.Sci));
        Assert.Equal(0u, _b.In(Status, 2));
        Assert.Equal(1u, _b.In(Enable, 2));
    }

    [Fact]
    public void EveryTableIsReachedFromTheRootAndAddsUpToZero()
    {
        ulong rsdp = BoardMemory.TablesStart;
        Assert.Equal("RSD PTR ", Encoding.ASCII.GetString(Bytes(rsdp, 8)));
        Assert.Equal(0, Sum(Bytes(rsdp, 20)));
        Assert.Equal(0, Sum(Bytes(rsdp, 36)));
        ulong xsdt = _b.Memory.Read<ulong>(rsdp + 24);
        List<ulong> tables = [_b.Read(rsdp + 16), xsdt];
        for (ulong entry = xsdt + 36; entry < xsdt + _b.Read(xsdt + 4); entry += 8)
            tables.Add(_b.Memory.Read<ulong>(entry));
        ulong fadt = tables.Single(t => Signature(t) == "FACP");
        tables.Add(_b.Read(fadt + 40));
        Assert.Equal(["RSDT", "XSDT", "FACP", "APIC", "HPET", "DSDT"], tables.Select(Signature));
        Assert.All(tables, t => Assert.Equal(0, Sum(Bytes(t, (int)_b.Read(t + 4)))));
        Assert.Equal("FACS", Signature(_b.Read(fadt + 36)));
        Assert.Equal(0u, _b.Read(fadt + 36) % 64);
    }

    private string Signature(ulong table) => Encoding.ASCII.GetString(Bytes(table, 4));

    private byte[] Bytes(ulong address, int length)
    {
        byte[] bytes = new byte[length];
        _b.Memory.Read(address, bytes.AsSpan());
        return bytes;
    }

    private static byte Sum(byte[] bytes) => (byte)bytes.Sum(b => b);
}
