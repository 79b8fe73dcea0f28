using X86Virt.Engine.Costs;
using X86Virt.Engine.Monitors;
using X86Virt.Engine.Processor;
using X86Virt.Engine.Tests.Guests;
using X86Virt.Guests;
using Xunit;

namespace X86Virt.Engine.Tests.Monitors;

/// <summary>Moving between techniques: it pays, it is the same on every run, and the guest does not notice. That no instruction does, is for the tests that all engines run.</summary>
public sealed class HybridTests : IDisposable
{
    // One file for all runs: its name is part of the command line that the guest searches.
    private readonly string _image = Path.GetTempFileName();

    public HybridTests() => File.WriteAllBytes(_image, BuiltInGuest.Nanobenchmark.Image);

    public void Dispose() => File.Delete(_image);

    /// <summary>Operations that are cheaper by one technique, and such that are by the other.</summary>
    private const string Phases = "syscall,in,callret,pteset,divzero,pteclear,callret";

    [Theory]
    [InlineData("syscall", true)]
    [InlineData("in", false)]
    public void ShadowTablesRestUnderBinaryTranslation(string operation, bool hardware)
    {
        using var machine = new VirtualMachine(new MachineConfiguration
        {
            Name = "hybrid", MemorySize = 16 << 20, Engine = EngineKind.Hybrid, Paging = PagingKind.Shadow, Kernel = _image, CommandLine = $"operations={operation} iterations=1000000000",
        });
        Assert.False(machine.Inspect(cpu => cpu.Shadow!.FormIsWalked));
        machine.Step(2_000_000);
        Assert.Equal(hardware ? CostTechnique.HardwareVmm : CostTechnique.SoftwareVmm, machine.ReadHybridSummary().Technique);
        Assert.Equal(hardware, machine.Inspect(cpu => cpu.Shadow!.FormIsWalked));
    }

    private sealed record Run(string Console, long Instructions, MachineStatistics Statistics, HybridSummary? Summary, IReadOnlyList<HybridSwitch> History);

    private Run Of(EngineKind engine, CostProfile profile, string operations, int iterations)
    {
        using var machine = new VirtualMachine(new MachineConfiguration
        {
            Name = "hybrid", MemorySize = 16 << 20, Engine = engine, Paging = PagingKind.Shadow, Kernel = _image, CostProfile = profile,
            CommandLine = $"operations={operations} iterations={iterations}",
        });
        machine.Start();
        Assert.True(machine.Wait(MachineState.Stopped, NanobenchmarkRun.Limit, default), machine.Console.Read(0));
        Assert.Equal(StopKind.PowerOff, machine.StopReason.Kind);
        bool hybrid = engine == EngineKind.Hybrid;
        return new Run(machine.Console.Read(0), machine.InstructionsRetired, machine.ReadStatistics(), hybrid ? machine.ReadHybridSummary() : null, hybrid ? machine.ReadHybridHistory() : []);
    }

    /// <summary>What a run on one technique alone costs, refills of the TLB apart, which cost both the same.</summary>
    private static double Cycles(CostProfile profile, CostTechnique technique, Run run)
        => profile.Price(technique, EventCounts.Of(run.Statistics, hasExits: false)).Where(c => c.Event != CostEvent.TlbMiss).Sum(c => c.Cycles);

    /// <summary>Runs alone are counted on the software VMM, whose shadow paging sees all that the hardware VMM's does.</summary>
    private (double Software, double Hardware) Alone(CostProfile profile, string operations, int iterations)
    {
        Run run = Of(EngineKind.BinaryTranslation, profile, operations, iterations);
        return (Cycles(profile, CostTechnique.SoftwareVmm, run), Cycles(profile, CostTechnique.HardwareVmm, run));
    }

    public static TheoryData<string> Profiles => new(CostProfiles.All.Select(p => p.Name));

    private static CostProfile Profile(string name) => CostProfiles.All.Single(p => p.Name == name);

