using System.Management.Automation;
using X86Virt.Engine;
using X86Virt.Engine.Costs;
using X86Virt.Engine.Processor;

namespace X86Virt.PowerShell;

/// <summary>Makes a cost profile of this host: what events cost on the binary translator here, in nanoseconds.</summary>
/// <remarks>
/// <para>Runs loops of the nanobenchmark kernel on BinaryTranslation with shadow paging and takes the host time of one event from each. The profile prices the column SoftwareVmm only, with this project's own translator as the software VMM: a bare processor and hardware assist cannot be measured from a process without them. Its cycles are nanoseconds. Times differ from run to run; leave the host alone meanwhile.</para>
/// </remarks>
/// <example>
/// <code>$here = Measure-VMCostProfile; Get-VMCost demo -Profile $here | Sort-Object Seconds -Descending</code>
/// <para>Shows what a guest's events cost on this host.</para>
/// </example>
[Cmdlet(VerbsDiagnostic.Measure, "VMCostProfile")]
[OutputType(typeof(CostProfile))]
public sealed class MeasureVMCostProfile : PSCmdlet, IDisposable
{
    private readonly CancellationTokenSource _stop = new();

    /// <summary>Iterations of each loop; 200000 unless given.</summary>
    [Parameter]
    [ValidateRange(1L, 250_000L)]
    public long Iterations { get; set; } = 200_000;

    /// <summary>How often each is measured; the median counts. 3 unless given.</summary>
    [Parameter]
    [ValidateRange(1, 1000)]
    public int Repeat { get; set; } = 3;

    /// <inheritdoc/>
    protected override void ProcessRecord()
    {
        try
        {
            using var image = new NanobenchmarkImage();
            var benchmark = new Nanobenchmark(image.Configuration(EngineKind.BinaryTranslation, PagingKind.Shadow), _stop.Token);
            WriteObject(MeasuredCosts.Profile(MeasuredCosts.Operations.ToDictionary(o => o, o => benchmark.Measure(o, Iterations, Repeat).Nanoseconds)));
        }
        catch (OperationCanceledException)
        {
            throw new PipelineStoppedException();
        }
        catch (Exception e) when (ErrorRecords.IsExpected(e))
        {
            WriteError(ErrorRecords.From(e, "Measured"));
        }
    }

    /// <inheritdoc/>
    protected override void StopProcessing() => _stop.Cancel();

    /// <inheritdoc/>
    public void Dispose() => _stop.Dispose();
}
