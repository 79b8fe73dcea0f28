using X86Virt.Engine.Processor;
using Xunit;
using static X86Virt.Engine.Tests.SystemInstructions.SystemBench;

namespace X86Virt.Engine.Tests.SystemInstructions;

/// <summary>RDMSR, WRMSR and what each register accepts (AMD volume 2, 3.2, 7.7, 7.8 and appendix A).</summary>
public unsafe class ModelSpecificRegisterTests
{
    private const uint EferIndex = 0xC000_0080, TimeStamp = 0x10, TscAdjust = 0x3B, Pat = 0x277, MtrrDefaultType = 0x2FF;
    private static readonly byte[] Rdmsr = [0x0F, 0x32], Wrmsr = [0x0F, 0x30];

    private static ExceptionRecord? Write(BareCpu cpu, uint index, ulong value)
    {
        cpu.State->Rcx = index;
        cpu.State->Rax = (uint)value;
        cpu.State->Rdx = value >> 32;
        return cpu.Execute(Wrmsr);
    }

    private static ulong Read(BareCpu cpu, uint index)
    {
        cpu.State->Rcx = index;
        cpu.State->Rax = cpu.State->Rdx = ulong.MaxValue;
        Assert.Null(cpu.Execute(Rdmsr));
        Assert.Equal(0UL, (cpu.State->Rax | cpu.State->Rdx) >> 32);
        return cpu.State->Rax | cpu.State->Rdx << 32;
    }

    [Fact]
    public void UnknownOnesFaultAndAreCounted() => OnEveryEngine(64, cpu =>
    {
        cpu.State->Rcx = 0xFFFF_FFFF_1234_5678;
        RaisesGeneralProtection(cpu.Execute(Rdmsr));
        Assert.Equal([new KeyValuePair<uint, long>(0x1234_5678, 1)], cpu.Cpu.Statistics.UnknownMsrs.Snapshot());
    });

    [Fact]
    public void UserCodeHasNone()
    {
        foreach (byte[] instruction in new[] { Rdmsr, Wrmsr })
        {
            OnEveryEngine(64, cpu =>
            {
                cpu.State->Rcx = EferIndex;
                cpu.EnterUser();
                RaisesGeneralProtection(cpu.Execute(instruction));
                Assert.Empty(cpu.Cpu.Statistics.UnknownMsrs.Snapshot());
            });
        }
    }

    [Theory]
    [InlineData(0xC000_0081u, 0xFEDC_BA98_7654_3210)] // STAR
    [InlineData(0xC000_0082u, 0xFFFF_8000_0000_1000)] // LSTAR
    [InlineData(0xC000_0083u, 0x0000_7FFF_FFFF_FFFF)] // CSTAR
    [InlineData(0xC000_0084u, 0x0000_0000_FFFF_FFFF)] // SFMASK
    [InlineData(0xC000_0100u, 0xFFFF_8000_0000_2000)] // FS base
    [InlineData(0xC000_0101u, 0xFFFF_8000_0000_3000)] // GS base
    [InlineData(0xC000_0102u, 0xFFFF_8000_0000_4000)] // Kernel GS base
    [InlineData(0xC000_0103u, 0x0000_0000_1234_5678)] // TSC_AUX
    [InlineData(0x174u, 0x0000_0000_0000_0010)] // SYSENTER_CS
    [InlineData(0x175u, 0xFFFF_8000_0000_5000)] // SYSENTER_ESP
    [InlineData(0x176u, 0xFFFF_8000_0000_6000)] // SYSENTER_EIP
    [InlineData(Pat, 0x0706_0504_0100_0607)]
    [InlineData(MtrrDefaultType, 0xC06)]
    [InlineData(0x200u, 0xC000_0006)] // MTRRphysBase0
    [InlineData(0x20Fu, 0xFF_C000_0800)] // MTRRphysMask7
    [InlineData(0x250u, 0x0606_0606_0505_0401)] // MTRRfix64K
    [InlineData(0x26Fu, 0x0606_0606_0505_0401)] // MTRRfix4K_F8000
    [InlineData(0xC001_0010u, 0x14_0000)] // SYSCFG
    [InlineData(0xC001_001Fu, 0x4000_0000_0000)] // NB_CFG
    [InlineData(0xC001_1028u, 0x200)] // FP_CFG
    public void ReadsAsWritten(uint index, ulong value) => OnEveryEngine(64, cpu =>
    {
        Assert.Null(Write(cpu, index, value));
        Assert.Equal(value, Read(cpu, index));
    });