    [Theory]
    [MemberData(nameof(Profiles))]
    public void AGuestOfPhasesIsAheadOfBothTechniquesAlone(string name)
    {
        CostProfile profile = Profile(name);
        const int Iterations = 100_000;
        Run hybrid = Of(EngineKind.Hybrid, profile, Phases, Iterations);
        (double software, double hardware) = Alone(profile, Phases, Iterations);
        HybridSummary summary = hybrid.Summary!;
        Assert.Equal(hybrid.Instructions, summary.SoftwareInstructions + summary.HardwareInstructions);
        Assert.True(summary.Cycles < software / 1.2 && summary.Cycles < hardware / 1.2, $"{summary.Cycles:n0} for {software:n0} and {hardware:n0}");
        Assert.InRange(summary.Switches, 3, 40);
    }

    public static TheoryData<string, string> Operations
    {
        get
        {
            var data = new TheoryData<string, string>();
            foreach (CostProfile profile in CostProfiles.All)
            {
                foreach (string operation in BuiltInGuest.NanobenchmarkOperations)
                    data.Add(profile.Name, operation);
            }
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Operations))]
    public void NoOperationIsFarBehindTheBetterTechnique(string name, string operation)
    {
        CostProfile profile = Profile(name);
        // So many that starting, printing and finding out are little of it.
        int iterations = operation is "pteuse" or "ptesame" or "pteclear" or "pteset" or "hltwake" ? 250_000 : 2_000_000;
        HybridSummary summary = Of(EngineKind.Hybrid, profile, operation, iterations).Summary!;
        (double software, double hardware) = Alone(profile, operation, iterations);
        Assert.True(summary.Cycles <= 1.05 * Math.Min(software, hardware), $"{summary.Cycles:n0} for {software:n0} and {hardware:n0}");
    }

    [Fact]
    public void TheGuestCannotTellAndEveryRunIsTheSame()
    {
        const int Iterations = 20_000;
        Run first = Of(EngineKind.Hybrid, CostProfiles.Core2, Phases, Iterations), second = Of(EngineKind.Hybrid, CostProfiles.Core2, Phases, Iterations);
        Run alone = Of(EngineKind.DecodedCache, CostProfiles.Core2, Phases, Iterations);
        Assert.Equal((alone.Console, alone.Instructions), (first.Console, first.Instructions));
        Assert.NotEmpty(first.History);
        Assert.Equal(first.History.Select(h => h with { Nanoseconds = 0 }), second.History.Select(h => h with { Nanoseconds = 0 }));
        Assert.Equal(first.Summary! with { SwitchNanoseconds = 0 }, second.Summary! with { SwitchNanoseconds = 0 });
    }

    [Fact]
    public void ChangesTellWhatTheyAreFor()
    {
        HybridSwitch[] history = [.. Of(EngineKind.Hybrid, CostProfiles.Pentium4, "syscall,in", 100_000).History];
        Assert.Contains(history, h => h.To == CostTechnique.HardwareVmm && h.Reason.StartsWith("Translation: ", StringComparison.Ordinal));
        Assert.Contains(history, h => h.To == CostTechnique.SoftwareVmm && h.Reason.StartsWith("PortAccess: ", StringComparison.Ordinal));
        Assert.All(history, h => Assert.NotEqual(h.From, h.To));
        Assert.Equal(Enumerable.Range(1, history.Length).Select(i => (long)i), history.Select(h => h.Number));
    }

    /// <summary>Translating is what the translator can lose most by in few instructions: what it costs is looked at before much of it has been done.</summary>
    [Theory]
    [MemberData(nameof(Profiles))]
    public void NewCodeIsLeftToHardwareBeforeMuchOfItIsTranslated(string name)
    {
        CostProfile profile = Profile(name);
        HybridSwitch[] forTranslation = [.. Of(EngineKind.Hybrid, profile, Phases, 100_000).History.Where(h => h.Reason.StartsWith("Translation: ", StringComparison.Ordinal))];
        Assert.NotEmpty(forTranslation);
        double most = (HybridPolicy.Translations + TranslationOptions.LargestUnitLimit) * profile.Price(CostTechnique.SoftwareVmm, CostEvent.Translation).Sum(t => t.Constant.Cycles * t.Times);
        Assert.All(forTranslation, h => Assert.InRange(h.LostCycles, 0, most));
    }

    [Fact]
    public void OtherEnginesHaveNoHistory()
    {
        using var machine = new VirtualMachine(new MachineConfiguration { Name = "single", MemorySize = 4 << 20, Engine = EngineKind.DecodedCache });
        Assert.Equal("NotHybrid", Assert.Throws<MachineException>(machine.ReadHybridHistory).ErrorId);
    }
}
