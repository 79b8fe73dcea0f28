namespace X86Virt.Engine.Processor;

/// <summary>What the translator may do beyond translating unit by unit; each can be left out to see what it is worth.</summary>
[Flags]
public enum TranslationFeatures
{
    None = 0,

    /// <summary>Exits to known addresses are patched into direct jumps.</summary>
    Chaining = 1,

    /// <summary>Computed addresses, and known ones in other pages, are looked up by translated code itself.</summary>
    InlineLookup = 2,

    /// <summary>Units of more than <see cref="TranslationOptions.PaperUnitLimit"/> instructions go on behind conditional jumps.</summary>
    Superblocks = 4,

    /// <summary>Returns go by a shadow of the calls, where that has the right address.</summary>
    ReturnStack = 8,

    /// <summary>
    /// Accesses that trap often are retranslated as callouts, and back when they trap no more; code that is stored into again and again is
    /// executed from its decoded form.
    /// </summary>
    Adaptation = 16,

    /// <summary>Accesses of a unit to addresses that differ by constants look in the TLB once.</summary>
    AccessGroups = 32,

    /// <summary>Loops of one unit that run often are retranslated with several turns in it, where there are superblocks.</summary>
    Unrolling = 64,

    All = Chaining | InlineLookup | Superblocks | ReturnStack | Adaptation | AccessGroups | Unrolling,
}

/// <summary>How the binary translator works; has no effect on what the guest does.</summary>
public sealed record TranslationOptions
{
    public const int LargestUnitLimit = BlockDecoder.MaximumLimit;
    public const int PaperUnitLimit = 12;
    public const long SmallestCacheSize = TranslationCache.MinimumSize;
    public const long LargestCacheSize = 1L << 30;

    /// <summary>Bytes of host code at most, <see cref="SmallestCacheSize"/> to <see cref="LargestCacheSize"/>.</summary>
    public long CacheSize { get; init; } = 32 << 20;

    /// <summary>Guest instructions of a unit at most, 1 to <see cref="LargestUnitLimit"/>. <see cref="PaperUnitLimit"/> gives the paper's units, which end at every control transfer.</summary>
    public int UnitLimit { get; init; } = LargestUnitLimit;

    public TranslationFeatures Features { get; init; } = TranslationFeatures.All;

    /// <summary>Count how often each unit runs.</summary>
    public bool Profile { get; init; }
}
