using System.Numerics;

namespace X86Virt.Engine.Platform;

/// <summary>A set of the 256 vectors: an APIC's IRR, ISR or TMR.</summary>
internal sealed class ApicVectors
{
    private readonly uint[] _words = new uint[8];

    public bool this[int vector] => (_words[vector >> 5] & (1u << vector)) != 0;

    /// <summary>The most urgent vector; -1 if the set is empty.</summary>
    public int Highest { get; private set; } = -1;

    /// <summary>32 vectors of it, as the registers show them.</summary>
    public uint Word(uint index) => _words[index];

    public void Add(int vector)
    {
        _words[vector >> 5] |= 1u << vector;
        Highest = Math.Max(Highest, vector);
    }

    public void Remove(int vector)
    {
        _words[vector >> 5] &= ~(1u << vector);
        if (vector == Highest)
            FindHighest();
    }

    public void Clear()
    {
        Array.Clear(_words);
        Highest = -1;
    }

    private void FindHighest()
    {
        for (int i = 7; i >= 0; i--)
        {
            if (_words[i] == 0)
                continue;
            Highest = i * 32 + BitOperations.Log2(_words[i]);
            return;
        }
        Highest = -1;
    }
}
