using System.Numerics;
using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Monitors;

/// <summary>What exits of one reason cost: their number, their time, and how it is spread, to an eighth of each power of two.</summary>
internal sealed class ReasonCounts
{
    private const int PartBits = 3, Parts = 1 << PartBits, Buckets = 40 * Parts;

    private readonly long[] _spread;

    public ReasonCounts(SvmExitCode code) : this(code, new long[Buckets])
    {
    }

    private ReasonCounts(SvmExitCode code, long[] spread)
    {
        Code = code;
        _spread = spread;
    }

    public SvmExitCode Code { get; }
    public long Count { get; private set; }

    /// <summary>Of a <see cref="HostClock"/>, like all here.</summary>
    public long Ticks { get; private set; }

    /// <summary>Instructions that the monitor executed for the guest.</summary>
    public long Emulated { get; private set; }

    /// <summary>Exits of instructions that were executed along with an exit.</summary>
    public long Avoided { get; private set; }

    public void Add(long ticks, long emulated = 0, long avoided = 0)
    {
        Count++;
        Emulated += emulated;
        Avoided += avoided;
        Ticks += ticks;
        _spread[Bucket(ticks)]++;
    }

    public ReasonCounts Copy() => new(Code, [.. _spread]) { Count = Count, Ticks = Ticks, Emulated = Emulated, Avoided = Avoided };

    /// <summary>What was counted after an earlier copy.</summary>
    public ReasonCounts Since(ReasonCounts? earlier) => earlier == null ? this
        : new ReasonCounts(Code, [.. _spread.Zip(earlier._spread, (now, before) => now - before)]) {
            Count = Count - earlier.Count, Ticks = Ticks - earlier.Ticks, Emulated = Emulated - earlier.Emulated, Avoided = Avoided - earlier.Avoided,
        };

    /// <summary>A time that so many of a hundred exits did not exceed, to a sixteenth or so of it; 0 if there were none.</summary>
    public double Percentile(int percent)
    {
        long left = (Count * percent + 99) / 100;
        for (int bucket = 0; bucket < Buckets && Count > 0; bucket++)
        {
            left -= _spread[bucket];
            if (left <= 0)
                return Middle(bucket);
        }
        return 0;
    }

    internal static int Bucket(long ticks)
    {
        ulong value = (ulong)Math.Max(ticks, 0);
        if (value < Parts)
            return (int)value;
        int power = BitOperations.Log2(value);
        return Math.Min((power - PartBits + 1) * Parts + ((int)(value >> (power - PartBits)) & (Parts - 1)), Buckets - 1);
    }

    internal static double Middle(int bucket)
    {
        if (bucket < Parts)
            return bucket;
        int power = bucket / Parts + PartBits - 1;
        return Math.ScaleB(Parts + bucket % Parts + 0.5, power - PartBits);
    }
}
