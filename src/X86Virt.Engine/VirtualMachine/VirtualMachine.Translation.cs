using X86Virt.Engine.Processor;

namespace X86Virt.Engine;

/// <summary>The translation cache of a machine that has one.</summary>
public sealed partial class VirtualMachine
{
    /// <exception cref="MachineException">NoTranslationCache: the machine's engine translates nothing.</exception>
    public TranslationCacheInfo ReadTranslationCache() => Inspect(_ => Translator.ReadCache(Name));

    /// <summary>The units in the cache, by address.</summary>
    /// <exception cref="MachineException">NoTranslationCache.</exception>
    public IReadOnlyList<TranslationUnit> ReadTranslationUnits() => Inspect(_ => Translator.ReadUnits(Name));

    /// <summary>Forgets all translations; what runs next is translated anew.</summary>
    /// <exception cref="MachineException">NoTranslationCache.</exception>
    public void ClearTranslationCache() => Inspect(_ => Translator.ForgetCode());

    private BinaryTranslation Translator => _engine as BinaryTranslation
        ?? throw new MachineException("NoTranslationCache", $"Machine '{Name}' runs on {Engine}, which translates nothing. Set-VirtualMachine -Engine BinaryTranslation changes that.");
}
