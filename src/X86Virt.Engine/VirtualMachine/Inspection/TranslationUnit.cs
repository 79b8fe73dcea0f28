using X86Virt.Engine.Processor;

namespace X86Virt.Engine;

/// <summary>How control goes from one translation unit to another.</summary>
public enum TranslationLinkKind
{
    /// <summary>Not taken yet, or its target was dropped: an exit that has the target looked up, translated if need be, and chained.</summary>
    Continuation,

    /// <summary>A direct jump to the target's host code.</summary>
    Chained,

    /// <summary>The target's host code stands where the jump to it would.</summary>
    FallThrough,

    /// <summary>The target is in another page, and is looked up by its address each time.</summary>
    Lookup,

    /// <summary>The target is computed, and looked up.</summary>
    Indirect,

    /// <summary>A return, by the shadow return stack or a look-up.</summary>
    Return,
}

/// <summary>A way out of a translation unit.</summary>
/// <param name="Kind">How.</param>
/// <param name="Target">Linear address in the guest; null where it is computed.</param>
public sealed record TranslationLink(TranslationLinkKind Kind, ulong? Target)
{
    public override string ToString() => Target is { } target ? $"{Kind} 0x{target:x}" : $"{Kind}";
}

/// <summary>An instruction of a translation unit and what was made of it.</summary>
/// <param name="Address">Linear address in the guest.</param>
/// <param name="Bytes">The encoding in hexadecimal.</param>
/// <param name="Text">The instruction.</param>
/// <param name="Kind">How it was translated.</param>
/// <param name="Host">Its host instructions in the body; what they do out of line is not among them.</param>
/// <param name="Callouts">Times that its handler was called since the unit was translated.</param>
/// <param name="Traps">Times that it trapped since then, 255 at most: its access was to a device, a tracked page or across pages.</param>
/// <param name="Reversions">Null if it was never made SIMULATE for its traps; else how often it got its other form back.</param>
public sealed record TranslatedInstruction(ulong Address, string Bytes, string Text, TranslationKind Kind, IReadOnlyList<string> Host, long Callouts, int Traps, int? Reversions);

/// <summary>A translation unit (TU) and its compiled code fragment (CCF).</summary>
public sealed record TranslationUnit
{
    public required string Machine { get; init; }

    /// <summary>Linear address of its first instruction.</summary>
    public required ulong Address { get; init; }

    /// <summary>16, 32 or 64.</summary>
    public required int Bitness { get; init; }

    /// <summary>The permissions it was translated for.</summary>
    public required AccessMode AccessMode { get; init; }

    /// <summary>Bytes of guest code.</summary>
    public required int GuestBytes { get; init; }

    /// <summary>Offset of its host code in the translation cache.</summary>
    public required long HostOffset { get; init; }

    /// <summary>Bytes of host code that runs in line.</summary>
    public required int HostBytes { get; init; }

    /// <summary>Bytes of host code out of line: exits, slow accesses.</summary>
    public required int ColdBytes { get; init; }

    /// <summary>How often it ran; null unless the machine profiles translations.</summary>
    public long? Executions { get; init; }

    public required IReadOnlyList<TranslatedInstruction> Instructions { get; init; }

    /// <summary>The host code in front of the first instruction: the count of retired instructions.</summary>
    public required IReadOnlyList<string> Head { get; init; }

    public required IReadOnlyList<TranslationLink> LinksOut { get; init; }

    /// <summary>Addresses of the units that lead here without a look-up.</summary>
    public IReadOnlyList<ulong> LinksIn { get; init; } = [];
}

/// <summary>The translation cache of a machine and what it did.</summary>
public sealed record TranslationCacheInfo
{
    public required string Machine { get; init; }

    /// <summary>Bytes.</summary>
    public required long Size { get; init; }

    /// <summary>Bytes in use.</summary>
    public required long Used { get; init; }

    /// <summary>Units in the cache.</summary>
    public required int Units { get; init; }

    /// <summary>Units translated since the machine was made or its engine changed.</summary>
    public required long UnitsTranslated { get; init; }
    public required long InstructionsTranslated { get; init; }
    public required long HostBytesTranslated { get; init; }
    public double HostBytesPerInstruction => InstructionsTranslated == 0 ? 0 : (double)HostBytesTranslated / InstructionsTranslated;

    /// <summary>Host time spent translating; decoding is not in it.</summary>
    public required TimeSpan TranslationTime { get; init; }
    public double UnitsPerSecond => TranslationTime == TimeSpan.Zero ? 0 : UnitsTranslated / TranslationTime.TotalSeconds;

    /// <summary>Times that translated code left to have the next unit found.</summary>
    public required long Dispatches { get; init; }

    /// <summary>Those of them that found one translated already.</summary>
    public long Hits => Math.Max(0, Dispatches - UnitsTranslated);

    /// <summary>Times that it left to have an instruction executed by its handler.</summary>
    public required long Callouts { get; init; }

    public required long ChainsMade { get; init; }
    public required long ChainsBroken { get; init; }

    /// <summary>Units dropped because the guest or a device stored into their code.</summary>
    public required long DroppedForStores { get; init; }

    /// <summary>Units dropped to make room.</summary>
    public required long DroppedForRoom { get; init; }

    /// <summary>Times that all were forgotten: breakpoints set, Clear-TranslationCache.</summary>
    public required long Clears { get; init; }
    /// <summary>Instructions made SIMULATE because they trapped often, and those that got their other form back.</summary>
    public required long Adapted { get; init; }
    public required long Reverted { get; init; }

    /// <summary>Blocks that were not translated because their code is stored into again and again.</summary>
    public required long LeftDecoded { get; init; }
    public required int UnitLimit { get; init; }
    public required TranslationFeatures Features { get; init; }
}
