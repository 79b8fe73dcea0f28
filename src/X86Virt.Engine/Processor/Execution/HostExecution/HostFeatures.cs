using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>Groups of data instructions that the host CPU executes for the guest.</summary>
[Flags]
public enum InstructionSets
{
    None = 0,
    X87 = 1 << 0,
    Mmx = 1 << 1,
    Sse = 1 << 2,
    Sse2 = 1 << 3,
    Sse3 = 1 << 4,
    Ssse3 = 1 << 5,
    Sse41 = 1 << 6,
    Sse42 = 1 << 7,
    Sse4a = 1 << 8,
    Aes = 1 << 9,
    Pclmulqdq = 1 << 10,
    Sha = 1 << 11,
    Avx = 1 << 12,
    Avx2 = 1 << 13,
    Fma = 1 << 14,
    F16c = 1 << 15,
    Vaes = 1 << 16,
    Vpclmulqdq = 1 << 17,
    Gfni = 1 << 18,
}

/// <summary>
/// What the host can execute. On a host that is not x64 that is nothing: the processor then has no x87, MMX, SSE or AVX, CPUID
/// says so, and their opcodes are undefined.
/// </summary>
public static class HostFeatures
{
    /// <summary>The instruction sets of this host; a processor model may claim these and no others.</summary>
    public static InstructionSets InstructionSets { get; } = Detect();

    /// <summary>State components that XCR0 may enable: x87, SSE and, where the host has AVX, the upper halves of YMM.</summary>
    public static ulong StateComponents { get; } =
        (InstructionSets & InstructionSets.Avx) != 0 ? 7UL : (InstructionSets & InstructionSets.Sse2) != 0 ? 3UL : 0;

    /// <summary>The instruction sets that an instruction needs, all of them; null if the host cannot execute its kind at all.</summary>
    internal static InstructionSets? Needed(Code code)
    {
        var needed = InstructionSets.None;
        foreach (CpuidFeature feature in code.CpuidFeatures())
        {
            InstructionSets? one = feature switch
            {
                CpuidFeature.FPU or CpuidFeature.FPU287 or CpuidFeature.FPU387 => InstructionSets.X87,
                CpuidFeature.MMX => InstructionSets.Mmx,
                CpuidFeature.SSE => InstructionSets.Sse,
                CpuidFeature.SSE2 => InstructionSets.Sse2,
                CpuidFeature.SSE3 => InstructionSets.Sse3,
                CpuidFeature.SSSE3 => InstructionSets.Ssse3,
                CpuidFeature.SSE4_1 => InstructionSets.Sse41,
                CpuidFeature.SSE4_2 => InstructionSets.Sse42,
                CpuidFeature.SSE4A => InstructionSets.Sse4a,
                CpuidFeature.AES => InstructionSets.Aes,
                CpuidFeature.PCLMULQDQ => InstructionSets.Pclmulqdq,
                CpuidFeature.SHA => InstructionSets.Sha,
                CpuidFeature.AVX => InstructionSets.Avx,
                CpuidFeature.AVX2 => InstructionSets.Avx2,
                CpuidFeature.FMA => InstructionSets.Fma,
                CpuidFeature.F16C => InstructionSets.F16c,
                CpuidFeature.VAES => InstructionSets.Vaes,
                CpuidFeature.VPCLMULQDQ => InstructionSets.Vpclmulqdq,
                CpuidFeature.GFNI => InstructionSets.Gfni,
                CpuidFeature.CMOV => InstructionSets.None,
                _ => null,
            };
            if (one == null)
                return null;
            needed |= one.Value;
        }
        return needed;
    }

    /// <summary>Whether the host can execute a form.</summary>
    internal static bool Executes(Code code) => Needed(code) is { } needed and not InstructionSets.None && (needed & ~InstructionSets) == 0;

    private static InstructionSets Detect()
    {
        if (RuntimeInformation.ProcessArchitecture != Architecture.X64 || !X86Base.IsSupported)
            return InstructionSets.None;
        (int maximum, _, _, _) = X86Base.CpuId(0, 0);
        (_, _, int ecx1, int edx1) = X86Base.CpuId(1, 0);
        (_, int ebx7, int ecx7, _) = maximum >= 7 ? X86Base.CpuId(7, 0) : default;
        (_, _, int ecx8, _) = X86Base.CpuId(unchecked((int)0x8000_0001), 0);

        var sets = InstructionSets.None;
        void Add(int register, int bit, InstructionSets set)
        {
            if ((register >> bit & 1) != 0)
                sets |= set;
        }

        Add(edx1, 0, InstructionSets.X87);
        Add(edx1, 23, InstructionSets.Mmx);
        Add(edx1, 25, InstructionSets.Sse);
        Add(edx1, 26, InstructionSets.Sse2);
        Add(ecx1, 0, InstructionSets.Sse3);
        Add(ecx1, 9, InstructionSets.Ssse3);
        Add(ecx1, 19, InstructionSets.Sse41);
        Add(ecx1, 20, InstructionSets.Sse42);
        Add(ecx8, 6, InstructionSets.Sse4a);
        Add(ecx1, 25, InstructionSets.Aes);
        Add(ecx1, 1, InstructionSets.Pclmulqdq);
        Add(ebx7, 29, InstructionSets.Sha);
        Add(ecx7, 8, InstructionSets.Gfni);

        // The runtime has checked that the operating system keeps YMM registers.
        if (Avx.IsSupported)
        {
            Add(ecx1, 28, InstructionSets.Avx);
            Add(ebx7, 5, InstructionSets.Avx2);
            Add(ecx1, 12, InstructionSets.Fma);
            Add(ecx1, 29, InstructionSets.F16c);
            Add(ecx7, 9, InstructionSets.Vaes);
            Add(ecx7, 10, InstructionSets.Vpclmulqdq);
        }
        return sets;
    }
}
