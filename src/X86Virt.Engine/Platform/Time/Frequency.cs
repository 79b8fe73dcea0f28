namespace X86Virt.Engine.Platform;

/// <summary>A clock signal derived from guest time: converts between nanoseconds and its ticks, exactly.</summary>
public readonly record struct Frequency
{
    private const ulong NanosecondsPerSecond = 1_000_000_000;

    /// <param name="hertz">1 Hz to 9 GHz, so that no product below leaves 64 bits.</param>
    public Frequency(long hertz)
    {
        if (hertz is < 1 or > 9_000_000_000)
            throw new ArgumentOutOfRangeException(nameof(hertz), hertz, $"A clock rate of {hertz} Hz is out of range; give 1 Hz to 9 GHz.");
        Hertz = hertz;
    }

    public long Hertz { get; }

    /// <summary>Ticks that have passed at <paramref name="nanoseconds"/>, rounded down.</summary>
    public long TicksAt(long nanoseconds)
    {
        (ulong seconds, ulong rest) = Math.DivRem((ulong)nanoseconds, NanosecondsPerSecond);
        return (long)(seconds * (ulong)Hertz + rest * (ulong)Hertz / NanosecondsPerSecond);
    }

    /// <summary>The first tick at which <paramref name="nanoseconds"/> have passed: <see cref="NanosecondsAt"/> of it is no less.</summary>
    public long TicksAtOrAfter(long nanoseconds)
    {
        (ulong seconds, ulong rest) = Math.DivRem((ulong)nanoseconds, NanosecondsPerSecond);
        if (seconds >= (ulong)(long.MaxValue / Hertz))
            return long.MaxValue;
        return (long)(seconds * (ulong)Hertz + (rest * (ulong)Hertz + NanosecondsPerSecond - 1) / NanosecondsPerSecond);
    }

    /// <summary>The first nanosecond at which <paramref name="ticks"/> have passed: <see cref="TicksAt"/> of it is no less.</summary>
    public long TimeOf(long ticks)
    {
        (ulong seconds, ulong rest) = Math.DivRem((ulong)ticks, (ulong)Hertz);
        if (seconds >= long.MaxValue / NanosecondsPerSecond)
            return long.MaxValue;
        return (long)(seconds * NanosecondsPerSecond + (rest * NanosecondsPerSecond + (ulong)Hertz - 1) / (ulong)Hertz);
    }

    /// <summary>Nanoseconds that have passed at tick <paramref name="ticks"/>, rounded down.</summary>
    public long NanosecondsAt(long ticks)
    {
        (ulong seconds, ulong rest) = Math.DivRem((ulong)ticks, (ulong)Hertz);
        return (long)(seconds * NanosecondsPerSecond + rest * NanosecondsPerSecond / (ulong)Hertz);
    }
}
