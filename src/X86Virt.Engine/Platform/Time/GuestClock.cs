using System.Diagnostics;
using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Platform;

/// <summary>Where guest time comes from.</summary>
public enum ClockMode
{
    /// <summary>From retired instructions: the same on every run. An idle guest skips to its next timer.</summary>
    Virtual,

    /// <summary>From the host's monotonic clock, for people at a console. Runs are not repeatable.</summary>
    RealTime,
}

/// <summary>
/// Guest time since power-on, in nanoseconds and in ticks of the time-stamp counter. In virtual mode one instruction is one tick,
/// so what a guest sees at an instruction is the same with every engine.
/// </summary>
public sealed unsafe class GuestClock(Cpu cpu, ClockMode mode, long rate)
{
    /// <summary>Instructions between two looks at the host's clock: a fraction of a millisecond on any engine.</summary>
    private const long RealTimeQuantum = 20_000;

    private readonly Stopwatch _stopwatch = new();
    private long _skipped;

    public ClockMode Mode { get; } = mode;

    /// <summary>The rate of the time-stamp counter.</summary>
    public Frequency Rate { get; } = new(rate);

    /// <summary>Ticks that passed while the processor was halted (virtual mode).</summary>
    public long SkippedTicks => _skipped;

    /// <summary>The time-stamp counter, before any offset that the processor adds.</summary>
    public long Ticks => Mode == ClockMode.Virtual ? cpu.State->Retired + _skipped : Rate.TicksAt(HostNanoseconds);

    /// <summary>Nanoseconds since power-on.</summary>
    public long Now => Mode == ClockMode.Virtual ? Rate.NanosecondsAt(Ticks) : HostNanoseconds;

    /// <summary>Real time runs only while the machine does; virtual time needs no telling.</summary>
    public bool Running
    {
        get => _stopwatch.IsRunning;
        set
        {
            if (value)
                _stopwatch.Start();
            else
                _stopwatch.Stop();
        }
    }

    private long HostNanoseconds => (long)(_stopwatch.ElapsedTicks * (1e9 / Stopwatch.Frequency));

    /// <summary>The retired-instruction count at whose boundary <paramref name="time"/> has come; in real time, when to look again.</summary>
    public long RetiredAt(long time)
    {
        if (time == long.MaxValue)
            return long.MaxValue;
        long retired = cpu.State->Retired;
        if (Mode == ClockMode.RealTime)
            return time <= HostNanoseconds ? retired : retired + RealTimeQuantum;
        return Math.Max(retired, Rate.TicksAtOrAfter(time) - _skipped);
    }

    /// <summary>Lets time pass without instructions until <paramref name="time"/> (virtual mode; the processor is halted).</summary>
    public void SkipTo(long time)
    {
        long ticks = Rate.TicksAtOrAfter(time) - Ticks;
        if (Mode == ClockMode.Virtual && ticks > 0)
            _skipped += ticks;
    }
}
