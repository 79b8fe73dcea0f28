namespace X86Virt.Engine.Platform;

/// <summary>
/// The MC146818 real-time clock with its CMOS memory (ports 0x70, 0x71), on IRQ 8. The time of day is computed from guest time
/// when it is looked at; timers run only for interrupts that are enabled.
/// </summary>
public sealed class Rtc : Device, IPortDevice
{
    public const int Irq = 8;
    public const int Size = 128;

    private const ushort IndexPort = 0x70, DataPort = 0x71;
    private const int Seconds = 0, SecondsAlarm = 1, Minutes = 2, MinutesAlarm = 3, Hours = 4, HoursAlarm = 5, WeekDay = 6, Day = 7, Month = 8, Year = 9;
    private const int RegisterA = 10, RegisterB = 11, RegisterC = 12, RegisterD = 13;

    /// <summary>Century as the ACPI FADT names it, and where the PS/2 BIOS has it.</summary>
    public const int Century = 0x32;
    private const int Ps2Century = 0x37;

    private const byte UpdateInProgress = 0x80;
    private const byte DividerMask = 0x70, DividerRunning = 0x20;
    private const byte SetBit = 0x80, PeriodicEnable = 0x40, AlarmEnable = 0x20, UpdateEnable = 0x10, Binary = 0x04, TwentyFourHours = 0x02;
    private const byte InterruptRequest = 0x80, PeriodicFlag = 0x40, AlarmFlag = 0x20, UpdateFlag = 0x10;
    private const byte ValidTime = 0x80;

    private const long Second = 1_000_000_000;
    private const long CrystalHertz = 32768;

    /// <summary>UIP rises this long before the update.</summary>
    private const long UpdateWarning = 244_141;

    private readonly GuestClock _clock;
    private readonly IrqLine _irq;
    private readonly GuestTimer _second, _periodic;
    private readonly Frequency _crystal = new(CrystalHertz);
    private readonly byte[] _memory = new byte[Size];
    private readonly DateTime _start;
    private byte _index;

    // What the clock shows is _base plus the whole seconds of guest time since _origin, unless it is stopped.
    private DateTime _base;
    private long _origin;
    private long _updatesSeen;
    private long _periodicSeen;

    /// <summary>A clock that shows <paramref name="start"/> at power-on.</summary>
    public Rtc(GuestClock clock, EventQueue events, IrqLine irq, DateTime start)
    {
        _clock = clock;
        _irq = irq;
        _start = start;
        _second = events.CreateTimer("RTC second", Update);
        _periodic = events.CreateTimer("RTC periodic", Update);
        // Contents survive a reset; only power-on clears them.
        _memory[RegisterA] = DividerRunning | 6;
        _memory[RegisterB] = TwentyFourHours;
        _memory[RegisterD] = ValidTime;
        SetTime(start);
    }

    public override string Name => "RTC";
    public override IReadOnlyList<PortRange> Ports { get; } = [new(IndexPort, 2)];
    public override IReadOnlyList<int> Irqs => [Irq];

    public override IReadOnlyList<DeviceRegister> Registers =>
    [
        new("Index", _index),
        new("A", _memory[RegisterA]),
        new("B", _memory[RegisterB]),
        new("C", _memory[RegisterC]),
        new("UnixTime", (ulong)new DateTimeOffset(Now, TimeSpan.Zero).ToUnixTimeSeconds()),
    ];

    /// <summary>The date and time that the clock shows.</summary>
    public DateTime Now => Running ? _base.AddSeconds(Updates) : ComposeFields();

    /// <summary>A byte of CMOS memory beyond the clock, as firmware keeps its settings there.</summary>
    public byte this[int index]
    {
        get => _memory[index];
        set => _memory[index] = value;
    }

    private bool Running => (_memory[RegisterB] & SetBit) == 0 && (_memory[RegisterA] & DividerMask) == DividerRunning;

    /// <summary>Updates since the time was last set.</summary>
    private long Updates => (_clock.Now - _origin) / Second;

    /// <summary>The reset line clears interrupt enables and flags; time and memory go on on the battery.</summary>
    public override void Reset()
    {
        _index = 0;
        _memory[RegisterB] &= unchecked((byte)~(PeriodicEnable | AlarmEnable | UpdateEnable));
        _memory[RegisterC] = 0;
        Update();
    }

    /// <summary>Sets the clock back to its start, as if power had been off (a restart from nothing).</summary>
    public void PowerOn() => SetTime(_start);

