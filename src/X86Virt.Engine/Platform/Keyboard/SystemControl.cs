using X86Virt.Engine.Memory;

namespace X86Virt.Engine.Platform;

/// <summary>
/// The A20 gate and the reset line of the processor, with what drives them here: system control port A (0x92) and the chipset's reset
/// control register (0xCF9, which the PCI bus passes on). The keyboard controller drives them too.
/// </summary>
public sealed class SystemControl(PhysicalMemory memory, Action resetRequested) : Device, IPortDevice
{
    public const ushort ResetControl = 0xCF9;

    private const ushort PortA = 0x92;
    private const byte FastReset = 1, FastA20 = 2;
    private const byte ResetProcessor = 4, ResetControlWritable = 0x0A;

    private bool _fastReset;
    private byte _resetControl;

    public override string Name => "System control";
    public override IReadOnlyList<PortRange> Ports { get; } = [new(PortA, 1)];
    public override IReadOnlyList<DeviceRegister> Registers => [new("PortA", ReadPort(PortA, 1)), new("ResetControl", _resetControl)];

    /// <summary>Whether address line 20 is connected. Whoever writes last decides.</summary>
    public bool A20
    {
        get => memory.A20;
        set => memory.A20 = value;
    }

    /// <summary>A20 is open after reset, as QEMU's board and today's chipsets have it.</summary>
    public override void Reset() => (_fastReset, _resetControl, A20) = (false, 0, true);

    public void RequestReset() => resetRequested();

    public uint ReadPort(ushort port, int size) => port switch
    {
        PortA => (uint)((_fastReset ? FastReset : 0) | (A20 ? FastA20 : 0)),
        ResetControl => _resetControl,
        _ => 0xFF,
    };

    public void WritePort(ushort port, int size, uint value)
    {
        if (port == ResetControl)
        {
            _resetControl = (byte)(value & ResetControlWritable);
            if ((value & ResetProcessor) != 0)
                resetRequested();
            return;
        }
        if (port != PortA)
            return;
        A20 = (value & FastA20) != 0;
        bool reset = (value & FastReset) != 0 && !_fastReset;
        _fastReset = (value & FastReset) != 0;
        if (reset)
            resetRequested();
    }
}
