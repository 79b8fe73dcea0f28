using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Platform;

/// <summary>The local APIC's timer: one-shot, periodic, or against the time-stamp counter. Its bus clock is 1 GHz before the divider.</summary>
internal sealed unsafe class ApicTimer
{
    public const long BusHertz = 1_000_000_000;

    private readonly Cpu _cpu;
    private readonly GuestClock _clock;
    private readonly GuestTimer _timer;
    private readonly Action _expired;
    private long _start;
    private bool _counting;

    /// <summary>A stopped timer; <paramref name="expired"/> raises the interrupt of LVT timer.</summary>
    public ApicTimer(Cpu cpu, GuestClock clock, EventQueue events, Action expired)
    {
        _cpu = cpu;
        _clock = clock;
        _expired = expired;
        _timer = events.CreateTimer("APIC timer", OnDue);
    }

    public ApicTimerMode Mode { get; private set; }
    public uint InitialCount { get; private set; }

    /// <summary>The register: bits 3, 1 and 0.</summary>
    public uint DivideConfiguration { get; private set; }

    /// <summary>Time-stamp count that is waited for; 0 if none is.</summary>
    public ulong TscDeadline { get; private set; }

    /// <summary>Nanoseconds a count, as a power of 2.</summary>
    private int Shift => (int)(((DivideConfiguration & 3) | (DivideConfiguration >> 1 & 4)) + 1) & 7;

    public void Reset()
    {
        _timer.Cancel();
        (Mode, InitialCount, DivideConfiguration, TscDeadline, _counting) = (ApicTimerMode.OneShot, 0, 0, 0, false);
    }

    /// <summary>Changing between counting and deadline disarms the timer.</summary>
    public void SetMode(ApicTimerMode mode)
    {
        if (mode == Mode)
            return;
        bool disarm = mode == ApicTimerMode.TscDeadline || Mode == ApicTimerMode.TscDeadline;
        Mode = mode;
        if (disarm)
        {
            _timer.Cancel();
            (_counting, InitialCount, TscDeadline) = (false, 0, 0);
        }
    }

    public void SetDivide(uint value)
    {
        uint count = CurrentCount;
        DivideConfiguration = value & 0xB;
        if (!_counting)
            return;
        // The count goes on from where it is, at the new rate.
        _start = _clock.Now - ((long)(InitialCount - count) << Shift);
        Arm();
    }

    public void SetInitialCount(uint value)
    {
        if (Mode == ApicTimerMode.TscDeadline)
            return;
        InitialCount = value;
        _start = _clock.Now;
        _counting = value != 0;
        if (_counting)
            Arm();
        else
            _timer.Cancel();
    }

    private void Arm() => _timer.Set(_start + ((long)InitialCount << Shift));

    public uint CurrentCount
    {
        get
        {
            if (!_counting || Mode == ApicTimerMode.TscDeadline)
                return 0;
            long elapsed = (_clock.Now - _start) >> Shift;
            if (elapsed < InitialCount)
                return InitialCount - (uint)elapsed;
            return Mode == ApicTimerMode.Periodic ? InitialCount - (uint)(elapsed % InitialCount) : 0;
        }
    }

    /// <summary>MSR IA32_TSC_DEADLINE; 0 disarms, and other modes ignore it.</summary>
    public void SetTscDeadline(ulong value)
    {
        if (Mode != ApicTimerMode.TscDeadline)
            return;
        TscDeadline = value;
        ulong now = (ulong)_clock.Ticks + _cpu.State->TscOffset;
        if (value == 0)
            _timer.Cancel();
        else if (value <= now)
            _timer.Set(_clock.Now);
        else if (value - now >= long.MaxValue / 2)
            _timer.Cancel();
        else
            _timer.Set(_clock.Rate.TimeOf(_clock.Ticks + (long)(value - now)));
    }

    private void OnDue()
    {
        switch (Mode)
        {
            case ApicTimerMode.TscDeadline:
                TscDeadline = 0;
                break;
            case ApicTimerMode.Periodic:
                // Periods that are over already (a real-time guest that was held) are not made up for.
                long period = (long)InitialCount << Shift;
                _start += Math.Max(1, (_clock.Now - _start) / period) * period;
                Arm();
                break;
            default:
                _counting = false;
                break;
        }
        _expired();
    }
}

internal enum ApicTimerMode : byte
{
    OneShot,
    Periodic,
    TscDeadline,
}
