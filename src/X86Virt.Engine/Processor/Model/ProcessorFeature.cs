namespace X86Virt.Engine.Processor;

/// <summary>
/// Features as CPUID reports them (AMD volume 3, appendix E): the value is 32 times the register's place in
/// <see cref="FeatureSet"/>, plus the bit.
/// </summary>
public enum ProcessorFeature
{
    // Function 1, EDX.
    Fpu = 0, Vme = 1, De = 2, Pse = 3, Tsc = 4, Msr = 5, Pae = 6, Mce = 7, Cx8 = 8, Apic = 9, Sep = 11, Mtrr = 12, Pge = 13, Mca = 14,
    Cmov = 15, Pat = 16, Pse36 = 17, Clflush = 19, Mmx = 23, Fxsr = 24, Sse = 25, Sse2 = 26,

    // Function 1, ECX.
    Sse3 = 32, Pclmulqdq = 33, Monitor = 35, Ssse3 = 41, Fma = 44, Cx16 = 45, Pcid = 49, Sse41 = 51, Sse42 = 52, X2Apic = 53, Movbe = 54,
    Popcnt = 55, TscDeadline = 56, Aes = 57, Xsave = 58, Avx = 60, F16c = 61, Rdrand = 62,

    // Function 7, EBX.
    FsGsBase = 64, TscAdjust = 65, Bmi1 = 67, Avx2 = 69, Smep = 71, Bmi2 = 72, Erms = 73, Invpcid = 74, Rdseed = 82, Adx = 83, Smap = 84,
    Clflushopt = 87, Clwb = 88, Sha = 93,

    // Function 7, ECX.
    Umip = 98, La57 = 96 + 16, Gfni = 104, Vaes = 105, Vpclmulqdq = 106, Rdpid = 118,

    // Function 0x80000001, EDX.
    Syscall = 128 + 11, Nx = 128 + 20, MmxExt = 128 + 22, Ffxsr = 128 + 25, Page1Gb = 128 + 26, Rdtscp = 128 + 27, LongMode = 128 + 29,

    // Function 0x80000001, ECX.
    LahfSahf64 = 160, Svm = 160 + 2, AltMovCr8 = 160 + 4, Lzcnt = 160 + 5, Sse4a = 160 + 6, Prefetchw = 160 + 8,

    // Function 0xD subfunction 1, EAX.
    Xsaveopt = 192, Xsavec = 193,

    // Function 0x80000007, EDX.
    InvariantTsc = 224 + 8,

    // Function 0x80000021, EAX. The ones called No tell of side channels that a processor without speculation does not have.
    LfenceSerializing = 256 + 2, AutomaticIbrs = 256 + 8, SrsoNo = 256 + 29,

    // Function 0x80000008, EBX.
    SsbNo = 288 + 26, BtcNo = 288 + 29,
}

/// <summary>A CPUID register that feature bits are in.</summary>
public enum FeatureRegister
{
    Function1Edx, Function1Ecx, Function7Ebx, Function7Ecx, ExtendedEdx, ExtendedEcx, XsaveEax, PowerEdx, Extended21Eax, Extended8Ebx,
}

/// <summary>A set of features, as the CPUID registers that report them.</summary>
public sealed class FeatureSet
{
    private readonly uint[] _words = new uint[Enum.GetValues<FeatureRegister>().Length];

    public FeatureSet(params ReadOnlySpan<ProcessorFeature> features)
    {
        foreach (ProcessorFeature feature in features)
            Set(feature, true);
    }

    private FeatureSet(uint[] words) => words.CopyTo(_words, 0);

    /// <summary>Every name in <see cref="ProcessorFeature"/>.</summary>
    public static FeatureSet All => new(Enum.GetValues<ProcessorFeature>());

    public bool Has(ProcessorFeature feature) => (_words[(int)feature >> 5] >> ((int)feature & 31) & 1) != 0;

    public uint Word(FeatureRegister register) => _words[(int)register];

    public void Set(ProcessorFeature feature, bool on)
    {
        uint bit = 1u << ((int)feature & 31);
        _words[(int)feature >> 5] = on ? _words[(int)feature >> 5] | bit : _words[(int)feature >> 5] & ~bit;
    }

    public FeatureSet Copy() => new(_words);

    /// <summary>The set without some features.</summary>
    public FeatureSet Except(params ReadOnlySpan<ProcessorFeature> features)
    {
        FeatureSet rest = Copy();
        foreach (ProcessorFeature feature in features)
            rest.Set(feature, false);
        return rest;
    }

    /// <summary>The features that are in both sets.</summary>
    public FeatureSet Intersect(FeatureSet other)
    {
        FeatureSet both = Copy();
        for (int i = 0; i < both._words.Length; i++)
            both._words[i] &= other._words[i];
        return both;
    }

    /// <summary>The names of the features in the set.</summary>
    public IEnumerable<ProcessorFeature> ToList() => Enum.GetValues<ProcessorFeature>().Where(Has);
}
