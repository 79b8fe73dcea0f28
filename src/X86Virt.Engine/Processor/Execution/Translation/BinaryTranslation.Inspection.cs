using System.Diagnostics;

namespace X86Virt.Engine.Processor;

/// <summary>What may be seen of the translation cache. Only while the engine does not run.</summary>
public sealed unsafe partial class BinaryTranslation
{
    /// <summary>Is told of what happens to translations; null if nobody looks.</summary>
    public Action<TranslationEvent>? Event { get; set; }

    private void Tell(TranslationEventKind kind, Block* block)
    {
        if (Event != null)
            Event(new TranslationEvent(Cpu.State->Retired, kind, block == null ? 0 : block->Rip, block == null ? 0 : block->Count));
    }

    /// <summary>Every unit in the cache, by address.</summary>
    public IReadOnlyList<TranslationUnit> ReadUnits(string machine) => new UnitReader(Cpu, _cache, _blocks.All(), _adaptation, _options.Profile).Read(machine);

    public TranslationCacheInfo ReadCache(string machine) => new()
    {
        Machine = machine,
        Size = _cache.Size,
        Used = _cache.Used,
        Units = _blocks.All().Count(b => ((Block*)b)->HostCode != null),
        UnitsTranslated = _translator.Units,
        InstructionsTranslated = _translator.GuestInstructions,
        HostBytesTranslated = _translator.HostBytes,
        TranslationTime = Stopwatch.GetElapsedTime(0, _translating),
        Dispatches = Dispatches,
        Callouts = Callouts,
        ChainsMade = _cache.ChainsMade,
        ChainsBroken = _cache.ChainsBroken,
        DroppedForStores = _blocks.Invalidated,
        DroppedForRoom = _blocks.Evicted,
        Clears = _blocks.Flushes,
        Adapted = _adaptation.Adapted,
        Reverted = _adaptation.Reverted,
        LeftDecoded = _adaptation.LeftDecoded,
        UnitLimit = _unitLimit,
        Features = _options.Features,
    };
}