    public uint ReadPort(ushort port, int size)
    {
        if (port == IndexPort)
            return 0xFF;
        switch (_index)
        {
            case var register when IsTimeField(register):
                return Running ? TimeField(register, Now) : _memory[register];
            case RegisterA:
                bool updating = Running && (_clock.Now - _origin) % Second >= Second - UpdateWarning;
                return (uint)(_memory[RegisterA] | (updating ? UpdateInProgress : 0));
            case RegisterC:
                Update();
                byte flags = _memory[RegisterC];
                _memory[RegisterC] = 0;
                Update();
                return flags;
            default:
                return _memory[_index];
        }
    }

    public void WritePort(ushort port, int size, uint value)
    {
        if (port == IndexPort)
        {
            // Bit 7 masks NMI; no source of this board uses that NMI.
            _index = (byte)(value & (Size - 1));
            return;
        }
        switch (_index)
        {
            case SecondsAlarm or MinutesAlarm or HoursAlarm:
                Update();
                _memory[_index] = (byte)value;
                Update();
                break;
            case var time when IsTimeField(time):
                SetField(time, (byte)value);
                break;
            case RegisterA or RegisterB:
                WriteControl(_index, (byte)value);
                break;
            case RegisterC or RegisterD:
                break;
            default:
                _memory[_index] = (byte)value;
                break;
        }
    }

    private void WriteControl(int register, byte value)
    {
        Update();
        if (Running)
            StoreFields(Now);
        bool wasRunning = Running;
        byte dividerBefore = _memory[RegisterA];
        if (register == RegisterA)
            value &= unchecked((byte)~UpdateInProgress);
        else if ((value & SetBit) != 0)
            value &= unchecked((byte)~UpdateEnable);
        _memory[register] = value;
        if (!wasRunning && Running)
            RestartFrom(ComposeFields(), (dividerBefore & DividerMask) != DividerRunning);
        _periodicSeen = PeriodicTicks;
        Update();
    }

    /// <summary>
    /// The clock goes on from a time, in phase with the seconds so far. Coming out of a divider reset, the first update is half a second away.
    /// </summary>
    private void RestartFrom(DateTime time, bool dividerWasReset)
    {
        _base = time;
        _origin = dividerWasReset ? _clock.Now - Second / 2 : _clock.Now - (_clock.Now - _origin) % Second;
        _updatesSeen = 0;
    }

    private void SetTime(DateTime time)
    {
        _base = time;
        _origin = _clock.Now;
        _updatesSeen = 0;
    }

    /// <summary>Period of the periodic interrupt in crystal cycles; 0 if it is off.</summary>
    private int PeriodicCycles
    {
        get
        {
            int rate = _memory[RegisterA] & 15;
            if (rate == 0 || (_memory[RegisterA] & DividerMask) != DividerRunning)
                return 0;
            return 1 << ((rate <= 2 ? rate + 7 : rate) - 1);
        }
    }

    private long PeriodicTicks => PeriodicCycles == 0 ? 0 : _crystal.TicksAt(_clock.Now) / PeriodicCycles;

    /// <summary>Brings the flags of register C, the interrupt line and the timers up to date.</summary>
    private void Update()
    {
        byte enabled = _memory[RegisterB];
        byte flags = (byte)(_memory[RegisterC] & ~InterruptRequest);
        if (PeriodicTicks > _periodicSeen)
            flags |= PeriodicFlag;
        _periodicSeen = PeriodicTicks;

        long nextAlarm = long.MaxValue;
        if (Running)
        {
            long updates = Updates;
            if (updates > _updatesSeen)
            {
                flags |= UpdateFlag;
                if (NextAlarm(_updatesSeen) <= updates)
                    flags |= AlarmFlag;
                _updatesSeen = updates;
            }
            if ((enabled & AlarmEnable) != 0 && (flags & AlarmFlag) == 0)
                nextAlarm = NextAlarm(updates);
        }
        bool request = (flags & enabled & (PeriodicFlag | AlarmFlag | UpdateFlag)) != 0;
        _memory[RegisterC] = (byte)(flags | (request ? InterruptRequest : 0));
        _irq.Level = request;

        long nextUpdate = Running && (enabled & UpdateEnable) != 0 && (flags & UpdateFlag) == 0 ? _updatesSeen + 1 : long.MaxValue;
        nextUpdate = Math.Min(nextUpdate, nextAlarm);
        _second.Set(nextUpdate == long.MaxValue ? nextUpdate : _origin + nextUpdate * Second);
        bool wantsPeriodic = (enabled & PeriodicEnable) != 0 && PeriodicCycles != 0 && (flags & PeriodicFlag) == 0;
        _periodic.Set(wantsPeriodic ? _crystal.TimeOf((_periodicSeen + 1) * PeriodicCycles) : long.MaxValue);
    }

