using System.Text.RegularExpressions;
using X86Virt.Engine;
using X86Virt.Engine.Processor;
using X86Virt.Guests;

namespace X86Virt.PowerShell;

/// <summary>How often one kind of event happened in one iteration of a loop.</summary>
public sealed record NanobenchmarkEvent(ExitKind Kind, long? Number, string Detail, double PerIteration);

/// <summary>What one operation of the nanobenchmark kernel came to on one configuration.</summary>
/// <param name="Operation">The operation in the loop.</param>
/// <param name="Engine">The engine it ran on.</param>
/// <param name="Paging">What the TLB was refilled from.</param>
/// <param name="Count">Iterations that were measured.</param>
/// <param name="Nanoseconds">Host time of one iteration, the median of all repeats; measured outside the guest.</param>
/// <param name="Spread">Largest minus smallest of the repeats' nanoseconds.</param>
/// <param name="Instructions">Guest instructions retired an iteration.</param>
/// <param name="Callouts">Instructions an iteration that translated code left to the interpreter's handlers.</param>
/// <param name="TraceWrites">Stores an iteration to page tables that have shadows.</param>
/// <param name="HiddenFaults">Hidden page faults an iteration.</param>
/// <param name="Events">Everything that was counted, an iteration.</param>
/// <param name="Check">What the guest's loop added up; the same on every engine.</param>
public sealed record NanobenchmarkResult(
    string Operation, EngineKind Engine, PagingKind? Paging, long Count, double Nanoseconds, double Spread, double Instructions,
    double Callouts, double TraceWrites, double HiddenFaults, IReadOnlyList<NanobenchmarkEvent> Events, ulong Check)
{
    /// <summary>The command that measures this again.</summary>
    public string Command { get; init; } = "";
}

/// <summary>
/// Measures by difference: the same guest runs with few iterations and with many, and what the first run counted and took is taken off
/// the second. Start-up, warming of caches and printing are the same in both, so what is left belongs to the loop.
/// </summary>
internal sealed partial class Nanobenchmark(MachineConfiguration configuration, CancellationToken cancellation)
{
    /// <summary>Iterations of the shorter run: enough for every adaptation of the engines to have happened.</summary>
    public const long WarmUp = 1_000;

    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(10);

    private readonly record struct Run(MachineStatistics Statistics, double Nanoseconds, ulong Check);

    [GeneratedRegex("^nano (?<name>[a-z0-9]+) count=(?<count>[0-9a-f]{16}) cycles=[0-9a-f]{16} check=(?<check>[0-9a-f]{16})\r?$", RegexOptions.Multiline)]
    private static partial Regex Line();

    public NanobenchmarkResult Measure(string operation, long iterations, int repeats)
    {
        long most = BuiltInGuest.MostNanobenchmarkIterations(operation) - WarmUp;
        if (iterations > most)
            throw new MachineException("TooManyIterations", $"'{operation}' takes a page table entry for each iteration and has {most}, not {iterations}. Give fewer with -Iterations.");
        var times = new double[repeats];
        Run few = default, many = default;
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
        return new NanobenchmarkResult(operation, configuration.Engine, configuration.Paging, iterations, median, times[^1] - times[0],
            (double)loop.InstructionsRetired / iterations, Sum(ExitKind.Callout), Sum(ExitKind.TraceWrite), Sum(ExitKind.HiddenPageFault),
            [.. loop.Exits.Select(e => new NanobenchmarkEvent(e.Kind, e.Number, e.Detail, (double)e.Count / iterations))], many.Check);
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
        return new Run(machine.ReadStatistics(), machine.HostTime.TotalNanoseconds, Convert.ToUInt64(line.Groups["check"].Value, 16));
    }
}
