namespace X86Virt.Engine.Platform;

/// <summary>
/// The fixed ACPI hardware where firmware puts the PIIX4's: PM1 event, control and timer blocks (ACPI 6.5, 4.8.3). There is no SMI and no
/// legacy mode; SCI_EN always reads 1.
/// </summary>
public sealed class PowerManagement : Device, IPortDevice
{
    public const ushort EventBlock = 0x600, ControlBlock = 0x604, TimerBlock = 0x608;

    /// <summary>The system control interrupt.</summary>
    public const int Sci = 9;

    /// <summary>SLP_TYP of the soft-off state.</summary>
    public const int SoftOff = 0;

    private const int BlockLength = 12;
    private const long TimerHertz = 3_579_545;

    /// <summary>The timer is 24 bits wide; its status bit is set whenever the highest of them changes.</summary>
    private const int TimerBits = 24;

    private const ushort TimerEvent = 1 << 0, GlobalEvent = 1 << 5, PowerButtonEvent = 1 << 8, SleepButtonEvent = 1 << 9, RtcEvent = 1 << 10;
    private const ushort Events = TimerEvent | GlobalEvent | PowerButtonEvent | SleepButtonEvent | RtcEvent;
    private const ushort SciEnable = 1 << 0, SleepEnable = 1 << 13;
    private const int SleepTypeShift = 10, SleepTypeMask = 7;

    private readonly GuestClock _clock;
    private readonly IrqLine _sci;
    private readonly GuestTimer _timer;
    private readonly Action _powerOff;
    private readonly Frequency _frequency = new(TimerHertz);
    private ushort _status, _enabled, _control;
    private long _halfPeriods;

    public PowerManagement(GuestClock clock, EventQueue events, IrqLine sci, Action powerOff)
    {
        (_clock, _sci, _powerOff) = (clock, sci, powerOff);
        _timer = events.CreateTimer("PM timer", Update);
    }

    public override string Name => "Power management";
    public override IReadOnlyList<PortRange> Ports { get; } = [new(EventBlock, BlockLength, 4)];
    public override IReadOnlyList<int> Irqs => [Sci];

    public override IReadOnlyList<DeviceRegister> Registers =>
        [new("Status", _status), new("Enable", _enabled), new("Control", (uint)(_control | SciEnable)), new("Timer", Timer)];

    private long Ticks => _frequency.TicksAt(_clock.Now);

    private uint Timer => (uint)Ticks & ((1 << TimerBits) - 1);

    public override void Reset()
    {
        (_status, _enabled, _control) = (0, 0, 0);
        _halfPeriods = Ticks >> (TimerBits - 1);
        Update();
    }

    /// <summary>Takes note of the timer's changes, drives the SCI, and makes an appointment for the next change if anybody wants it.</summary>
    private void Update()
    {
        long halfPeriods = Ticks >> (TimerBits - 1);
        if (halfPeriods != _halfPeriods)
            _status |= TimerEvent;
        _halfPeriods = halfPeriods;
        _sci.Level = (_status & _enabled) != 0;
        if ((_enabled & ~_status & TimerEvent) != 0)
            _timer.Set(_frequency.TimeOf((halfPeriods + 1) << (TimerBits - 1)));
        else
            _timer.Cancel();
    }

    public uint ReadPort(ushort port, int size)
    {
        Update();
        uint word = (port & ~3) switch
        {
            EventBlock => (uint)(_status | _enabled << 16),
            ControlBlock => (uint)(_control | SciEnable),
            _ => Timer,
        };
        return word >> (port & 3) * 8 & uint.MaxValue >> (32 - size * 8);
    }

    public void WritePort(ushort port, int size, uint value)
    {
        int shift = (port & 3) * 8;
        uint mask = uint.MaxValue >> (32 - size * 8) << shift;
        value <<= shift;
        Update();
        switch (port & ~3)
        {
            case EventBlock:
                // A status bit is cleared by writing 1 to it.
                _status &= (ushort)~(value & mask);
                _enabled = (ushort)((_enabled & ~(mask >> 16) | value >> 16) & Events);
                Update();
                break;
            case ControlBlock:
                _control = (ushort)(_control & ~mask | value);
                if ((_control & SleepEnable) == 0)
                    break;
                // Write-only; the sleeping states other than soft-off are not offered.
                _control &= unchecked((ushort)~SleepEnable);
                if ((_control >> SleepTypeShift & SleepTypeMask) == SoftOff)
                    _powerOff();
                break;
        }
    }
}
