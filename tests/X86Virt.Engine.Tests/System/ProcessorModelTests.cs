using Iced.Intel;
using X86Virt.Engine.Processor;
using Xunit;

namespace X86Virt.Engine.Tests.SystemInstructions;

/// <summary>Models, their features, and that a model executes what it reports and nothing else.</summary>
public unsafe class ProcessorModelTests
{
    public static TheoryData<string> Models => [.. ProcessorModels.Names];

    /// <summary>Each feature with a sample of what it brings, in 64-bit code unless marked.</summary>
    private static readonly (ProcessorFeature Feature, string Code)[] Samples =
    [
        (ProcessorFeature.Fpu, "D9E8"), // FLD1
        (ProcessorFeature.Svm, "0F01DD"), // CLGI
        (ProcessorFeature.Tsc, "0F31"),
        (ProcessorFeature.Cx8, "0FC70E"), // CMPXCHG8B [RSI]
        (ProcessorFeature.Cmov, "0F44C1"), // CMOVZ
        (ProcessorFeature.Clflush, "0FAE3E"),
        (ProcessorFeature.Mmx, "0FEFC0"), // PXOR MM0, MM0
        (ProcessorFeature.Fxsr, "0FAE06"), // FXSAVE
        (ProcessorFeature.Sse, "0F57C0"), // XORPS
        (ProcessorFeature.Sse2, "660FEFC0"), // PXOR
        (ProcessorFeature.Sse3, "F20F12C0"), // MOVDDUP
        (ProcessorFeature.Pclmulqdq, "660F3A44C000"),
        (ProcessorFeature.Ssse3, "660F3800C0"), // PSHUFB
        (ProcessorFeature.Fma, "C4E2F198C2"), // VFMADD132PD
        (ProcessorFeature.Cx16, "480FC70E"), // CMPXCHG16B [RSI]
        (ProcessorFeature.Sse41, "660F3817C0"), // PTEST
        (ProcessorFeature.Sse42, "F20F38F0C1"), // CRC32
        (ProcessorFeature.Movbe, "0F38F006"),
        (ProcessorFeature.Popcnt, "F30FB8C1"),
        (ProcessorFeature.Aes, "660F38DCC0"), // AESENC
        (ProcessorFeature.Xsave, "0FAE26"),
        (ProcessorFeature.Avx, "C5F857C0"), // VXORPS XMM
        (ProcessorFeature.F16c, "C4E27913C0"), // VCVTPH2PS
        (ProcessorFeature.Rdrand, "0FC7F0"),
        (ProcessorFeature.FsGsBase, "F30FAEC0"), // RDFSBASE
        (ProcessorFeature.Bmi1, "C4E278F2C1"), // ANDN
        (ProcessorFeature.Avx2, "C5FDEFC0"), // VPXOR YMM
        (ProcessorFeature.Bmi2, "C4E27BF5C1"), // PDEP
        (ProcessorFeature.Invpcid, "660F38820E"),
        (ProcessorFeature.Rdseed, "0FC7F8"),
        (ProcessorFeature.Adx, "660F38F6C1"), // ADCX
        (ProcessorFeature.Smap, "0F01CA"), // CLAC
        (ProcessorFeature.Clflushopt, "660FAE3E"),
        (ProcessorFeature.Clwb, "660FAE36"),
        (ProcessorFeature.Sha, "0F38C8C0"), // SHA1NEXTE
        (ProcessorFeature.Gfni, "660F38CFC0"), // GF2P8MULB
        (ProcessorFeature.Vaes, "C4E27DDCC0"), // VAESENC YMM
        (ProcessorFeature.Vpclmulqdq, "C4E37D44C000"),
        (ProcessorFeature.Rdpid, "F30FC7F8"),
        (ProcessorFeature.Syscall, "0F05"),
        (ProcessorFeature.Rdtscp, "0F01F9"),
        (ProcessorFeature.LahfSahf64, "9F"),
        (ProcessorFeature.Sse4a, "660F78C00101"), // EXTRQ
        (ProcessorFeature.Xsaveopt, "0FAE36"),
        (ProcessorFeature.Xsavec, "0FC726"),
        (ProcessorFeature.Monitor, "0F01C8"),
    ];