    /// <summary>The first update after update number <paramref name="after"/> at which the alarm matches; <see cref="long.MaxValue"/> if it never does.</summary>
    private long NextAlarm(long after)
    {
        DateTime time = _base.AddSeconds(after + 1);
        DateTime end = time.AddDays(1);
        while (time < end)
        {
            if (!AlarmMatches(HoursAlarm, time))
                time = time.Date.AddHours(time.Hour + 1);
            else if (!AlarmMatches(MinutesAlarm, time))
                time = time.Date.AddHours(time.Hour).AddMinutes(time.Minute + 1);
            else if (!AlarmMatches(SecondsAlarm, time))
                time = time.AddSeconds(1);
            else
                return (long)(time - _base).TotalSeconds;
        }
        return long.MaxValue;
    }

    /// <summary>An alarm byte with its two top bits set matches always.</summary>
    private bool AlarmMatches(int register, DateTime time)
        => (_memory[register] & 0xC0) == 0xC0 || _memory[register] == TimeField(register - 1, time);

    private byte TimeField(int register, DateTime time) => register switch
    {
        Seconds => Encode(time.Second),
        Minutes => Encode(time.Minute),
        Hours => EncodeHours(time.Hour),
        WeekDay => Encode((int)time.DayOfWeek + 1),
        Day => Encode(time.Day),
        Month => Encode(time.Month),
        Year => Encode(time.Year % 100),
        _ => Encode(time.Year / 100),
    };

    private byte EncodeHours(int hour)
    {
        if ((_memory[RegisterB] & TwentyFourHours) != 0)
            return Encode(hour);
        return (byte)(Encode((hour + 11) % 12 + 1) | (hour >= 12 ? 0x80 : 0));
    }

    private byte Encode(int value) => (byte)((_memory[RegisterB] & Binary) != 0 ? value : value / 10 << 4 | value % 10);

    private int Decode(byte value) => (_memory[RegisterB] & Binary) != 0 ? value : (value >> 4) * 10 + (value & 15);

    private int DecodeHours(byte value)
    {
        if ((_memory[RegisterB] & TwentyFourHours) != 0)
            return Decode(value);
        return Decode((byte)(value & 0x7F)) % 12 + ((value & 0x80) != 0 ? 12 : 0);
    }

    private static bool IsTimeField(int register) => register is Seconds or Minutes or Hours or WeekDay or Day or Month or Year or Century or Ps2Century;

    private void StoreFields(DateTime time)
    {
        foreach (int register in (ReadOnlySpan<int>)[Seconds, Minutes, Hours, WeekDay, Day, Month, Year, Century, Ps2Century])
            _memory[register] = TimeField(register, time);
    }

    /// <summary>The date in the bytes that the guest wrote; what makes no date is brought into range.</summary>
    private DateTime ComposeFields()
    {
        // The year stays clear of the end of DateTime's range by more than guest time can last.
        int year = Math.Clamp(Decode(_memory[Century]), 1, 95) * 100 + Decode(_memory[Year]) % 100;
        int month = Math.Clamp(Decode(_memory[Month]), 1, 12);
        int day = Math.Clamp(Decode(_memory[Day]), 1, DateTime.DaysInMonth(year, month));
        int hour = Math.Min(DecodeHours(_memory[Hours]), 23);
        return new DateTime(year, month, day, hour, Math.Min(Decode(_memory[Minutes]), 59), Math.Min(Decode(_memory[Seconds]), 59), DateTimeKind.Utc);
    }

    /// <summary>Writes one field of the date; while the clock is stopped the bytes are just kept, so that their order does not matter.</summary>
    private void SetField(int register, byte value)
    {
        Update();
        if (Running)
            StoreFields(Now);
        _memory[register] = value;
        if (register is Century or Ps2Century)
            _memory[Century] = _memory[Ps2Century] = value;
        if (Running)
            RestartFrom(ComposeFields(), false);
        Update();
    }
}
