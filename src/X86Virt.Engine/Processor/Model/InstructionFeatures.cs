using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>Which instructions a model has: an instruction whose features it lacks is an invalid opcode.</summary>
internal static class InstructionFeatures
{
    public static bool Has(ProcessorModel model, in Instruction instruction)
    {
        foreach (CpuidFeature needed in instruction.Code.CpuidFeatures())
        {
            if (FeatureOf(needed) is { } feature && !model.Has(feature))
                return false;
        }
        return true;
    }

    /// <summary>Null for what every model has, and for what no family knows.</summary>
    private static ProcessorFeature? FeatureOf(CpuidFeature feature) => feature switch
    {
        CpuidFeature.FPU or CpuidFeature.FPU287 or CpuidFeature.FPU387 => ProcessorFeature.Fpu,
        CpuidFeature.TSC => ProcessorFeature.Tsc,
        CpuidFeature.MSR => ProcessorFeature.Msr,
        CpuidFeature.CX8 => ProcessorFeature.Cx8,
        CpuidFeature.SEP => ProcessorFeature.Sep,
        CpuidFeature.CMOV => ProcessorFeature.Cmov,
        CpuidFeature.CLFSH => ProcessorFeature.Clflush,
        CpuidFeature.MMX => ProcessorFeature.Mmx,
        CpuidFeature.FXSR => ProcessorFeature.Fxsr,
        CpuidFeature.SSE => ProcessorFeature.Sse,
        CpuidFeature.SSE2 => ProcessorFeature.Sse2,
        CpuidFeature.SSE3 => ProcessorFeature.Sse3,
        CpuidFeature.PCLMULQDQ => ProcessorFeature.Pclmulqdq,
        CpuidFeature.SSSE3 => ProcessorFeature.Ssse3,
        CpuidFeature.FMA => ProcessorFeature.Fma,
        CpuidFeature.CMPXCHG16B => ProcessorFeature.Cx16,
        CpuidFeature.SSE4_1 => ProcessorFeature.Sse41,
        CpuidFeature.SSE4_2 => ProcessorFeature.Sse42,
        CpuidFeature.MOVBE => ProcessorFeature.Movbe,
        CpuidFeature.POPCNT => ProcessorFeature.Popcnt,
        CpuidFeature.AES => ProcessorFeature.Aes,
        CpuidFeature.XSAVE => ProcessorFeature.Xsave,
        CpuidFeature.XSAVEOPT => ProcessorFeature.Xsaveopt,
        CpuidFeature.XSAVEC => ProcessorFeature.Xsavec,
        CpuidFeature.AVX => ProcessorFeature.Avx,
        CpuidFeature.F16C => ProcessorFeature.F16c,
        CpuidFeature.RDRAND => ProcessorFeature.Rdrand,
        CpuidFeature.FSGSBASE => ProcessorFeature.FsGsBase,
        CpuidFeature.BMI1 => ProcessorFeature.Bmi1,
        CpuidFeature.AVX2 => ProcessorFeature.Avx2,
        CpuidFeature.BMI2 => ProcessorFeature.Bmi2,
        CpuidFeature.INVPCID => ProcessorFeature.Invpcid,
        CpuidFeature.RDSEED => ProcessorFeature.Rdseed,
        CpuidFeature.ADX => ProcessorFeature.Adx,
        CpuidFeature.SMAP => ProcessorFeature.Smap,
        CpuidFeature.CLFLUSHOPT => ProcessorFeature.Clflushopt,
        CpuidFeature.CLWB => ProcessorFeature.Clwb,
        CpuidFeature.SHA => ProcessorFeature.Sha,
        CpuidFeature.GFNI => ProcessorFeature.Gfni,
        CpuidFeature.VAES => ProcessorFeature.Vaes,
        CpuidFeature.VPCLMULQDQ => ProcessorFeature.Vpclmulqdq,
        CpuidFeature.RDPID => ProcessorFeature.Rdpid,
        CpuidFeature.SYSCALL => ProcessorFeature.Syscall,
        CpuidFeature.RDTSCP => ProcessorFeature.Rdtscp,
        CpuidFeature.X64 => ProcessorFeature.LongMode,
        CpuidFeature.SVM => ProcessorFeature.Svm,
        CpuidFeature.LZCNT => ProcessorFeature.Lzcnt,
        CpuidFeature.SSE4A => ProcessorFeature.Sse4a,
        CpuidFeature.MONITOR => ProcessorFeature.Monitor,
        _ => null,
    };
}
