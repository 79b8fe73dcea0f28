namespace X86Virt.Engine.Processor;

/// <summary>What a processor claims to be and the limits that follow from it: vendor, family, and the features that CPUID reports.</summary>
public sealed class ProcessorModel
{
    /// <summary>The model of a machine that names none.</summary>
    public const string DefaultName = "X86Virt";

    public ProcessorModel() : this(ProcessorModels.Find(DefaultName)!)
    {
    }

    private ProcessorModel(ProcessorModelDefinition definition)
    {
        Name = definition.Name;
        Brand = definition.Brand;
        IsIntel = definition.IsIntel;
        Signature = definition.Signature;
        Features = definition.Features.Intersect(ProcessorModels.Implemented);
        FeatureDependencies.Close(Features);
    }

    public string Name { get; }

    /// <summary>The 48 characters that CPUID functions 0x80000002 to 4 spell.</summary>
    public string Brand { get; }

    /// <summary>GenuineIntel rather than AuthenticAMD; decides where the architectures differ (SYSENTER and SYSCALL across modes).</summary>
    public bool IsIntel { get; }

    /// <summary>Family, model and stepping as CPUID function 1 gives them in EAX.</summary>
    public uint Signature { get; }

    public FeatureSet Features { get; }

    public int PhysicalAddressBits => Has(ProcessorFeature.LongMode) ? 40 : Has(ProcessorFeature.Pae) || Has(ProcessorFeature.Pse36) ? 36 : 32;
    public bool HasGigabytePages => Has(ProcessorFeature.Page1Gb);
    public bool HasLongMode => Has(ProcessorFeature.LongMode);

    /// <summary>What SVM can do, where it is among the features.</summary>
    internal SvmCapabilities Svm { get; private init; } = SvmCapabilities.All;

    public bool Has(ProcessorFeature feature) => Features.Has(feature);

    /// <summary>Bits that XCR0 may have: x87 and SSE, and AVX with its feature.</summary>
    public ulong StateComponents => Has(ProcessorFeature.Avx) ? HostFeatures.StateComponents : HostFeatures.StateComponents & 3;

    /// <summary>Bits that CR4 may have; the others are reserved.</summary>
    public ulong Cr4Bits
    {
        get
        {
            ulong bits = 0;
            void Add(ProcessorFeature feature, ulong bit)
            {
                if (Has(feature))
                    bits |= bit;
            }
            Add(ProcessorFeature.Vme, Cr4.Vme | Cr4.Pvi);
            Add(ProcessorFeature.Tsc, Cr4.Tsd);
            Add(ProcessorFeature.De, Cr4.De);
            Add(ProcessorFeature.Pse, Cr4.Pse);
            Add(ProcessorFeature.Pae, Cr4.Pae);
            Add(ProcessorFeature.Mce, Cr4.Mce);
            Add(ProcessorFeature.Pge, Cr4.Pge);
            Add(ProcessorFeature.Fxsr, Cr4.Osfxsr);
            Add(ProcessorFeature.Sse, Cr4.Osxmmexcpt);
            Add(ProcessorFeature.Msr, Cr4.Pce);
            Add(ProcessorFeature.Umip, Cr4.Umip);
            Add(ProcessorFeature.La57, Cr4.La57);
            Add(ProcessorFeature.FsGsBase, Cr4.Fsgsbase);
            Add(ProcessorFeature.Pcid, Cr4.Pcide);
            Add(ProcessorFeature.Xsave, Cr4.Osxsave);
            Add(ProcessorFeature.Smep, Cr4.Smep);
            Add(ProcessorFeature.Smap, Cr4.Smap);
            return bits;
        }
    }

    /// <summary>The processor that a monitor runs this one's code on: the same, and with SVM; and with PAE, if the monitor's page tables need it.</summary>
    internal ProcessorModel ForMonitor(bool needsPae, ProcessorGeneration generation)
    {
        var model = new ProcessorModel(this) { Svm = SvmCapabilities.Of(generation) };
        model.Features.Set(ProcessorFeature.Svm, true);
        if (needsPae)
            model.Features.Set(ProcessorFeature.Pae, true);
        return model;
    }

    private ProcessorModel(ProcessorModel other)
    {
        (Name, Brand, IsIntel, Signature) = (other.Name, other.Brand, other.IsIntel, other.Signature);
        Features = other.Features.Intersect(ProcessorModels.Implemented);
    }

    /// <summary>
    /// A named model with features switched on ("Avx2" or "+Avx2") with all that they need, and off ("-Avx2") with all that need them.
    /// </summary>
    /// <param name="name">One of <see cref="ProcessorModels.Names"/>, in any case; null for the default.</param>
    /// <param name="switches">In order; the last one about a feature counts.</param>
    /// <exception cref="ArgumentException">There is no such model or feature, or this host cannot provide it; says which there are.</exception>
    public static ProcessorModel Parse(string? name, IEnumerable<string> switches)
    {
        ProcessorModelDefinition definition = ProcessorModels.Find(name ?? DefaultName)
            ?? throw new ArgumentException($"There is no processor model '{name}'. Choose one of {string.Join(", ", ProcessorModels.Names)}.");
        var model = new ProcessorModel(definition);
        foreach (string text in switches)
        {
            bool on = !text.StartsWith('-');
            // sse4.1 and sse4_1 are names of the same.
            string featureName = (text.StartsWith('+') || !on ? text[1..] : text).Replace(".", "", StringComparison.Ordinal).Replace("_", "", StringComparison.Ordinal);
            if (!Enum.GetNames<ProcessorFeature>().Contains(featureName, StringComparer.OrdinalIgnoreCase))
                throw new ArgumentException($"There is no processor feature '{text}'. Choose from {string.Join(", ", Enum.GetNames<ProcessorFeature>())}; a '-' before it switches it off.");
            var feature = Enum.Parse<ProcessorFeature>(featureName, ignoreCase: true);
            if (on && !ProcessorModels.Implemented.Has(feature))
                throw new ArgumentException($"The feature '{feature}' cannot be had on this host, whose own processor lacks it. Leave it out.");
            FeatureDependencies.Switch(model.Features, feature, on);
        }
        return model;
    }
}
