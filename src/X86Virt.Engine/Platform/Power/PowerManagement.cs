namespace X86Virt.Engine.Platform;

/// <summary>
/// The power management function of the 82371AB ("PIIX4"): PM1 event, control and timer blocks (ACPI 6.5, 4.8.3) wherever PMBASE puts
/// them, and the APM control port, through which an operating system takes the hardware over from firmware. There is no system
/// management mode; what would be done in it is done here.
/// </summary>
public sealed class PowerManagement : PciFunction, IPortDevice
{
    /// <summary>Where firmware puts PMBASE, and the blocks with it.</summary>
    public const ushort DefaultBase = 0x600;
    public const ushort EventBlock = DefaultBase + EventOffset, ControlBlock = DefaultBase + ControlOffset, TimerBlock = DefaultBase + TimerOffset;

    /// <summary>APM control: commands that would cause a system management interrupt.</summary>
    public const ushort ApmControl = 0xB2;
    public const byte AcpiEnable = 0xF1, AcpiDisable = 0xF0;

    /// <summary>The system control interrupt, which is wired to the interrupt controllers and not to the bus.</summary>
    public const int Sci = 9;

    /// <summary>SLP_TYP of the soft-off state.</summary>
    public const int SoftOff = 0;

    private const int EventOffset = 0, ControlOffset = 4, TimerOffset = 8, BlockLength = 64;
    private const int BaseRegister = 0x40, DeviceActivityB = 0x58, MiscRegister = 0x80, SmbusBase = 0x90, SmbusConfiguration = 0xD2;

    /// <summary>Says that system management mode has been set up, so that firmware leaves it alone.</summary>
    private const uint ApmInterruptEnabled = 1 << 25;
    private const long TimerHertz = 3_579_545;

    /// <summary>The timer is 24 bits wide; its status bit is set whenever the highest of them changes.</summary>
    private const int TimerBits = 24;

    private const ushort TimerEvent = 1 << 0, GlobalEvent = 1 << 5, PowerButtonEvent = 1 << 8, SleepButtonEvent = 1 << 9, RtcEvent = 1 << 10;
    private const ushort Events = TimerEvent | GlobalEvent | PowerButtonEvent | SleepButtonEvent | RtcEvent;
    private const ushort SciEnable = 1 << 0, SleepEnable = 1 << 13;
    private const int SleepTypeShift = 10, SleepTypeMask = 7;

    /// <summary>Ports that are always decoded, and those that firmware adds.</summary>
    internal static readonly PortRange ApmPorts = new(ApmControl, 2), DefaultPorts = new(DefaultBase, BlockLength, 4);

    private readonly GuestClock _clock;
    private readonly IrqLine _sci;
    private readonly GuestTimer _timer;
    private readonly Action _powerOff;
    private readonly Frequency _frequency = new(TimerHertz);
    private readonly byte[] _apm = new byte[2];
    private PortRange? _block;
    private ushort _status, _enabled, _control;
    private long _halfPeriods;

    public PowerManagement(GuestClock clock, EventQueue events, IrqLine sci, Action powerOff)
        : base(new PciAddress(1, 3), new PciIdentity(0x8086, 0x7113, 0x06_8000, 3))
    {
        (_clock, _sci, _powerOff) = (clock, sci, powerOff);
        _timer = events.CreateTimer("PM timer", Update);
        Preset16(PciRegister.Status, 0x0280);
        Preset(PciRegister.InterruptPin, 1);
        Preset32(BaseRegister, 1);
        Writable32(BaseRegister, 0xFFC0);
        Preset32(DeviceActivityB, ApmInterruptEnabled);
        Writable32(DeviceActivityB, uint.MaxValue);
        Writable(MiscRegister, 1);
        Preset32(SmbusBase, 1);
        Writable32(SmbusBase, 0xFFF0);
        Writable(SmbusConfiguration, 0x0F);
    }

    public override string Name => "Power management";
    public override IReadOnlyList<PortRange> Ports => _block is { } block ? [ApmPorts, block] : [ApmPorts];
    public override IReadOnlyList<int> Irqs => [Sci];

