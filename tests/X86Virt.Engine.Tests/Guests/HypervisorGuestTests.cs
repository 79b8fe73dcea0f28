using System.Globalization;
using System.Text.RegularExpressions;
using X86Virt.Engine.Processor;
using X86Virt.Guests;
using Xunit;

namespace X86Virt.Engine.Tests.Guests;

/// <summary>The hypervisor among the guests: what it is told of its own guest, on every engine, under each monitor and under QEMU.</summary>
public sealed partial class HypervisorGuestTests
{
    private const int Rounds = 1000;
    private const ulong Hole = 0x60_0000;

    [GeneratedRegex("^exit (?<code>[0-9a-f]{16}) (?<info1>[0-9a-f]{16}) (?<info2>[0-9a-f]{16})$", RegexOptions.Multiline)]
    private static partial Regex Exit();

    public static TheoryData<EngineKind, PagingKind?, ProcessorGeneration> Configurations => new()
    {
        { EngineKind.Interpreter, null, ProcessorGeneration.Current },
        { EngineKind.DecodedCache, null, ProcessorGeneration.Current },
        { EngineKind.BinaryTranslation, null, ProcessorGeneration.Current },
        { EngineKind.HardwareAssist, PagingKind.Nested, ProcessorGeneration.Current },
        { EngineKind.HardwareAssist, PagingKind.Nested, ProcessorGeneration.NestedPaging },
        { EngineKind.HardwareAssist, PagingKind.Shadow, ProcessorGeneration.Current },
        { EngineKind.HardwareAssist, PagingKind.Shadow, ProcessorGeneration.FirstGeneration },
        { EngineKind.Hybrid, PagingKind.Nested, ProcessorGeneration.Current },
        { EngineKind.Hybrid, PagingKind.Shadow, ProcessorGeneration.Current },
    };

    private static (string Console, long Instructions) Run(string image, EngineKind engine, PagingKind? paging = null, ProcessorGeneration generation = ProcessorGeneration.Current, string feature = "+svm")
    {
        using var machine = new VirtualMachine(new MachineConfiguration
        {
            Name = "hypervisor", Engine = engine, Paging = paging, Generation = generation, Features = [feature], Kernel = image, MemorySize = 16 << 20, CommandLine = $"{Rounds}", NoReboot = true,
        });
        machine.Start();
        Assert.True(machine.Wait(MachineState.Stopped, NanobenchmarkRun.Limit, default), machine.Console.Read(0));
        return (machine.Console.Read(0), machine.InstructionsRetired);
    }

    private static void WithImage(Action<string> test)
    {
        string image = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(image, HypervisorGuest.Image);
            test(image);
        }
        finally
        {
            File.Delete(image);
        }
    }

    private static ulong Number(Match exit, string group) => ulong.Parse(exit.Groups[group].Value, NumberStyles.HexNumber, CultureInfo.InvariantCulture);

    private static void AssertComplete(string console)
    {
        Match[] exits = Exit().Matches(console.Replace("\r", "", StringComparison.Ordinal)).ToArray();
        Assert.Equal(HypervisorGuest.ExitCodes.Select(code => (ulong)code), exits.Select(e => Number(e, "code")));
        // A read by the guest of what is not present: the final access, as a user's.
        Assert.Equal((0x1_0000_0004UL, Hole), (Number(exits[^2], "info1"), Number(exits[^2], "info2")));
        Assert.Contains($"hypervisor {Rounds * HypervisorGuest.ExitCodes.Count:x16} exits", console, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Configurations))]
    public void IsToldTheSameOnEveryEngine(EngineKind engine, PagingKind? paging, ProcessorGeneration generation) => WithImage(image =>
    {
        (string Console, long Instructions) run = Run(image, engine, paging, generation);
        AssertComplete(run.Console);
        Assert.Equal(Run(image, EngineKind.Interpreter), run);
    });

    [Theory]
    [InlineData(EngineKind.BinaryTranslation)]
    [InlineData(EngineKind.HardwareAssist)]
    public void SaysSoWithoutSvm(EngineKind engine) => WithImage(image => Assert.StartsWith("hypervisor: the processor has no SVM", Run(image, engine, feature: "-svm").Console, StringComparison.Ordinal));

    [QemuFact]
    public void QemuTellsItOfTheSameExits()
        => AssertComplete(Qemu.RunOnSerialPort(HypervisorGuest.Image, NanobenchmarkRun.Limit, "-cpu", "qemu64,+svm,+npt", "-append", $"{Rounds}"));
}
