namespace X86Virt.Engine.Platform;

/// <summary>
/// One comparator of the HPET (IA-PC HPET 1.0a, 2.3.8 and 2.3.9): interrupts when the main counter reaches its value, and in periodic
/// mode moves on by its period.
/// </summary>
internal sealed class HpetTimer
{
    /// <summary>Interrupts of the I/O APIC that a comparator can be led to: the RTC's, and those without an ISA device.</summary>
    public const uint Routes = 0x00FF_0100;

    private const ulong LevelTriggered = 1 << 1, Enable = 1 << 2, Periodic = 1 << 3, SetAccumulator = 1 << 6, Narrow = 1 << 8;
    private const ulong PeriodicCapable = 1 << 4, WideCapable = 1 << 5;
    private const ulong Writable = LevelTriggered | Enable | Periodic | SetAccumulator | Narrow | 0x1F << RouteShift;
    private const int RouteShift = 9;

    /// <summary>Further away than any machine runs.</summary>
    private const ulong Never = 1UL << 60;

    private readonly Hpet _hpet;
    private readonly IrqLine? _legacyLine;
    private readonly IrqLine?[] _lines = new IrqLine?[IoApic.PinCount];
    private readonly GuestTimer _timer;
    private IrqLine? _driven;
    private ulong _configuration, _comparator, _period;

    /// <summary>The tick at which the counter reaches the comparator next.</summary>
    private long _next = long.MaxValue;

    /// <param name="hpet">Has the counter.</param>
    /// <param name="index">0 to 2.</param>
    /// <param name="legacyIrq">What it replaces in legacy replacement mode; null for nothing.</param>
    /// <param name="events">Where its appointments go.</param>
    /// <param name="interrupts">Where its lines go.</param>
    public HpetTimer(Hpet hpet, int index, int? legacyIrq, EventQueue events, InterruptRouter interrupts)
    {
        _hpet = hpet;
        _legacyLine = legacyIrq is { } irq ? interrupts.CreateLine(irq) : null;
        for (int pin = 0; pin < _lines.Length; pin++)
            _lines[pin] = (Routes >> pin & 1) != 0 ? interrupts.CreateLine(pin) : null;
        _timer = events.CreateTimer($"HPET comparator {index}", () => Advance(hpet.Ticks));
    }

    public ulong Configuration => _configuration | PeriodicCapable | WideCapable | (ulong)Routes << 32;

    public ulong Comparator => _comparator;

    /// <summary>A level-triggered interrupt waits for its status bit to be cleared.</summary>
    public bool Status { get; private set; }

    private ulong Mask => (_configuration & Narrow) != 0 ? uint.MaxValue : ulong.MaxValue;
    private bool IsPeriodic => (_configuration & Periodic) != 0;
    private bool IsLevel => (_configuration & LevelTriggered) != 0;
    private bool IsEnabled => (_configuration & Enable) != 0;

    public void Reset()
    {
        (_configuration, _comparator, _period, Status) = (0, ulong.MaxValue, 0, false);
        Arm();
    }

    public void WriteConfiguration(ulong value)
    {
        _configuration = value & Writable;
        if (!IsPeriodic)
            _configuration &= ~SetAccumulator;
        if (!IsLevel)
            Status = false;
        Arm();
    }

    /// <summary>In periodic mode the period is written, and the comparator itself only if software has asked for that just before.</summary>
    public void WriteComparator(ulong value, ulong mask)
    {
        if (!IsPeriodic || (_configuration & SetAccumulator) != 0)
            _comparator = (_comparator & ~mask | value) & Mask;
        if (IsPeriodic)
            _period = (_period & ~mask | value) & Mask;
        _configuration &= ~SetAccumulator;
        Arm();
    }

    public void ClearStatus()
    {
        Status = false;
        Drive();
    }

    /// <summary>Something that decides when and where the next interrupt comes has changed.</summary>
    public void Arm()
    {
        ulong distance = (_comparator - _hpet.Counter) & Mask;
        _next = _hpet.Running && distance < Never ? _hpet.Ticks + (long)distance : long.MaxValue;
        Drive();
        MakeAppointment();
    }

    private void MakeAppointment() => _timer.Set(IsEnabled && _next != long.MaxValue ? _hpet.TimeOf(_next) : long.MaxValue);

    /// <summary>Takes note of all matches up to a tick. In real time there may have been several: they are one interrupt.</summary>
    public void Advance(long now)
    {
        if (_next > now)
            return;
        ulong step = IsPeriodic ? _period : Mask == ulong.MaxValue ? 0 : Mask + 1;
        if (step is 0 or >= Never)
        {
            _next = long.MaxValue;
        }
        else
        {
            ulong matches = (ulong)(now - _next) / step + 1;
            _next += (long)(matches * step);
            _comparator = (_comparator + matches * step) & Mask;
        }
        if (IsEnabled)
            Signal();
        MakeAppointment();
    }

    private void Signal()
    {
        if (IsLevel)
        {
            Status = true;
            Drive();
        }
        else if (Line is { } line)
        {
            line.Level = true;
            line.Level = false;
        }
    }

    private IrqLine? Line => _hpet.LegacyReplacement && _legacyLine != null ? _legacyLine : _lines[Route];

    private int Route => (int)(_configuration >> RouteShift & 0x1F) is var route && route < _lines.Length ? route : 0;

    private void Drive()
    {
        IrqLine? line = Line;
        if (_driven != line && _driven != null)
            _driven.Level = false;
        _driven = line;
        if (line != null)
            line.Level = Status && IsEnabled && _hpet.Running;
    }
}