    /// <summary>Features without instructions of their own: they show in registers, tables, or only in CPUID.</summary>
    private static readonly ProcessorFeature[] WithoutInstructions =
    [
        ProcessorFeature.Vme, ProcessorFeature.De, ProcessorFeature.Pse, ProcessorFeature.Msr, ProcessorFeature.Pae, ProcessorFeature.Mce,
        ProcessorFeature.Apic, ProcessorFeature.Mtrr, ProcessorFeature.Pge, ProcessorFeature.Mca, ProcessorFeature.Pat, ProcessorFeature.Pse36,
        ProcessorFeature.Pcid, ProcessorFeature.X2Apic, ProcessorFeature.TscDeadline, ProcessorFeature.TscAdjust, ProcessorFeature.Smep,
        ProcessorFeature.Erms, ProcessorFeature.Umip, ProcessorFeature.Nx, ProcessorFeature.Ffxsr, ProcessorFeature.Page1Gb,
        ProcessorFeature.InvariantTsc, ProcessorFeature.LfenceSerializing, ProcessorFeature.AutomaticIbrs, ProcessorFeature.SrsoNo,
        ProcessorFeature.SsbNo, ProcessorFeature.BtcNo, ProcessorFeature.La57, ProcessorFeature.AltMovCr8,
        // Tested apart: without them the processor is in another mode, or executes something else.
        ProcessorFeature.LongMode, ProcessorFeature.Sep, ProcessorFeature.Lzcnt, ProcessorFeature.MmxExt, ProcessorFeature.Prefetchw,
    ];

    [Fact]
    public void EveryFeatureHasASample()
        => Assert.Equal(Enum.GetValues<ProcessorFeature>().Order(), Samples.Select(s => s.Feature).Concat(WithoutInstructions).Order());

    private static BareCpu Prepare(Func<Cpu, ExecutionEngine> engine, params string[] features)
    {
        var cpu = new BareCpu(64, engine, model: ProcessorModel.Parse(null, ["LongMode", "Page1Gb", .. features]));
        cpu.State->Cr4 |= cpu.Cpu.Model.Cr4Bits & (Cr4.Osfxsr | Cr4.Osxsave | Cr4.Fsgsbase);
        cpu.State->Xcr0 = HostFeatures.StateComponents;
        cpu.State->Efer |= Efer.Sce | (cpu.Cpu.Model.Has(ProcessorFeature.Svm) ? Efer.Svme : 0);
        cpu.State->Rsi = SystemBench.Data;
        cpu.State->Rax = SystemBench.Data;
        cpu.State->Rcx = 0;
        cpu.State->LStar = BareCpu.CodeAddress;
        return cpu;
    }

    [Fact]
    public void SamplesOfEveryFeatureExecute()
    {
        foreach ((ProcessorFeature feature, string code) in Samples.Where(s => ProcessorModels.Implemented.Has(s.Feature)))
        {
            foreach (Func<Cpu, ExecutionEngine> engine in BareCpu.SystemEngines.Values)
            {
                using BareCpu cpu = Prepare(engine, feature.ToString());
                ExceptionRecord? fault = cpu.Execute(Convert.FromHexString(code));
                Assert.True(fault == null, $"{feature}: {fault}");
            }
        }
    }

    [Fact]
    public void SamplesAreInvalidWhereTheFeatureIsOff()
    {
        foreach ((ProcessorFeature feature, string code) in Samples)
        {
            FeatureSet without = ProcessorModel.Parse(null, [$"-{feature}"]).Features;
            // What 64-bit mode cannot be without is switched off in 32-bit code.
            int bitness = without.Has(ProcessorFeature.LongMode) ? 64 : 32;
            foreach (Func<Cpu, ExecutionEngine> engine in BareCpu.Engines.Values)
            {
                using var cpu = new BareCpu(bitness, engine, model: ProcessorModel.Parse(null, [$"-{feature}"]));
                cpu.State->Cr4 |= cpu.Cpu.Model.Cr4Bits & (Cr4.Osfxsr | Cr4.Osxsave | Cr4.Fsgsbase);
                cpu.State->Rsi = SystemBench.Data;
                ExceptionRecord? fault = cpu.Execute(Convert.FromHexString(code));
                Assert.True(fault?.Vector == Vector.InvalidOpcode, $"{feature} is off, but its instruction: {fault?.ToString() ?? "no exception"}");
            }
        }
    }

    /// <summary>Every encoding that Iced counts to a feature of the same name as one that the model lacks is an invalid opcode.</summary>
    [Theory, MemberData(nameof(Models))]
    public void NothingIsBoundThatTheModelDoesNotReport(string name)
    {
        ProcessorModel model = ProcessorModel.Parse(name, ["-Popcnt"]);
        using var handlers = new HandlerTable(model);
        int refused = 0;
        foreach (Code code in Enum.GetValues<Code>())
        {
            bool lacking = code.CpuidFeatures().Any(f =>
                Enum.TryParse(f.ToString().Replace("_", "", StringComparison.Ordinal), ignoreCase: true, out ProcessorFeature feature) && !model.Has(feature));
            // A hint is a no-operation to those who do not know it.
            if (!lacking || code.Mnemonic() is Mnemonic.Prefetch or Mnemonic.Prefetchw)
                continue;
            Op op;
            handlers.Bind(new Instruction { Code = code }, false, &op);
            Assert.True((nint)HandlerTable.InvalidHandler == (nint)op.Handler, code.ToString());
            refused++;
        }
        Assert.True(refused > 0, name);
    }