    public override IReadOnlyList<DeviceRegister> Registers =>
        [.. base.Registers, new("PMBASE", Get16(BaseRegister)), new("PmStatus", _status), new("PmEnable", _enabled), new("PmControl", _control), new("PmTimer", Timer)];

    private long Ticks => _frequency.TicksAt(_clock.Now);

    private uint Timer => (uint)Ticks & ((1 << TimerBits) - 1);

    /// <summary>As firmware leaves it: the blocks decoded at <see cref="DefaultBase"/>.</summary>
    public void EnableBlock()
    {
        WriteConfiguration(BaseRegister, 4, DefaultBase);
        WriteConfiguration(MiscRegister, 1, 1);
        WriteConfiguration(PciRegister.InterruptLine, 1, Sci);
    }

    public override void Reset()
    {
        base.Reset();
        DecodeBlock();
        (_status, _enabled, _control) = (0, 0, 0);
        Array.Clear(_apm);
        _halfPeriods = Ticks >> (TimerBits - 1);
        Update();
    }

    protected override void ConfigurationWritten(int offset, int size) => DecodeBlock();

    private void DecodeBlock()
    {
        PortRange? wanted = (Get8(MiscRegister) & 1) != 0 ? new((ushort)(Get16(BaseRegister) & 0xFFC0), BlockLength, 4) : null;
        if (wanted == _block)
            return;
        if (_block is { } old)
            Bus.PortBus.Release(old);
        _block = wanted is { First: not 0 } range && Bus.PortBus.IsFree(range) ? range : null;
        if (_block is { } block)
            Bus.PortBus.Claim(block, this);
    }

    /// <summary>Takes note of the timer's changes, drives the SCI, and makes an appointment for the next change if anybody wants it.</summary>
    private void Update()
    {
        long halfPeriods = Ticks >> (TimerBits - 1);
        if (halfPeriods != _halfPeriods)
            _status |= TimerEvent;
        _halfPeriods = halfPeriods;
        _sci.Level = (_status & _enabled) != 0 && (_control & SciEnable) != 0;
        if ((_enabled & ~_status & TimerEvent) != 0)
            _timer.Set(_frequency.TimeOf((halfPeriods + 1) << (TimerBits - 1)));
        else
            _timer.Cancel();
    }

    public uint ReadPort(ushort port, int size)
    {
        if (port - ApmControl is 0 or 1)
            return _apm[port - ApmControl];
        Update();
        int offset = port & (BlockLength - 1);
        uint word = (offset & ~3) switch
        {
            EventOffset => (uint)(_status | _enabled << 16),
            ControlOffset => _control,
            TimerOffset => Timer,
            _ => 0,
        };
        return word >> (offset & 3) * 8 & uint.MaxValue >> (32 - size * 8);
    }

    public void WritePort(ushort port, int size, uint value)
    {
        if (port - ApmControl is 0 or 1)
        {
            WriteApm(port - ApmControl, (byte)value);
            return;
        }
        int offset = port & (BlockLength - 1);
        int shift = (offset & 3) * 8;
        uint mask = uint.MaxValue >> (32 - size * 8) << shift;
        value <<= shift;
        Update();
        switch (offset & ~3)
        {
            case EventOffset:
                // A status bit is cleared by writing 1 to it.
                _status &= (ushort)~(value & mask);
                _enabled = (ushort)((_enabled & ~(mask >> 16) | value >> 16) & Events);
                Update();
                break;
            case ControlOffset:
                WriteControl((ushort)(_control & ~mask | value));
                break;
        }
    }

    private void WriteControl(ushort value)
    {
        // SLP_EN is write-only; the sleeping states other than soft-off are not offered.
        _control = (ushort)(value & ~SleepEnable);
        Update();
        if ((value & SleepEnable) != 0 && (value >> SleepTypeShift & SleepTypeMask) == SoftOff)
            _powerOff();
    }

    private void WriteApm(int register, byte value)
    {
        _apm[register] = value;
        if (register != 0 || value is not (AcpiEnable or AcpiDisable))
            return;
        WriteControl((ushort)(_control & ~SciEnable | (value == AcpiEnable ? SciEnable : 0)));
    }
}
