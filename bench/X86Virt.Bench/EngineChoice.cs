using X86Virt.Engine;
using X86Virt.Engine.Processor;

namespace X86Virt.Bench;

/// <summary>An engine to measure, with a paging where there is more than one to choose from.</summary>
internal sealed record EngineChoice(EngineKind Engine, PagingKind? Paging = null)
{
    public override string ToString() => Paging == null ? $"{Engine}" : $"{Engine}, {Paging}";
}