    /// <summary>Bit scans with a prefix that means nothing to processors before LZCNT and TZCNT.</summary>
    [Theory]
    [InlineData("-Lzcnt", "F30FBDC1", 4UL, 28UL)]
    [InlineData("-Bmi1", "F30FBCC1", 4UL, 4UL)]
    public void CountsAreBitScansWhereTheyAreMissing(string feature, string code, ulong scan, ulong count)
    {
        SystemBench.OnEveryEngine(64, cpu =>
        {
            cpu.State->Rcx = 0x10;
            Assert.Null(cpu.Execute(Convert.FromHexString(code)));
            Assert.Equal(scan, cpu.State->Rax);
        }, null, feature);
        SystemBench.OnEveryEngine(64, cpu =>
        {
            cpu.State->Rcx = code.Contains("BD", StringComparison.Ordinal) ? 0x8UL : 0x10UL;
            Assert.Null(cpu.Execute(Convert.FromHexString(code)));
            Assert.Equal(count, cpu.State->Rax);
        });
    }

    [Fact]
    public void SysenterNeedsItsFeature()
        => SystemBench.OnEveryEngine(32, cpu => SystemBench.RaisesInvalidOpcode(cpu.Execute([0x0F, 0x34])), null, "-Sep");

    [Theory, MemberData(nameof(Models))]
    public void AModelHasOnlyWhatIsImplementedAndAllThatItsFeaturesNeed(string name)
    {
        FeatureSet features = ProcessorModel.Parse(name, []).Features;
        Assert.Equal(features.ToList(), features.Intersect(ProcessorModels.Implemented).ToList());
        foreach (ProcessorFeature feature in features.ToList())
        {
            FeatureSet again = features.Copy();
            again.Set(feature, false);
            FeatureDependencies.Switch(again, feature, true);
            Assert.Equal(features.ToList(), again.ToList());
        }
    }

    [Fact]
    public void SwitchingAFeatureOffTakesWhatNeedsItAlong()
    {
        ProcessorModel model = ProcessorModel.Parse(null, ["-Sse2"]);
        Assert.False(model.Has(ProcessorFeature.Avx) || model.Has(ProcessorFeature.Avx2) || model.Has(ProcessorFeature.LongMode));
        Assert.False(model.Has(ProcessorFeature.Page1Gb));
        Assert.True(model.Has(ProcessorFeature.Sse));
    }

    [Fact]
    public void SwitchingAFeatureOnBringsWhatItNeeds()
    {
        ProcessorModel model = ProcessorModel.Parse("pentium", ["+LongMode"]);
        Assert.True(model.Has(ProcessorFeature.Sse2) && model.Has(ProcessorFeature.Pae) && model.Has(ProcessorFeature.Fxsr));
    }

    [Fact]
    public void TheLastSwitchCounts()
    {
        Assert.True(ProcessorModel.Parse(null, ["-Popcnt", "popcnt"]).Has(ProcessorFeature.Popcnt));
        Assert.False(ProcessorModel.Parse(null, ["+Popcnt", "-popcnt"]).Has(ProcessorFeature.Popcnt));
    }

    [Fact]
    public void AnUnknownModelIsRefusedWithTheOnesThereAre()
    {
        var error = Assert.Throws<ArgumentException>(() => ProcessorModel.Parse("i9", []));
        Assert.Contains("'i9'", error.Message, StringComparison.Ordinal);
        Assert.All(ProcessorModels.Names, name => Assert.Contains(name, error.Message, StringComparison.Ordinal));
    }

    [Theory, InlineData("Avx1024"), InlineData("-"), InlineData(""), InlineData("7"), InlineData("+-Avx"), InlineData("Fpu, Vme")]
    public void AnUnknownFeatureIsRefused(string text)
    {
        var error = Assert.Throws<ArgumentException>(() => ProcessorModel.Parse(null, [text]));
        Assert.Contains("There is no processor feature", error.Message, StringComparison.Ordinal);
        Assert.Contains(nameof(ProcessorFeature.Avx2), error.Message, StringComparison.Ordinal);
    }
}
