namespace X86Virt.Engine.Platform;

/// <summary>An interrupt output of one device. Several devices may share an interrupt; it is asserted while any of them asserts.</summary>
public sealed class IrqLine
{
    private readonly InterruptRouter _router;
    private bool _level;
    private bool _connected = true;

    internal IrqLine(InterruptRouter router, int irq)
    {
        _router = router;
        Irq = irq;
    }

    /// <summary>ISA IRQ or global system interrupt number.</summary>
    public int Irq { get; }

    /// <summary>What the device drives: true is asserted. An edge-triggered input sees the change.</summary>
    public bool Level
    {
        get => _level;
        set
        {
            if (value == _level)
                return;
            _level = value;
            if (_connected)
                _router.Drive(Irq, value);
        }
    }

    /// <summary>Cut off while another device takes the interrupt over (HPET legacy replacement).</summary>
    internal bool Connected
    {
        get => _connected;
        set
        {
            if (value == _connected)
                return;
            _connected = value;
            if (_level)
                _router.Drive(Irq, value);
        }
    }
}

/// <summary>
/// Leads interrupt lines to both controllers as the PC wires them: ISA IRQ n to input n of the 8259 pair and to IOAPIC pin n, but
/// IRQ 0 to pin 2 (where the pair's cascade would be). Higher numbers reach the IOAPIC alone.
/// </summary>
public sealed class InterruptRouter(Pic pic, IoApic ioApic)
{
    public const int TimerIrq = 0, TimerPin = 2;

    /// <summary>Interrupts of the ISA bus, which reach both controllers.</summary>
    public const int IsaCount = Pic.InputCount;

    private readonly int[] _asserted = new int[IoApic.PinCount];

    /// <summary>A new source of interrupt <paramref name="irq"/>.</summary>
    public IrqLine CreateLine(int irq) => irq is >= 0 and < IoApic.PinCount && irq != TimerPin
        ? new IrqLine(this, irq)
        : throw new ArgumentOutOfRangeException(nameof(irq), irq, $"There is no interrupt line {irq}; lines are 0 to {IoApic.PinCount - 1} without {TimerPin}.");

    /// <summary>The state of a line: asserted by anyone.</summary>
    public bool IsAsserted(int irq) => _asserted[irq] != 0;

    internal void Drive(int irq, bool level)
    {
        int before = _asserted[irq];
        _asserted[irq] = before + (level ? 1 : -1);
        if ((before != 0) == (_asserted[irq] != 0))
            return;
        if (irq < Pic.InputCount)
            pic.SetInput(irq, level);
        ioApic.SetPin(irq == TimerIrq ? TimerPin : irq, level);
    }
}
