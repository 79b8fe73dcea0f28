using static X86Virt.Engine.Processor.ProcessorFeature;

namespace X86Virt.Engine.Processor;

/// <summary>Which features mean nothing without others, so that every set that a model can have is one that software expects.</summary>
internal static class FeatureDependencies
{
    /// <summary>Switches a feature on with all that it needs, or off with all that need it.</summary>
    public static void Switch(FeatureSet features, ProcessorFeature feature, bool on)
    {
        if (features.Has(feature) == on)
            return;
        features.Set(feature, on);
        if (on)
        {
            foreach (ProcessorFeature needed in NeedsOf(feature))
                Switch(features, needed, true);
            return;
        }
        foreach (ProcessorFeature other in Enum.GetValues<ProcessorFeature>())
        {
            if (NeedsOf(other).Contains(feature))
                Switch(features, other, false);
        }
    }

    /// <summary>Switches off what lacks something it needs.</summary>
    public static void Close(FeatureSet features)
    {
        foreach (ProcessorFeature feature in Enum.GetValues<ProcessorFeature>())
        {
            if (features.Has(feature) && !NeedsOf(feature).All(features.Has))
                Switch(features, feature, false);
        }
    }

    private static ProcessorFeature[] NeedsOf(ProcessorFeature feature) => feature switch
    {
        Mmx or Fxsr => [Fpu],
        MmxExt => [Mmx],
        Sse or Ffxsr or Xsave => [Fxsr],
        Sse2 => [Sse],
        Sse3 => [Sse2],
        Ssse3 or Sse4a => [Sse3],
        Sse41 => [Ssse3],
        Sse42 => [Sse41],
        Aes or Pclmulqdq or Sha or Gfni => [Sse2],
        Xsaveopt or Xsavec => [Xsave],
        Avx => [Xsave, Sse2],
        Avx2 or Fma or F16c => [Avx],
        Vaes => [Avx2, Aes],
        Vpclmulqdq => [Avx2, Pclmulqdq],
        LongMode => [Pae, Msr, Syscall, Nx, Fxsr, Sse2, Cmov, Cx8, Tsc, Pge],
        Svm => [LongMode, Msr],
        LahfSahf64 or Page1Gb or FsGsBase or Pcid or La57 => [LongMode],
        Cx16 => [LongMode, Cx8],
        Invpcid => [Pcid],
        Nx => [Pae],
        Pat or Mtrr or Mca or Sep or Apic or Mce or Syscall => [Msr],
        TscAdjust or InvariantTsc or Rdtscp => [Tsc],
        TscDeadline => [Tsc, Apic],
        X2Apic => [Apic],
        _ => [],
    };
}
