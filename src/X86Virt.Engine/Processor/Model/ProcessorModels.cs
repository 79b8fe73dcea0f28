using static X86Virt.Engine.Processor.ProcessorFeature;

namespace X86Virt.Engine.Processor;

/// <summary>One named model.</summary>
internal sealed record ProcessorModelDefinition(string Name, string Brand, bool IsIntel, uint Signature, FeatureSet Features);

/// <summary>The named models, and what the virtual silicon has at all.</summary>
public static class ProcessorModels
{
    private static readonly FeatureSet Pentium3Features = new(
        Fpu, Vme, De, Pse, Tsc, Msr, Pae, Mce, Cx8, Apic, Sep, Mtrr, Pge, Mca, Cmov, Pat, Pse36, Mmx, Fxsr, Sse);

    private static readonly FeatureSet OpteronFeatures = Extend(Pentium3Features, Clflush, Sse2, Syscall, Nx, MmxExt, LongMode);

    private static readonly FeatureSet Core2Features = Extend(OpteronFeatures, ProcessorFeature.Monitor, Sse3, Ssse3, Cx16, Sse41, LahfSahf64);

    /// <summary>What server and desktop processors of both vendors have had since 2013.</summary>
    private static readonly FeatureSet Version3Features = Extend(Core2Features,
        Sse42, Popcnt, Movbe, Aes, Pclmulqdq, Xsave, Xsaveopt, Avx, Avx2, Fma, F16c, Bmi1, Bmi2, Lzcnt, Rdrand, FsGsBase, Smep, Page1Gb, Rdtscp, InvariantTsc);

    private static readonly ProcessorModelDefinition[] Definitions =
    [
        // Everything there is, under the family of a current server processor. Waiting on an address (MONITOR), 5-level paging
        // and SVM are left to those who ask: a halt costs less, so does a walk of four levels, and kernels start hypervisors of their own.
        new(ProcessorModel.DefaultName, "X86Virt virtual processor", false, 0x0083_0F10, FeatureSet.All.Except(ProcessorFeature.Monitor, La57, ProcessorFeature.Svm)),
        new("Pentium", "Pentium", true, 0x0000_0543, new FeatureSet(Fpu, Vme, De, Pse, Tsc, Msr, Mce, Cx8, Apic)),
        new("Pentium3", "Pentium III", true, 0x0000_0686, Pentium3Features),
        new("Opteron", "Opteron", false, 0x0000_0F5A, OpteronFeatures),
        new("Core2", "Core 2", true, 0x0001_0676, Core2Features),
        new("Haswell", "Core (Haswell)", true, 0x0003_06C3, Extend(Version3Features, TscAdjust, Erms, Pcid, Invpcid, X2Apic, TscDeadline)),
        new("Epyc", "EPYC (Rome)", false, 0x0083_0F10, Extend(Version3Features,
            AltMovCr8, Sse4a, Prefetchw, Ffxsr, Xsavec, Adx, Rdseed, Rdpid, Smap, Umip, Clflushopt, Clwb, Sha)),
    ];

    /// <summary>What the processor has on this host: all of it, but for the instruction sets that the host's own processor would have to execute.</summary>
    public static FeatureSet Implemented { get; } = FindImplemented();

    public static IReadOnlyList<string> Names => [.. Definitions.Select(d => d.Name)];

    internal static ProcessorModelDefinition? Find(string name)
        => Definitions.FirstOrDefault(d => string.Equals(d.Name, name, StringComparison.OrdinalIgnoreCase));

    private static FeatureSet Extend(FeatureSet features, params ReadOnlySpan<ProcessorFeature> more)
    {
        FeatureSet extended = features.Copy();
        foreach (ProcessorFeature feature in more)
            extended.Set(feature, true);
        return extended;
    }

    private static FeatureSet FindImplemented()
    {
        FeatureSet all = FeatureSet.All;
        foreach (ProcessorFeature feature in Enum.GetValues<ProcessorFeature>())
        {
            InstructionSets needed = HostSetOf(feature);
            if ((needed & ~HostFeatures.InstructionSets) != 0)
                all.Set(feature, false);
        }
        FeatureDependencies.Close(all);
        return all;
    }

    private static InstructionSets HostSetOf(ProcessorFeature feature) => feature switch
    {
        Fpu => InstructionSets.X87,
        Mmx => InstructionSets.Mmx,
        MmxExt or Sse or Fxsr or Ffxsr => InstructionSets.Sse,
        Sse2 or Xsave or Xsaveopt or Xsavec => InstructionSets.Sse2,
        Sse3 => InstructionSets.Sse3,
        Ssse3 => InstructionSets.Ssse3,
        Sse41 => InstructionSets.Sse41,
        Sse42 => InstructionSets.Sse42,
        Sse4a => InstructionSets.Sse4a,
        Aes => InstructionSets.Aes,
        Pclmulqdq => InstructionSets.Pclmulqdq,
        Sha => InstructionSets.Sha,
        Avx => InstructionSets.Avx,
        Avx2 => InstructionSets.Avx2,
        Fma => InstructionSets.Fma,
        F16c => InstructionSets.F16c,
        Vaes => InstructionSets.Vaes,
        Vpclmulqdq => InstructionSets.Vpclmulqdq,
        Gfni => InstructionSets.Gfni,
        _ => InstructionSets.None,
    };
}
