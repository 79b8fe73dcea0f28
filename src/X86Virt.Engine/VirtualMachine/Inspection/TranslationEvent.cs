namespace X86Virt.Engine;

/// <summary>What happened to a translation unit.</summary>
public enum TranslationEventKind
{
    Translated,

    /// <summary>A jump was made to lead straight to it.</summary>
    Chained,

    /// <summary>Dropped, because its code was stored into.</summary>
    StoredInto,

    /// <summary>Dropped for room.</summary>
    Evicted,

    /// <summary>Dropped, to be made anew in another form.</summary>
    Adapted,

    /// <summary>All units were dropped.</summary>
    Cleared,
}

/// <summary>Something that happened in the translation cache.</summary>
/// <param name="Retired">Instructions retired when it did; at most a unit more.</param>
/// <param name="Kind">What.</param>
/// <param name="Address">The unit's first instruction, as an offset in its code segment.</param>
/// <param name="Instructions">Guest instructions in the unit.</param>
public sealed record TranslationEvent(long Retired, TranslationEventKind Kind, ulong Address, int Instructions);