    [Theory]
    [InlineData(0xC000_0082u, 0x0000_8000_0000_0000)]
    [InlineData(0xC000_0083u, 0x8000_0000_0000_0000)]
    [InlineData(0xC000_0100u, 0x0000_8000_0000_0000)]
    [InlineData(0xC000_0101u, 0x0000_8000_0000_0000)]
    [InlineData(0xC000_0102u, 0x0000_8000_0000_0000)]
    [InlineData(0x176u, 0x0000_8000_0000_0000)]
    [InlineData(Pat, 0x0000_0000_0000_0002)] // Types 2, 3 and those above 7 are reserved.
    [InlineData(Pat, 0x0800_0000_0000_0000)]
    [InlineData(0x250u, 0x0700_0000_0000_0000)] // UC- is for the PAT alone.
    [InlineData(MtrrDefaultType, 0x1006)]
    [InlineData(MtrrDefaultType, 0x802)]
    [InlineData(0x200u, 0x0000_0100_0000_0006)] // An address of more than 40 bits.
    [InlineData(0x200u, 0x0000_0000_0000_0106)]
    [InlineData(0x201u, 0x0000_0000_0000_0400)]
    [InlineData(0xFEu, 0x508)] // MTRRcap cannot be written.
    [InlineData(EferIndex, 0x2)]
    [InlineData(EferIndex, 0x1_0000_0500)]
    [InlineData(EferIndex, 0xC00)] // LME off while paging is on.
    [InlineData(0x401u, 0x1)] // A machine-check status can only be cleared.
    public void Refuses(uint index, ulong value) => OnEveryEngine(64, cpu =>
    {
        ulong efer = cpu.State->Efer;
        RaisesGeneralProtection(Write(cpu, index, value));
        Assert.Equal(efer, cpu.State->Efer);
        Assert.Empty(cpu.Cpu.Statistics.UnknownMsrs.Snapshot());
    });

    [Fact]
    public void EferKeepsLma() => OnEveryEngine(64, cpu =>
    {
        Assert.Null(Write(cpu, EferIndex, Efer.Lme | Efer.Sce));
        Assert.Equal(Efer.Lme | Efer.Lma | Efer.Sce, cpu.State->Efer);
    });

    [Fact]
    public void NoExecuteTakesEffectAtOnce() => OnEveryEngine(64, cpu =>
    {
        const ulong NoExecute = 1UL << 63;
        Assert.Null(Write(cpu, EferIndex, cpu.State->Efer & ~Efer.Nxe));
        cpu.Memory.Write(0x2008, cpu.Memory.Read<ulong>(0x2008) | NoExecute);
        // The bit is reserved now.
        cpu.State->Rax = 0x4000_0000;
        Raises(Vector.PageFault, 9, cpu.Execute([0x8B, 0x18]));
    });

    [Fact]
    public void SegmentBasesAreThoseOfTheSegments() => OnEveryEngine(64, cpu =>
    {
        Assert.Null(Write(cpu, 0xC000_0101, Data));
        cpu.Memory.Write(Data + 0x10, 0x1122_3344U);
        // MOV EAX, GS:[10h]
        Assert.Null(cpu.Execute([0x65, 0x8B, 0x04, 0x25, 0x10, 0, 0, 0]));
        Assert.Equal(0x1122_3344UL, cpu.State->Rax);
    });

    [Fact]
    public void WritingTheTimeStampMovesItsAdjustment() => OnEveryEngine(64, cpu =>
    {
        cpu.Bus.TimeStamp = 1000;
        Assert.Null(Write(cpu, TimeStamp, 5000));
        Assert.Equal(4000UL, Read(cpu, TscAdjust));
        cpu.Bus.TimeStamp = 1500;
        Assert.Equal(5500UL, Read(cpu, TimeStamp));
    });

    [Fact]
    public void WritingTheAdjustmentMovesTheTimeStamp() => OnEveryEngine(64, cpu =>
    {
        cpu.Bus.TimeStamp = 1000;
        Assert.Null(Write(cpu, TscAdjust, unchecked((ulong)-300)));
        Assert.Equal(700UL, Read(cpu, TimeStamp));
        Assert.Null(Write(cpu, TscAdjust, 0));
        Assert.Equal(1000UL, Read(cpu, TimeStamp));
    });

