using System.Text.RegularExpressions;
using X86Virt.Engine;
using X86Virt.Engine.Processor;
using X86Virt.Guests;

namespace X86Virt.PowerShell;

/// <summary>How often one kind of event happened in one iteration of a loop.</summary>
public sealed record NanobenchmarkEvent(ExitKind Kind, long? Number, string Detail, double PerIteration);

/// <summary>What one operation of the nanobenchmark kernel came to on one configuration.</summary>
/// <param name="Operation">The operation in the loop.</param>
/// <param name="Bits">The size of the kernel's words: 32 or 64.</param>
/// <param name="Engine">The engine it ran on.</param>
/// <param name="Paging">What the TLB was refilled from.</param>
/// <param name="Generation">What the virtual silicon had; null for engines without any.</param>
/// <param name="Count">Iterations that were measured.</param>
/// <param name="ModelledCycles">
/// What the counts of one iteration cost by the cost profile, under the technique that the engine stands for; null if it stands for none. Refills of the TLB are
/// left out.
/// </param>
/// <param name="Nanoseconds">Host time of one iteration, the median of all repeats; measured outside the guest.</param>
/// <param name="Spread">Largest minus smallest of the repeats' nanoseconds.</param>
/// <param name="Instructions">Guest instructions retired an iteration.</param>
/// <param name="Exits">#VMEXITs an iteration, with engines that have silicon.</param>
/// <param name="Callouts">Instructions an iteration that translated code left to the interpreter's handlers.</param>
/// <param name="TraceWrites">Stores an iteration to page tables that have shadows.</param>
/// <param name="HiddenFaults">Hidden page faults an iteration.</param>
/// <param name="Events">Everything that was counted, an iteration.</param>
/// <param name="Check">What the guest's loop added up; the same on every engine.</param>
public sealed record NanobenchmarkResult(
    string Operation, int Bits, EngineKind Engine, PagingKind Paging, ProcessorGeneration? Generation, long Count, double? ModelledCycles, double Nanoseconds, double Spread,
    double Instructions, double Exits, double Callouts, double TraceWrites, double HiddenFaults, IReadOnlyList<NanobenchmarkEvent> Events, ulong Check)
{
    /// <summary>The command that measures this again.</summary>
    public string Command { get; init; } = "";
}

/// <summary>
/// Measures by difference: the same guest runs with few iterations and with many, and what the first run counted and took is taken off
/// the second. Start-up, warming of caches and printing are the same in both, so what is left belongs to the loop.
/// </summary>
internal sealed partial class Nanobenchmark(MachineConfiguration configuration, int bits, CancellationToken cancellation)
{
    /// <summary>Iterations of the shorter run: enough for every adaptation of the engines to have happened.</summary>
    public const long WarmUp = 2560;

    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(10);

    private readonly record struct Run(MachineStatistics Statistics, PagingKind Paging, double HybridCycles, double Nanoseconds, ulong Check);

    [GeneratedRegex("^nano (?<name>[a-z0-9]+) count=(?<count>[0-9a-f]{16}) cycles=[0-9a-f]{16} check=(?<check>[0-9a-f]{16})\r?$", RegexOptions.Multiline)]
    private static partial Regex Line();

    /// <exception cref="MachineException">There is no machine of this configuration.</exception>
    public void Check()
    {
        using var machine = new VirtualMachine(configuration);
    }

    public NanobenchmarkResult Measure(string operation, long iterations, int repeats)
    {
        long most = BuiltInGuest.MostNanobenchmarkIterations(operation, bits) - WarmUp;
        if (iterations > most)
        {
            string limit = most == uint.MaxValue - WarmUp ? "counts iterations in a register of 32 bits" : "takes a page table entry for each iteration";
            throw new MachineException("TooManyIterations", $"'{operation}' {limit} and has {most}, not {iterations}. Give fewer with -Iterations.");
        }
        var times = new double[repeats];
        // Not measured: what .NET compiles for the first run, it does not for the second.
        Run few = Once(operation, WarmUp), many = default;
        for (int i = 0; i < repeats; i++)
        {
            few = Once(operation, WarmUp);
            many = Once(operation, WarmUp + iterations);
            times[i] = (many.Nanoseconds - few.Nanoseconds) / iterations;
        }
        Array.Sort(times);
        double median = (times[(repeats - 1) / 2] + times[repeats / 2]) / 2;
        MachineStatistics loop = many.Statistics.Since(few.Statistics);
        double Sum(ExitKind kind) => (double)loop.Exits.Where(e => e.Kind == kind).Sum(e => e.Count) / iterations;
        bool hybrid = configuration.Engine == EngineKind.Hybrid;
        var result = new NanobenchmarkResult(operation, bits, configuration.Engine, many.Paging, hybrid || configuration.Engine == EngineKind.HardwareAssist ? configuration.Generation : null,
            iterations, hybrid ? (many.HybridCycles - few.HybridCycles) / iterations : null, median, times[^1] - times[0],
            (double)loop.InstructionsRetired / iterations, Sum(ExitKind.GuestExit), Sum(ExitKind.Callout), Sum(ExitKind.TraceWrite), Sum(ExitKind.HiddenPageFault),
            [.. loop.Exits.Select(e => new NanobenchmarkEvent(e.Kind, e.Number, e.Detail, (double)e.Count / iterations))], many.Check);
        return hybrid ? result : result with { ModelledCycles = ModelledCost.CyclesOf(configuration, ModelledCost.CountsOf(result)) };
    }

    private Run Once(string operation, long iterations)
    {
        // All counts have as many digits, so that the guest reads each in as many instructions.
        using var machine = new VirtualMachine(configuration with { CommandLine = $"operations={operation} iterations={iterations:D19}", NoReboot = true });
        machine.Start();
        if (!machine.Wait(MachineState.Stopped, Limit, cancellation))
        {
            cancellation.ThrowIfCancellationRequested();
            throw new MachineException("NanobenchmarkTooLong", $"'{operation}' with {iterations} iterations did not end within {Limit.TotalMinutes} minutes on {configuration.Engine}. Give fewer with -Iterations.");
        }
        string console = machine.Console.Read(0);
        Match line = Line().Match(console);
        if (!line.Success || line.Groups["name"].Value != operation || Convert.ToInt64(line.Groups["count"].Value, 16) != iterations)
            throw new MachineException("NanobenchmarkFailed", $"'{operation}' did not finish on {configuration.Engine}: {machine.StopReason}; the guest wrote '{console.Trim()}'. Compare-VMEngine with the same image finds where it went wrong.");
        double hybridCycles = configuration.Engine == EngineKind.Hybrid ? machine.ReadHybridSummary().Cycles : 0;
        return new Run(machine.ReadStatistics(), EngineRun.PagingOf(machine), hybridCycles, machine.HostTime.TotalNanoseconds, Convert.ToUInt64(line.Groups["check"].Value, 16));
    }
}
