namespace X86Virt.Engine.Platform;

/// <summary>
/// The 8254 interval timer (ports 0x40-0x43) and system control port B (0x61), which holds the gate of counter 2 and shows its
/// output. Counter 0 drives IRQ 0.
/// </summary>
public sealed class Pit : Device, IPortDevice
{
    /// <summary>The PC's timer crystal: 14.31818 MHz / 12.</summary>
    public const long Hertz = 1_193_182;

    private const ushort FirstCounter = 0x40, Control = 0x43, SystemControlB = 0x61;
    private const int Speaker = 2;

    /// <summary>Counter ticks between two DRAM refreshes, as the PC's firmware sets counter 1.</summary>
    private const int RefreshPeriod = 18;

    private readonly GuestClock _clock;
    private readonly IrqLine _irq;
    private readonly GuestTimer _timer;
    private readonly Frequency _frequency = new(Hertz);
    private readonly PitChannel[] _counters = [new(), new(), new()];
    private bool _speakerEnabled;
    private long _nextChange = long.MaxValue;

    public Pit(GuestClock clock, EventQueue events, IrqLine irq)
    {
        _clock = clock;
        _irq = irq;
        _timer = events.CreateTimer("PIT counter 0", () => CatchUp(Ticks));
    }

    public override string Name => "PIT";
    public override IReadOnlyList<PortRange> Ports { get; } = [new(FirstCounter, 4), new(SystemControlB, 1)];
    public override IReadOnlyList<int> Irqs => [InterruptRouter.TimerIrq];

    public override IReadOnlyList<DeviceRegister> Registers =>
    [
        new("Counter0", (uint)_counters[0].InitialCount),
        new("Mode0", (uint)_counters[0].Mode),
        new("Counter1", (uint)_counters[1].InitialCount),
        new("Mode1", (uint)_counters[1].Mode),
        new("Counter2", (uint)_counters[Speaker].InitialCount),
        new("Mode2", (uint)_counters[Speaker].Mode),
        new("PortB", ReadSystemControl(Ticks)),
    ];

    private long Ticks => _frequency.TicksAt(_clock.Now);

    public override void Reset()
    {
        foreach (PitChannel counter in _counters)
            counter.Reset();
        _counters[Speaker].SetGate(false, Ticks);
        _speakerEnabled = false;
        Update(Ticks);
    }

    /// <summary>Drives IRQ 0 as OUT 0 is at a tick, and makes an appointment for its next change.</summary>
    private void Update(long tick)
    {
        _irq.Level = _counters[0].Output(tick);
        _nextChange = _counters[0].NextChange(tick);
        _timer.Set(_nextChange == long.MaxValue ? long.MaxValue : _frequency.TimeOf(_nextChange));
    }

    /// <summary>Makes the changes of OUT 0 up to now, each as at its own tick: in real time a look may come late, and must not miss a pulse.</summary>
    private void CatchUp(long now)
    {
        while (_nextChange <= now)
            Update(_nextChange);
    }

    public uint ReadPort(ushort port, int size) => port switch
    {
        SystemControlB => ReadSystemControl(Ticks),
        Control => 0xFF,
        _ => _counters[port - FirstCounter].Read(Ticks),
    };

    public void WritePort(ushort port, int size, uint value)
    {
        long now = Ticks;
        CatchUp(now);
        switch (port)
        {
            case SystemControlB:
                _counters[Speaker].SetGate((value & 1) != 0, now);
                _speakerEnabled = (value & 2) != 0;
                return;
            case Control:
                WriteControl((byte)value, now);
                break;
            default:
                _counters[port - FirstCounter].Write((byte)value, now);
                break;
        }
        Update(now);
    }

    private void WriteControl(byte value, long now)
    {
        int select = value >> 6;
        if (select < 3)
        {
            _counters[select].WriteControl(value, now);
            return;
        }
        // Read-back: bits 5 and 4 clear ask for count and status of the counters in bits 3-1.
        for (int i = 0; i < 3; i++)
        {
            if ((value & (2 << i)) == 0)
                continue;
            if ((value & 0x20) == 0)
                _counters[i].LatchCount(now);
            if ((value & 0x10) == 0)
                _counters[i].LatchStatus(now);
        }
    }

    private byte ReadSystemControl(long now)
    {
        PitChannel speaker = _counters[Speaker];
        int refresh = (int)(now / RefreshPeriod & 1);
        return (byte)((speaker.Gate ? 1 : 0) | (_speakerEnabled ? 2 : 0) | refresh << 4 | (speaker.Output(now) ? 0x20 : 0));
    }
}
