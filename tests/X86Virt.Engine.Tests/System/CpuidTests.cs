using System.Text;
using X86Virt.Engine.Processor;
using Xunit;
using static X86Virt.Engine.Tests.SystemInstructions.SystemBench;

namespace X86Virt.Engine.Tests.SystemInstructions;

/// <summary>What CPUID returns (AMD volume 3, appendix E).</summary>
public unsafe class CpuidTests
{
    private const uint Extended = 0x8000_0000;

    public static TheoryData<string> Models => [.. ProcessorModels.Names];

    private static (uint Eax, uint Ebx, uint Ecx, uint Edx) Ask(BareCpu cpu, uint function, uint subfunction = 0)
    {
        CpuState* s = cpu.State;
        s->Rax = 0xFFFF_FFFF_0000_0000 | function;
        s->Rcx = 0xFFFF_FFFF_0000_0000 | subfunction;
        Assert.Null(cpu.Execute([0x0F, 0xA2]));
        Assert.Equal(0UL, (s->Rax | s->Rbx | s->Rcx | s->Rdx) >> 32);
        return ((uint)s->Rax, (uint)s->Rbx, (uint)s->Rcx, (uint)s->Rdx);
    }

    private static string Text(params uint[] words) => Encoding.ASCII.GetString([.. words.SelectMany(BitConverter.GetBytes)]).TrimEnd('\0');

    [Theory, InlineData("X86Virt", "AuthenticAMD"), InlineData("Core2", "GenuineIntel")]
    public void VendorAndName(string model, string vendor) => OnEveryEngine(32, cpu =>
    {
        (_, uint ebx, uint ecx, uint edx) = Ask(cpu, 0);
        Assert.Equal(vendor, Text(ebx, edx, ecx));
        var name = new List<uint>();
        for (uint function = Extended + 2; function <= Extended + 4; function++)
        {
            (uint a, uint b, uint c, uint d) = Ask(cpu, function);
            name.AddRange([a, b, c, d]);
        }
        Assert.Equal(cpu.Cpu.Model.Brand, Text([.. name]));
    }, model);

    /// <summary>The bits are those of the model's features, at their places, and no others but what the state of the processor shows.</summary>
    [Theory, MemberData(nameof(Models))]
    public void FeatureBitsAreTheModels(string model) => OnEveryEngine(32, cpu =>
    {
        FeatureSet features = cpu.Cpu.Model.Features;
        Assert.Equal((features.Word(FeatureRegister.Function1Ecx), features.Word(FeatureRegister.Function1Edx)), (Ask(cpu, 1).Ecx, Ask(cpu, 1).Edx));
        uint last = Ask(cpu, 0).Eax;
        uint structured = last < 7 ? 0 : Ask(cpu, 7).Ebx;
        Assert.Equal(features.Word(FeatureRegister.Function7Ebx), structured);
        const uint Repeated = 0x0183_F3FF;
        uint repeated = cpu.Cpu.Model.IsIntel ? 0 : features.Word(FeatureRegister.Function1Edx) & Repeated;
        Assert.Equal(features.Word(FeatureRegister.ExtendedEdx) | repeated, Ask(cpu, Extended + 1).Edx);
        Assert.Equal(features.Word(FeatureRegister.ExtendedEcx), Ask(cpu, Extended + 1).Ecx);
    }, model);

    [Fact]
    public void AFeatureSwitchedOffIsNotReported() => OnEveryEngine(64, cpu => Assert.Equal(0u, Ask(cpu, 1).Ecx >> 23 & 1), null, "-Popcnt");

    [Fact]
    public void NoHypervisorShows() => OnEveryEngine(64, cpu =>
    {
        Assert.Equal(0u, Ask(cpu, 1).Ecx >> 31);
        Assert.Equal((0u, 0u, 0u, 0u), Ask(cpu, 0x4000_0000));
    });

    [Fact]
    public void OsxsaveFollowsCr4() => OnEveryEngine(64, cpu =>
    {
        Assert.Equal(0u, Ask(cpu, 1).Ecx >> 27 & 1);
        cpu.State->Cr4 |= Cr4.Osxsave;
        Assert.Equal(1u, Ask(cpu, 1).Ecx >> 27 & 1);
    });

    [Fact]
    public void TheApicBitGoesWithTheApic() => OnEveryEngine(64, cpu =>
    {
        cpu.Bus.Msrs[0x1B] = 0xFEE0_0900;
        Assert.Equal(1u, Ask(cpu, 1).Edx >> 9 & 1);
        cpu.Bus.Msrs[0x1B] = 0xFEE0_0100;
        Assert.Equal(0u, Ask(cpu, 1).Edx >> 9 & 1);
    });

    [Fact]
    public void TheSaveAreaGrowsWithWhatIsEnabled()
    {
        if (!ProcessorModels.Implemented.Has(ProcessorFeature.Avx))
            return;
        OnEveryEngine(64, cpu =>
        {
            (uint components, uint enabled, uint all, _) = Ask(cpu, 0xD);
            Assert.Equal((7u, 576u, 832u), (components, enabled, all));
            cpu.State->Xcr0 = 7;
            Assert.Equal(832u, Ask(cpu, 0xD).Ebx);
            Assert.Equal((256u, 576u), (Ask(cpu, 0xD, 2).Eax, Ask(cpu, 0xD, 2).Ebx));
            Assert.Equal((0u, 0u, 0u, 0u), Ask(cpu, 0xD, 3));
        });
        OnEveryEngine(64, cpu =>
        {
            Assert.Equal((3u, 576u), (Ask(cpu, 0xD).Eax, Ask(cpu, 0xD).Ecx));
            cpu.State->Cr4 |= Cr4.Osxsave;
            (cpu.State->Rax, cpu.State->Rcx, cpu.State->Rdx) = (7, 0, 0);
            // XSETBV
            RaisesGeneralProtection(cpu.Execute([0x0F, 0x01, 0xD1]));
        }, null, "-Avx");
    }

    /// <summary>Functions beyond the last: AMD's processors return zeros, Intel's what the last one does.</summary>
    [Fact]
    public void FunctionsThatAreNotThere()
    {
        OnEveryEngine(64, cpu => Assert.Equal((0u, 0u, 0u, 0u), Ask(cpu, 0x1234_5678)), "X86Virt");
        OnEveryEngine(32, cpu =>
        {
            uint last = Ask(cpu, 0).Eax;
            Assert.Equal(Ask(cpu, last), Ask(cpu, 0x1234_5678));
        }, "Core2");
    }

    [Theory, InlineData("X86Virt", 48u, 40u), InlineData("Core2", 48u, 40u)]
    public void AddressSizes(string model, uint linear, uint physical) => OnEveryEngine(32, cpu =>
        Assert.Equal(linear << 8 | physical, Ask(cpu, Extended + 8).Eax), model);

    [Fact]
    public void ResetLeavesTheSignatureInEdx() => OnEveryEngine(64, cpu =>
    {
        cpu.Cpu.Reset();
        Assert.Equal(cpu.Cpu.Model.Signature, cpu.State->Rdx);
    });
}