    [Fact]
    public void ThePlatformsRegistersAreOnTheBus() => OnEveryEngine(64, cpu =>
    {
        cpu.Bus.Msrs[0x1B] = 0xFEE0_0900;
        Assert.Equal(0xFEE0_0900UL, Read(cpu, 0x1B));
        Assert.Null(Write(cpu, 0x1B, 0xFEE0_0800));
        Assert.Equal(0xFEE0_0800UL, cpu.Bus.Msrs[0x1B]);
    });

    [Theory]
    [InlineData("-Apic", 0x1Bu)]
    [InlineData("-TscDeadline", 0x6E0u)]
    [InlineData("-X2Apic", 0x802u)]
    public void ThePlatformsRegistersGoWithTheirFeatures(string feature, uint index) => OnEveryEngine(64, cpu =>
    {
        cpu.Bus.Msrs[index] = 0;
        cpu.State->Rcx = index;
        RaisesGeneralProtection(cpu.Execute(Rdmsr));
    }, null, feature);

    [Fact]
    public void AsResetLeavesThem() => OnEveryEngine(64, cpu =>
    {
        Assert.Equal(0x0007_0406_0007_0406UL, Read(cpu, Pat));
        Assert.Equal(0UL, Read(cpu, MtrrDefaultType));
        // LFENCE serializes; the time-stamp counter runs at a constant rate.
        Assert.Equal(2UL, Read(cpu, 0xC001_1029));
        Assert.Equal(1UL << 24, Read(cpu, 0xC001_0015));
    });

    [Fact]
    public void ExtendedApicModeNeedsItsFeature() => OnEveryEngine(64, cpu =>
    {
        cpu.Bus.Msrs[0x1B] = 0xFEE0_0900;
        RaisesGeneralProtection(Write(cpu, 0x1B, 0xFEE0_0D00));
    }, null, "-X2Apic");

    /// <summary>Registers of one vendor's processors, or of later ones, that a model does not have.</summary>
    [Theory]
    [InlineData("Core2", 0xC001_0015u)]
    [InlineData("Opteron", 0x1A0u)]
    [InlineData("Opteron", 0xC000_0103u)]
    [InlineData("Opteron", TscAdjust)]
    [InlineData("Pentium3", EferIndex)]
    [InlineData("Pentium3", 0xC000_0100u)]
    [InlineData("Pentium", 0x174u)]
    [InlineData("Pentium", Pat)]
    [InlineData("Pentium", 0xFEu)]
    [InlineData("Pentium", 0x179u)]
    public void ModelsLackWhatTheirOriginalsLack(string model, uint index) => OnEveryEngine(32, cpu =>
    {
        cpu.State->Rcx = index;
        RaisesGeneralProtection(cpu.Execute(Rdmsr));
    }, model);

    /// <summary>AMD's have the northbridge's since the K8: hypervisors read its thresholds, MC4_MISC, wherever there is SVM.</summary>
    [Theory]
    [InlineData("Opteron", 5)]
    [InlineData("Core2", 4)]
    public void MachineChecksHaveTheBanksOfTheModel(string model, uint banks) => OnEveryEngine(32, cpu =>
    {
        const uint Capabilities = 0x179, Bank0 = 0x400, RegistersOfBank = 4;
        Assert.Equal(banks, (uint)Read(cpu, Capabilities) & 0xFF);
        uint last = Bank0 + banks * RegistersOfBank - 1;
        Assert.Equal(0UL, Read(cpu, last));
        Assert.Null(Write(cpu, last, 0));
        RaisesGeneralProtection(Write(cpu, last, 1));
        cpu.State->Rcx = last + 1;
        RaisesGeneralProtection(cpu.Execute(Rdmsr));
    }, model);

    [Fact]
    public void EferHasTheBitsOfTheModel()
    {
        OnEveryEngine(32, cpu => RaisesGeneralProtection(Write(cpu, EferIndex, Efer.Ffxsr)), "Core2");
        OnEveryEngine(32, cpu => RaisesGeneralProtection(Write(cpu, EferIndex, Efer.Nxe)), null, "-Nx");
        OnEveryEngine(32, cpu => RaisesGeneralProtection(Write(cpu, EferIndex, Efer.Svme)));
    }
}
