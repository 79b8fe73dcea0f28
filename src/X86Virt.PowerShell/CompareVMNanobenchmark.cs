using System.Management.Automation;
using X86Virt.Engine;
using X86Virt.Engine.Costs;
using X86Virt.Engine.Processor;
using X86Virt.Guests;

namespace X86Virt.PowerShell;

/// <summary>Predicts the published nanobenchmark table from what the engines count, and puts the published figures beside it.</summary>
/// <remarks>
/// <para>Each of the nine operations runs on the engine with shadow paging, and so does the loop without it; the events of one operation, which are exact, are priced under the profile for a bare processor, a software VMM and a hardware VMM. With -Engine HardwareAssist the exits of the third column are counted, and there is no second; else they are derived from the events that would exit.</para>
/// <para>Kind says what a figure owes to the published one beside it: nothing (Prediction), a constant that was calibrated on it, or, in the native column, everything (Input). Figures were published for the Pentium 4 672 alone; under other profiles the table has predictions only.</para>
/// </remarks>
/// <example>
/// <code>Compare-VMNanobenchmark</code>
/// <para>Shows the nine rows in three columns, predicted and published.</para>
/// </example>
/// <example>
/// <code>(Compare-VMNanobenchmark -Engine HardwareAssist -Operation pteset).Costs | Format-List Technique, Event, Count, Formula, Cycles</code>
/// <para>Shows what the cost of making a page table entry present is made of, from counted exits.</para>
/// </example>
[Cmdlet(VerbsData.Compare, "VMNanobenchmark")]
[OutputType(typeof(NanobenchmarkPrediction))]
public sealed class CompareVMNanobenchmark : PSCmdlet, IDisposable
{
    private readonly CancellationTokenSource _stop = new();

    /// <summary>The operations; the nine that figures were published for unless given.</summary>
    [Parameter(Position = 0)]
    [ValidateNotNullOrEmpty]
    [ArgumentCompleter(typeof(NanobenchmarkOperationCompleter))]
    public string[] Operation { get; set; } = [.. PublishedNanobenchmarks.All.Select(r => r.Operation)];

    /// <summary>The engine that counts: BinaryTranslation unless given.</summary>
    [Parameter]
    public EngineKind Engine { get; set; } = EngineKind.BinaryTranslation;

    /// <summary>The profile, by name or as Get-VMCostProfile and Measure-VMCostProfile write it; Pentium4-672 unless given.</summary>
    [Parameter]
    [CostProfileTransformation]
    [ArgumentCompleter(typeof(CostProfileCompleter))]
    [ValidateNotNull]
    public CostProfile Profile { get; set; } = CostProfiles.Pentium4;

    /// <summary>Iterations to count; 1024 unless given. Counts are exact, so more make no difference; but with HardwareAssist page tables lose their shadows after some 4000 iterations, and gain them again.</summary>
    [Parameter]
    [ValidateRange(1L, 1_000_000_000L)]
    public long Iterations { get; set; } = 1024;

    /// <inheritdoc/>
    protected override void ProcessRecord()
    {
        try
        {
            NanobenchmarkImage.Check(Operation);
            using var image = new NanobenchmarkImage();
            var benchmark = new Nanobenchmark(image.Configuration(Engine, PagingKind.Shadow), 64, _stop.Token);
            var counts = new Dictionary<string, EventCounts>();
            EventCounts Count(string operation)
                => counts.TryGetValue(operation, out EventCounts? known) ? known : counts[operation] = ModelledCost.CountsOf(benchmark.Measure(operation, Iterations, 1));
            foreach (string operation in Operation)
            {
                EventCounts row = Count(operation).Without(Count(BuiltInGuest.NanobenchmarkBaseLoop(operation)));
                foreach (CostTechnique technique in Profile.Techniques.Intersect(row.Techniques))
                    WriteObject(NanobenchmarkPrediction.Of(Profile, operation, technique, row) with { Command = CommandText.Of(MyInvocation) });
            }
        }
        catch (OperationCanceledException)
        {
            throw new PipelineStoppedException();
        }
        catch (Exception e) when (ErrorRecords.IsExpected(e))
        {
            WriteError(ErrorRecords.From(e, Engine));
        }
    }

    /// <inheritdoc/>
    protected override void StopProcessing() => _stop.Cancel();

    /// <inheritdoc/>
    public void Dispose() => _stop.Dispose();
}
