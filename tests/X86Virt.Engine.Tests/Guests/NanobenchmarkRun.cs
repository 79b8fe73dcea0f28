using X86Virt.Engine.Processor;
using X86Virt.Guests;
using Xunit;

namespace X86Virt.Engine.Tests.Guests;

/// <summary>Runs of the nanobenchmark kernel.</summary>
internal static class NanobenchmarkRun
{
    public static readonly TimeSpan Limit = TimeSpan.FromSeconds(120);

    public static BuiltInGuest Guest(int bits) => bits == 32 ? BuiltInGuest.Nanobenchmark32 : BuiltInGuest.Nanobenchmark;

    public static (string Console, MachineStatistics Statistics) Of(EngineKind engine, PagingKind? paging, string commandLine, int bits = 64)
        => WithImage(bits, image => Once(image, engine, paging, commandLine));

    /// <summary>What the guest writes on each of some engines, from one file: what it searches its command line for takes as long.</summary>
    public static string[] Consoles(int bits, string commandLine, params EngineKind[] engines)
        => WithImage(bits, image => engines.Select(e => Once(image, e, null, commandLine).Console).ToArray());

    /// <summary>What so many more iterations of an operation count. Both runs are of one file, whose name is part of the command line that the guest reads.</summary>
    public static MachineStatistics Difference(EngineKind engine, PagingKind? paging, string operation, int fewer, int more, int bits = 64) => WithImage(bits, image =>
    {
        MachineStatistics Count(int iterations) => Once(image, engine, paging, $"operations={operation} iterations={iterations:D9}").Statistics;
        return Count(fewer + more).Since(Count(fewer));
    });

    private static int s_images;

    private static T WithImage<T>(int bits, Func<string, T> run)
    {
        // The guest looks through the path: digits, always as many, take it as many instructions.
        string image = Path.Combine(Path.GetTempPath(), $"{Environment.ProcessId:D10}{Interlocked.Increment(ref s_images):D10}.bin");
        try
        {
            File.WriteAllBytes(image, Guest(bits).Image);
            return run(image);
        }
        finally
        {
            File.Delete(image);
        }
    }

    private static (string Console, MachineStatistics Statistics) Once(string image, EngineKind engine, PagingKind? paging, string commandLine)
    {
        using var machine = new VirtualMachine(new MachineConfiguration
        {
            Name = "nanobenchmark", Engine = engine, Paging = paging, Kernel = image, MemorySize = 16 << 20, CommandLine = commandLine, NoReboot = true,
        });
        machine.Start();
        Assert.True(machine.Wait(MachineState.Stopped, Limit, default), machine.Console.Read(0));
        Assert.Equal(StopKind.PowerOff, machine.StopReason.Kind);
        return (machine.Console.Read(0), machine.ReadStatistics());
    }
}
