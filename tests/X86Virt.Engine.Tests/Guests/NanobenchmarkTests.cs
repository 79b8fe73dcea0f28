using System.Text.RegularExpressions;
using X86Virt.Guests;
using Xunit;

namespace X86Virt.Engine.Tests.Guests;

/// <summary>The nanobenchmark kernel: what it prints, on every engine and under QEMU.</summary>
public sealed partial class NanobenchmarkTests
{
    private const int Iterations = 200;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(120);

    public static TheoryData<EngineKind> Engines => new(Enum.GetValues<EngineKind>());

    [GeneratedRegex("nano (?<name>[a-z0-9]+) count=(?<count>[0-9a-f]{16}) cycles=(?<cycles>[0-9a-f]{16}) check=(?<check>[0-9a-f]{16})\r\n")]
    private static partial Regex Line();

    private static string Run(EngineKind engine, string commandLine)
    {
        string image = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(image, BuiltInGuest.Nanobenchmark.Image);
            using var machine = new VirtualMachine(new MachineConfiguration
            {
                Name = "nanobenchmark", Engine = engine, Kernel = image, MemorySize = 16 << 20, CommandLine = commandLine, NoReboot = true,
            });
            machine.Start();
            Assert.True(machine.Wait(MachineState.Stopped, Limit, default), machine.Console.Read(0));
            Assert.Equal(StopKind.PowerOff, machine.StopReason.Kind);
            return machine.Console.Read(0);
        }
        finally
        {
            File.Delete(image);
        }
    }

    private static ulong Number(Match line, string group) => Convert.ToUInt64(line.Groups[group].Value, 16);

    /// <summary>Faults taken and system calls made, or what the loop added up.</summary>
    private static ulong ExpectedCheck(string name) => name switch
    {
        "syscall" or "pgfault" or "divzero" or "iret" => Iterations,
        "selfmod" => Iterations * (Iterations + 1) / 2,
        _ => 0,
    };

    private static void AssertComplete(string console)
    {
        Assert.EndsWith("nano done\r\n", console);
        Match[] lines = Line().Matches(console).ToArray();
        Assert.Equal(BuiltInGuest.NanobenchmarkOperations, lines.Select(l => l.Groups["name"].Value));
        Assert.All(lines, l => Assert.Equal((ulong)Iterations, Number(l, "count")));
        Assert.All(lines, l => Assert.Equal(ExpectedCheck(l.Groups["name"].Value), Number(l, "check")));
        Assert.All(lines, l => Assert.InRange(Number(l, "cycles"), 1UL, ulong.MaxValue >> 1));
    }

    [Theory]
    [MemberData(nameof(Engines))]
    public void EveryEngineRunsEveryOperationWithTheSameResults(EngineKind engine)
    {
        string console = Run(engine, $"iterations={Iterations}");
        AssertComplete(console);
        Assert.Equal(Run(EngineKind.Interpreter, $"iterations={Iterations}"), console);
    }

    [Fact]
    public void OperationsAreChosenByWholeNames()
    {
        string console = Run(EngineKind.DecodedCache, "operations=cr3switch,in iterations=7");
        Assert.Equal(["in", "cr3switch"], Line().Matches(console).Select(l => l.Groups["name"].Value));
        Assert.All(Line().Matches(console), l => Assert.Equal(7UL, Number(l, "count")));
    }

    [QemuFact]
    public void QemuRunsEveryOperation()
    {
        string serial = Path.GetTempFileName();
        try
        {
            Qemu.Run(BuiltInGuest.Nanobenchmark.Image, Limit, "-serial", $"file:{serial}", "-append", $"iterations={Iterations}");
            string console = File.ReadAllText(serial);
            AssertComplete(console[console.IndexOf("nano ready", StringComparison.Ordinal)..]);
        }
        finally
        {
            File.Delete(serial);
        }
    }
}
