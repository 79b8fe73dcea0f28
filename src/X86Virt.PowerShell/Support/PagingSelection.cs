using X86Virt.Engine;
using X86Virt.Engine.Processor;

namespace X86Virt.PowerShell;

/// <summary>Kinds of paging, engine by engine.</summary>
internal static class PagingSelection
{
    /// <summary>
    /// Of several kinds an engine takes those that it has; one that has none of them refuses the first. Where no kind was asked for, it is what
    /// <paramref name="otherwise"/> says; null is what suits the engine.
    /// </summary>
    public static IReadOnlyList<PagingKind?> For(EngineKind engine, IReadOnlyCollection<PagingKind> kinds, PagingKind? otherwise = null)
        => kinds.Count == 0 ? [otherwise] : [.. kinds.Where(p => Suits(engine, p)).DefaultIfEmpty(kinds.First()).Select(p => (PagingKind?)p)];

    private static bool Suits(EngineKind engine, PagingKind paging) => paging switch
    {
        PagingKind.Walk => engine is not (EngineKind.HardwareAssist or EngineKind.Hybrid),
        PagingKind.Nested => engine is EngineKind.HardwareAssist or EngineKind.Hybrid,
        _ => true,
    };
}
