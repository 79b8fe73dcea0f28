using X86Virt.Engine.Memory;

namespace X86Virt.Engine.Platform;

/// <summary>
/// The 82441FX host bridge ("i440FX"). Its PAM registers (data sheet, 3.2.12) say for 13 segments from 0xC0000 to 0xFFFFF whether
/// RAM answers there: to reads and writes, to reads alone, or not at all; then the firmware's ROM is seen.
/// </summary>
public sealed class HostBridge : PciFunction
{
    private const int PamRegister = 0x59, PamCount = 7, SmramRegister = 0x72;
    private const byte SmramInitial = 0x02, SmramWritable = 0x78;
    private const int ReadEnable = 1, WriteEnable = 2;

    private readonly PhysicalMemory _memory;
    private readonly FirmwareRom? _firmware;
    private readonly int[] _attributes = new int[PamCount * 2];

    /// <param name="memory">Where RAM is switched.</param>
    /// <param name="firmware">What is seen below 1 MiB where RAM is not; null for nothing.</param>
    public HostBridge(PhysicalMemory memory, FirmwareRom? firmware)
        : base(new PciAddress(0, 0), new PciIdentity(0x8086, 0x1237, 0x06_0000, 2))
    {
        (_memory, _firmware) = (memory, firmware);
        Array.Fill(_attributes, -1);
        for (int i = 0; i < PamCount; i++)
            Writable(PamRegister + i, 0x33);
        Preset(SmramRegister, SmramInitial);
        Writable(SmramRegister, SmramWritable);
    }

    public override string Name => "Host bridge";
    public override IReadOnlyList<DeviceRegister> Registers => [.. base.Registers, .. Enumerable.Range(0, PamCount).Select(i => new DeviceRegister($"PAM{i}", Get8(PamRegister + i)))];

    /// <summary>As firmware leaves it that has copied itself and its tables: RAM everywhere.</summary>
    public void EnableShadow()
    {
        for (int i = 0; i < PamCount; i++)
            WriteConfiguration(PamRegister + i, 1, 0x33);
    }

    public override void Reset()
    {
        base.Reset();
        UpdateSegments();
    }

    protected override void ConfigurationWritten(int offset, int size)
    {
        if (offset < PamRegister + PamCount && offset + size > PamRegister)
            UpdateSegments();
    }

    private void UpdateSegments()
    {
        // The low half of the first register is reserved, its high half is the 64 KiB segment at 0xF0000; then halves follow in address order.
        Apply(1, 0xF_0000, 0x1_0000);
        for (int half = 2; half < PamCount * 2; half++)
            Apply(half, BoardMemory.ShadowStart + (ulong)(half - 2) * 0x4000, 0x4000);
    }

    private void Apply(int half, ulong address, ulong length)
    {
        int attribute = Get8(PamRegister + half / 2) >> half % 2 * 4 & (ReadEnable | WriteEnable);
        if (attribute == _attributes[half])
            return;
        _attributes[half] = attribute;
        if (attribute == (ReadEnable | WriteEnable))
            _memory.MapRam(address, length, address);
        else if (attribute == ReadEnable)
            _memory.MapRamReadOnly(address, length, address);
        else if (_firmware?.OffsetOf(address) is { } offset)
            _memory.MapRom(address, length, offset);
        else
            _memory.Unmap(address, length);
    }
}
