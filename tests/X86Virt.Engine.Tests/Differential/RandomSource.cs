using System.Numerics;

namespace X86Virt.Engine.Tests.Differential;

/// <summary>A small fast generator whose sequence never changes, so that a seed names a run.</summary>
internal sealed class RandomSource(ulong seed)
{
    private ulong _state = seed;

    public ulong Next()
    {
        ulong z = _state += 0x9E3779B97F4A7C15;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }

    /// <summary>0 to <paramref name="limit"/> - 1.</summary>
    public int Below(int limit) => (int)(((Next() >> 32) * (ulong)limit) >> 32);

    public bool Percent(int chance) => Below(100) < chance;

    /// <summary>A value of the kinds that instructions treat differently.</summary>
    public ulong Interesting()
    {
        ulong r = Next();
        switch (Below(12))
        {
            case 0:
                return r & 0xFF;
            case 1:
                return (ulong)(long)(sbyte)r;
            case 2:
                return 1UL << (int)(r & 63);
            case 3:
                return ulong.MaxValue >> (int)(r & 63);
            case 4:
                return ulong.MaxValue << (int)(r & 63);
            case 5:
                return (r & 7) switch { 0 => 0, 1 => 1, 2 => 0x80, 3 => 0x8000, 4 => 0x80000000, 5 => 0x7FFFFFFF, 6 => long.MaxValue, _ => 1UL << 63 };
            case 6:
                return r & Next();
            case 7:
                return BitOperations.RotateLeft(r >> 40, (int)(r & 63));
            case 8:
                return r & 0xFFFF;
            case 9:
                return (uint)r;
            default:
                return r;
        }
    }
}
