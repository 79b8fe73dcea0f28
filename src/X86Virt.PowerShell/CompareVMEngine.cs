using System.Management.Automation;
using System.Text.RegularExpressions;
using X86Virt.Engine;
using X86Virt.Engine.Processor;

namespace X86Virt.PowerShell;

/// <summary>What came of running one guest on two engines side by side.</summary>
/// <param name="Engine">The engine that was compared.</param>
/// <param name="Reference">The one that it was compared with.</param>
/// <param name="Agreed">No difference was found.</param>
/// <param name="Instructions">Instructions that both retired and agreed about.</param>
/// <param name="StopReason">Why the guest ended; empty if it did not.</param>
/// <param name="Difference">The first difference, with both states; null if there is none.</param>
/// <param name="Console">What the guest wrote to its console.</param>
public sealed record EngineComparison(
    EngineKind Engine, EngineKind Reference, bool Agreed, long Instructions, string StopReason, LockstepDifference? Difference, string Console);

/// <summary>Runs the same guest on several engines: one after the other to measure them, or in lockstep to find the first difference.</summary>
/// <remarks>
/// <para>Each engine is combined with each way of paging. The guest is run from power-on until it stops, or until -Until matches a line on its console; what is counted is taken at that very instruction, and is the same on every run. Only host time is not: -Repeat runs give a median. Machines are made for the purpose; with -VM they have that machine's settings, which itself is left alone.</para>
/// <para>With -Reference, -Stride or -Count two machines of the same settings run side by side. After every -Stride instructions their registers and all of their memory are compared. Where they differ, both are run again up to the last agreement and compared at ever shorter strides, down to the one instruction. -Paging is for -Engine; the reference pages as suits its engine.</para>
/// <para>The clock is the virtual one. The guest gets no input. A guest that resets starts again, unless -NoReboot is given.</para>
/// </remarks>
/// <example>
/// <code>Compare-VMEngine -Kernel ./vmlinuz -InitialRamDisk ./initrd.gz -CommandLine 'console=ttyS0' -Engine DecodedCache, BinaryTranslation -Repeat 3</code>
/// <para>Runs Linux three times on each of two engines, until it ends the machine.</para>
/// </example>
/// <example>
/// <code>(Compare-VMEngine -VM (Get-VirtualMachine demo) -Engine BinaryTranslation -Paging Walk, Shadow -Until 'ready').Overheads</code>
/// <para>Shows where there was cause for overhead, with and without shadow page tables.</para>
/// </example>
/// <example>
/// <code>Compare-VMEngine -Kernel ./vmlinuz -InitialRamDisk ./initrd.gz -CommandLine 'console=ttyS0' -Engine BinaryTranslation -Reference DecodedCache -Count 3000000000</code>
/// <para>Boots Linux in lockstep for three thousand million instructions.</para>
/// </example>
/// <example>
/// <code>(Compare-VMEngine -FlatBinary ./boot.bin -Memory 1MB -Stride 1 -Count 1000).Difference.Differences</code>
/// <para>Compares after every instruction, and lists what differs after the first that makes a difference.</para>
/// </example>
[Cmdlet(VerbsData.Compare, "VMEngine", DefaultParameterSetName = Measure)]
[OutputType(typeof(EngineMeasurement), ParameterSetName = [Measure])]
[OutputType(typeof(EngineComparison), ParameterSetName = [InLockstep])]
public sealed class CompareVMEngine : MachineSettingsCmdlet, IDisposable
{
    private const string Measure = "Measure";
    private const string InLockstep = "Lockstep";

    private readonly CancellationTokenSource _stop = new();
    private EngineRun? _first;

    /// <summary>A machine whose settings to use; those that are given besides take the place of its own.</summary>
    [Parameter(Position = 0, ValueFromPipeline = true)]
    [Alias("VirtualMachine")]
    [ValidateNotNull]
    public VirtualMachine? VM { get; set; }

    /// <summary>The engines; all that the host can run unless given, in lockstep the machine's own.</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    public EngineKind[] Engine { get; set; } = [];

    /// <summary>What TLB misses are answered from: of these each engine is run with those that it has. The guest cannot tell. What suits the engine, unless given.</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    public PagingKind[] Paging { get; set; } = [];

    /// <summary>A regular expression that ends a run when it matches what the guest has written of a line.</summary>
    [Parameter(ParameterSetName = Measure)]
    [ValidateNotNull]
    [RegexTransformation]
    public Regex? Until { get; set; }

    /// <summary>Runs of each configuration; 1 unless given.</summary>
    [Parameter(ParameterSetName = Measure)]
    [ValidateRange(1, 1000)]
    public int Repeat { get; set; } = 1;

