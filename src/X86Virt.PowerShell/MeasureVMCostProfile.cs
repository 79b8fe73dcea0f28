using System.Management.Automation;
using X86Virt.Engine;
using X86Virt.Engine.Costs;
using X86Virt.Engine.Processor;

namespace X86Virt.PowerShell;

/// <summary>Makes a cost profile of this host: what events cost on the binary translator and on hardware assist here, in nanoseconds.</summary>
/// <remarks>
/// <para>Runs loops of the nanobenchmark kernel on BinaryTranslation and on HardwareAssist with shadow paging and takes the host time of one event from each. The profile prices the columns SoftwareVmm and HardwareVmm, with this project's own engines: a bare processor cannot be measured by a process without privilege. The silicon of HardwareAssist is virtual here; the column tells what it costs on this host, not what hardware would. Its cycles are nanoseconds. Times differ from run to run; leave the host alone meanwhile.</para>
/// <para>Hybrid goes by such a profile with -CostProfile: then it moves by what its techniques cost on this host.</para>
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
            Dictionary<string, double> On(EngineKind engine)
            {
                var benchmark = new Nanobenchmark(image.Configuration(engine, PagingKind.Shadow), 64, _stop.Token);
                return MeasuredCosts.Operations.ToDictionary(o => o, o => benchmark.Measure(o, Iterations, Repeat).Nanoseconds);
            }

            WriteObject(MeasuredCosts.Profile(On(EngineKind.BinaryTranslation), On(EngineKind.HardwareAssist), Change(image.Configuration(EngineKind.Hybrid, PagingKind.Shadow))));
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

    /// <summary>The median host time of moving between techniques, which a guest that alternates makes Hybrid do.</summary>
    private static double Change(MachineConfiguration configuration)
    {
        const string Phases = "syscall,in,syscall,in,syscall,in,syscall,in,syscall,in";
        using var machine = new VirtualMachine(configuration with { CommandLine = $"operations={Phases} iterations=5000", NoReboot = true });
        machine.Start();
        machine.Wait(MachineState.Stopped, TimeSpan.FromMinutes(1), default);
        double[] times = [.. machine.ReadHybridHistory().Select(c => c.Nanoseconds).Order()];
        return times[times.Length / 2];
    }

    /// <inheritdoc/>
    protected override void StopProcessing() => _stop.Cancel();

    /// <inheritdoc/>
    public void Dispose() => _stop.Dispose();
}
