using X86Virt.Engine.Memory;

namespace X86Virt.Engine.Platform;

/// <summary>
/// The high precision event timer (IA-PC HPET 1.0a): a 64-bit counter of 100 MHz with three comparators. In legacy replacement mode the
/// first two take IRQ 0 and IRQ 8 over from the PIT and the RTC.
/// </summary>
public sealed class Hpet : Device, IMmioDevice
{
    public const ulong DefaultAddress = 0xFED0_0000;
    public const int TimerCount = 3;

    private const long Hertz = 100_000_000;
    private const ulong PeriodFemtoseconds = 1_000_000_000_000_000 / Hertz;
    private const ulong Revision = 1, WideCounter = 1 << 13, LegacyCapable = 1 << 15, Vendor = 0x8086;

    /// <summary>The low half of the capabilities, which the ACPI table repeats.</summary>
    public const uint Id = (uint)(Revision | (TimerCount - 1) << 8 | WideCounter | LegacyCapable | Vendor << 16);

    private const ulong CapabilitiesOffset = 0x00, ConfigurationOffset = 0x10, StatusOffset = 0x20, CounterOffset = 0xF0;
    private const ulong FirstTimerOffset = 0x100, TimerStride = 0x20, TimerConfiguration = 0, TimerComparator = 8;
    private const ulong Enable = 1 << 0, Legacy = 1 << 1;

    private readonly GuestClock _clock;
    private readonly IrqLine _pit, _rtc;
    private readonly Frequency _frequency = new(Hertz);
    private readonly HpetTimer[] _timers;
    private ulong _configuration;

    // The counter: what it held, and since which tick it has been running.
    private ulong _held;
    private long _since;

    /// <param name="clock">Guest time.</param>
    /// <param name="events">Where the comparators' appointments go.</param>
    /// <param name="interrupts">Where their interrupts go.</param>
    /// <param name="pit">The PIT's line, cut off in legacy replacement mode.</param>
    /// <param name="rtc">The RTC's line, likewise.</param>
    public Hpet(GuestClock clock, EventQueue events, InterruptRouter interrupts, IrqLine pit, IrqLine rtc)
    {
        (_clock, _pit, _rtc) = (clock, pit, rtc);
        int?[] replaced = [pit.Irq, rtc.Irq, null];
        _timers = [.. replaced.Select((irq, i) => new HpetTimer(this, i, irq, events, interrupts))];
    }

    public override string Name => "HPET";
    public override IReadOnlyList<AddressRange> Addresses { get; } = [new(DefaultAddress, 0x1000)];

    public override IReadOnlyList<DeviceRegister> Registers =>
    [
        new("Configuration", _configuration),
        new("Status", Status),
        new("Counter", Counter),
        .. _timers.SelectMany((t, i) => (DeviceRegister[])[new($"Timer{i}", t.Configuration), new($"Comparator{i}", t.Comparator)]),
    ];

    internal long Ticks => _frequency.TicksAt(_clock.Now);

    internal long TimeOf(long tick) => _frequency.TimeOf(tick);

    internal bool Running => (_configuration & Enable) != 0;

    internal bool LegacyReplacement => (_configuration & Legacy) != 0;

    internal ulong Counter => Running ? _held + (ulong)(Ticks - _since) : _held;

    private ulong Status
    {
        get
        {
            ulong status = 0;
            for (int i = 0; i < TimerCount; i++)
                status |= _timers[i].Status ? 1UL << i : 0;
            return status;
        }
    }

    public override void Reset()
    {
        (_configuration, _held) = (0, 0);
        _pit.Connected = _rtc.Connected = true;
        foreach (HpetTimer timer in _timers)
            timer.Reset();
    }

    public ulong ReadMemory(ulong offset, int size)
    {
        CatchUp();
        return Register(offset & ~7UL) >> (int)(offset & 7) * 8 & ulong.MaxValue >> (64 - size * 8);
    }

    private ulong Register(ulong offset)
    {
        switch (offset)
        {
            case CapabilitiesOffset:
                return Id | PeriodFemtoseconds << 32;
            case ConfigurationOffset:
                return _configuration;
            case StatusOffset:
                return Status;
            case CounterOffset:
                return Counter;
        }
        if (TimerAt(offset) is not { } timer)
            return 0;
        return (offset % TimerStride) switch
        {
            TimerConfiguration => timer.Configuration,
            TimerComparator => timer.Comparator,
            _ => 0,
        };
    }

    public void WriteMemory(ulong offset, int size, ulong value)
    {
        CatchUp();
        int shift = (int)(offset & 7) * 8;
        ulong mask = ulong.MaxValue >> (64 - size * 8) << shift;
        value = value << shift & mask;
        offset &= ~7UL;
        switch (offset)
        {
            case ConfigurationOffset:
                Configure(_configuration & ~mask | value);
                return;
            case StatusOffset:
                for (int i = 0; i < TimerCount; i++)
                {
                    if ((value >> i & 1) != 0)
                        _timers[i].ClearStatus();
                }
                return;
            case CounterOffset:
                // A running counter is not written to.
                if (!Running)
                    _held = _held & ~mask | value;
                return;
        }
        if (TimerAt(offset) is not { } timer)
            return;
        if (offset % TimerStride == TimerConfiguration)
            timer.WriteConfiguration(timer.Configuration & ~mask | value);
        else if (offset % TimerStride == TimerComparator)
            timer.WriteComparator(value, mask);
    }

    private HpetTimer? TimerAt(ulong offset)
        => offset >= FirstTimerOffset && (offset - FirstTimerOffset) / TimerStride is var index && index < TimerCount ? _timers[index] : null;

    private void Configure(ulong value)
    {
        _held = Counter;
        _since = Ticks;
        _configuration = value & (Enable | Legacy);
        _pit.Connected = _rtc.Connected = !LegacyReplacement;
        foreach (HpetTimer timer in _timers)
            timer.Arm();
    }

    private void CatchUp()
    {
        long now = Ticks;
        foreach (HpetTimer timer in _timers)
            timer.Advance(now);
    }
}