    /// <summary>How long one run may take, in seconds or as a TimeSpan. Without it a run may go on for ever.</summary>
    [Parameter(ParameterSetName = Measure)]
    [SecondsTransformation]
    public TimeSpan? Timeout { get; set; }

    /// <summary>The engine to compare with in lockstep: Interpreter unless given.</summary>
    [Parameter(ParameterSetName = InLockstep)]
    public EngineKind Reference { get; set; } = EngineKind.Interpreter;

    /// <summary>The most instructions to run for in lockstep; 100 million unless given.</summary>
    [Parameter(ParameterSetName = InLockstep)]
    [ValidateRange(1, long.MaxValue)]
    public long Count { get; set; } = 100_000_000;

    /// <summary>Instructions between two comparisons in lockstep; a million unless given. Each comparison costs as much as reading all of the machines' memory.</summary>
    [Parameter(ParameterSetName = InLockstep)]
    [ValidateRange(1, long.MaxValue)]
    public long Stride { get; set; } = 1_000_000;

    /// <inheritdoc/>
    protected override void ProcessRecord()
    {
        _first = null;
        Attempt(() =>
        {
            MachineConfiguration configuration = Apply(VM?.Configuration ?? new MachineConfiguration { Name = "comparison" });
            if (configuration.Clock == ClockKind.RealTime)
                throw new MachineException("ClockNotDeterministic", "-Clock RealTime makes every run another one, which cannot be compared. Leave it out.");
            foreach (EngineKind engine in Engines(configuration))
            {
                foreach (PagingKind? paging in PagingSelection.For(engine, Paging, configuration.Paging))
                {
                    MachineConfiguration one = configuration with { Name = paging == null ? $"{engine}" : $"{engine} {paging}", Engine = engine, Paging = paging };
                    Attempt(() => WriteObject(ParameterSetName == Measure ? Run(one) : Compare(one)));
                }
            }
        });
    }

    private IEnumerable<EngineKind> Engines(MachineConfiguration configuration)
        => Engine.Length > 0 ? Engine
            : ParameterSetName == InLockstep ? [configuration.Engine]
            : Enum.GetValues<EngineKind>().Where(e => e != EngineKind.BinaryTranslation || BinaryTranslation.IsSupported);

    private EngineMeasurement Run(MachineConfiguration configuration)
    {
        var runs = new EngineRun[Repeat];
        for (int i = 0; i < Repeat; i++)
            runs[i] = EngineRun.Of(this, configuration with { Name = $"{configuration.Name}, run {i + 1} of {Repeat}" }, Until, Timeout, _stop.Token);
        EngineRun run = runs[0];
        _first ??= run;
        return new EngineMeasurement
        {
            Engine = configuration.Engine,
            Paging = run.Paging,
            Instructions = run.Statistics.InstructionsRetired,
            HostSeconds = [.. runs.Select(r => r.HostTime.TotalSeconds)],
            Repeatable = runs.All(run.IsSameAs),
            Agrees = run.Console == _first.Console && run.Statistics.InstructionsRetired == _first.Statistics.InstructionsRetired,
            Exits = run.Statistics.Exits,
            Overheads = Overhead.BySource(run.Statistics, run.Translation),
            ExitReasons = run.Statistics.Reasons,
            ModelledSeconds = ModelledCost.SecondsOf(configuration, run),
            Hybrid = run.Hybrid,
            Translation = run.Translation,
            Console = run.Console,
            StopReason = run.StopReason,
            Configuration = configuration,
            Command = CommandText.Of(MyInvocation),
        };
    }

    private EngineComparison Compare(MachineConfiguration configuration)
    {
        var lockstep = new Lockstep(configuration, configuration with { Engine = Reference, Paging = null });
        LockstepDifference? difference = lockstep.Run(Count, Stride, _stop.Token);
        string reason = lockstep.StopReason == StopReason.None ? "" : lockstep.StopReason.ToString();
        return new EngineComparison(
            configuration.Engine, Reference, difference == null, difference?.Retired ?? lockstep.Retired, reason, difference, lockstep.Console);
    }

    private void Attempt(Action action)
    {
        try
        {
            action();
        }
        catch (OperationCanceledException)
        {
            throw new PipelineStoppedException();
        }
        catch (Exception e) when (ErrorRecords.IsExpected(e))
        {
            WriteError(ErrorRecords.From(e, Kernel ?? FlatBinary ?? VM?.Name ?? "comparison"));
        }
    }

    /// <inheritdoc/>
    protected override void StopProcessing() => _stop.Cancel();

    /// <inheritdoc/>
    public void Dispose() => _stop.Dispose();
}
