using System.Management.Automation;
using System.Text.RegularExpressions;
using X86Virt.Engine;
using X86Virt.Engine.Costs;
using X86Virt.Engine.Processor;
using X86Virt.Guests;

namespace X86Virt.PowerShell;

/// <summary>Predicts the published times of forkwait on both of the paper's machines from what the engines count, and puts the published ones beside them.</summary>
/// <remarks>
/// <para>forkwait forks children that exit at once, and waits for each. It is run under a Linux kernel with shadow paging; what is counted in the second half of its forks is priced under each profile, and scaled to the paper's 40000 forks. BinaryTranslation counts for the native column and that of the software VMM, HardwareAssist, whose exits are counted, for that of the hardware VMM. Refills of the TLB are left out, as hardware assist does not count its own.</para>
/// <para>What a fork costs depends on the memory of the program. -Pages is the one figure that is calibrated: on the time of the Pentium 4's hardware VMM, with the cloud kernel of Debian. The other five figures are predictions, but that the profile of the Core 2 takes the ratio of the two native times from the published ones. Today's kernel takes about twice the instructions for a page of what those times leave room for, and so the native times are twice the published ones.</para>
/// </remarks>
/// <example>
/// <code>Compare-VMForkWait -Kernel ./vmlinuz</code>
/// <para>Shows two machines in three columns, predicted and published.</para>
/// </example>
/// <example>
/// <code>(Compare-VMForkWait -Kernel ./vmlinuz -Pages 45 -Engine BinaryTranslation -Profile Pentium4-672)[1].Costs | Sort-Object Cycles -Descending | Format-Table Event, Count, Formula, Cycles</code>
/// <para>Shows what the time of a software VMM is made of, with a smaller working set.</para>
/// </example>
[Cmdlet(VerbsData.Compare, "VMForkWait")]
[OutputType(typeof(MacrobenchmarkPrediction))]
public sealed partial class CompareVMForkWait : PSCmdlet, IDisposable
{
    private const string Guest = "a 64-bit Linux kernel (-Kernel) that has a serial console and takes an initial RAM disk";

    private readonly CancellationTokenSource _stop = new();

    /// <summary>A 64-bit Linux kernel.</summary>
    [Parameter(Mandatory = true, Position = 0)]
    [ValidateNotNullOrEmpty]
    public string Kernel { get; set; } = "";

    /// <summary>Forks to make, of which the second half is counted; 400 unless given.</summary>
    [Parameter]
    [ValidateRange(2, 1_000_000)]
    public int Forks { get; set; } = 400;

    /// <summary>Pages that parent and child both write to; as calibrated unless given.</summary>
    [Parameter]
    [ValidateRange(0, 4096)]
    public int Pages { get; set; } = ForkWaitPrediction.CalibratedPages;

    /// <summary>The engines that count: BinaryTranslation and HardwareAssist unless given. What only the other would count is derived, or left out.</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    public EngineKind[] Engine { get; set; } = [EngineKind.BinaryTranslation, EngineKind.HardwareAssist];

    /// <summary>The profiles, by name or as Get-VMCostProfile and Measure-VMCostProfile write them; those of the paper's two machines unless given.</summary>
    [Parameter]
    [CostProfileTransformation]
    [ArgumentCompleter(typeof(CostProfileCompleter))]
    [ValidateNotNullOrEmpty]
    public CostProfile[] Profile { get; set; } = [.. CostProfiles.All];

    /// <summary>How long one run may take, in seconds or as a TimeSpan. Without it a run may go on for ever.</summary>
    [Parameter]
    [SecondsTransformation]
    public TimeSpan? Timeout { get; set; }

    /// <inheritdoc/>
    protected override void ProcessRecord()
    {
        string disk = Path.Combine(Path.GetTempPath(), $"forkwait-{Guid.NewGuid():n}.cpio.gz");
        try
        {
            File.WriteAllBytes(disk, ForkWait.InitialRamDisk);
            EventCounts[] counts = [.. Engine.Distinct().OrderBy(e => e == EngineKind.HardwareAssist).Select(e => Count(e, disk))];
            foreach (CostProfile profile in Profile)
            {
                foreach (CostTechnique technique in profile.Techniques)
                {
                    // Exits that were counted come before those that are derived.
                    EventCounts? of = technique == CostTechnique.HardwareVmm ? counts[^1] : counts.FirstOrDefault(c => c.Techniques.Contains(technique));
                    if (of != null)
                        WriteObject(ForkWaitPrediction.Of(profile, technique, of, Forks / 2, Pages) with { Command = CommandText.Of(MyInvocation) });
                }
            }
        }
        catch (OperationCanceledException)
        {
            throw new PipelineStoppedException();
        }
        catch (Exception e) when (ErrorRecords.IsExpected(e))
        {
            WriteError(ErrorRecords.From(e, Kernel));
        }
        finally
        {
            File.Delete(disk);
        }
    }

    /// <summary>
    /// Both runs are of the same machine and end at one of the marks, so that what is counted before the first is the same in both.
    /// </summary>
    private EventCounts Count(EngineKind engine, string disk)
    {
        var configuration = new MachineConfiguration
        {
            Name = $"forkwait on {engine}",
            Kernel = SessionState.Path.GetUnresolvedProviderPathFromPSPath(Kernel),
            InitialRamDisk = disk,
            CommandLine = $"console=ttyS0 -- {Forks} {Pages} {Pages} {Pages}",
            Engine = engine,
            Paging = PagingKind.Shadow,
            NoReboot = true,
        };
        MachineStatistics half = EngineRun.Of(this, configuration, Half(), Timeout, _stop.Token, Guest).Statistics;
        MachineStatistics all = EngineRun.Of(this, configuration, Done(), Timeout, _stop.Token, Guest).Statistics;
        return EventCounts.Of(all.Since(half), engine == EngineKind.HardwareAssist);
    }

    [GeneratedRegex(@"^forkwait \d+ half")]
    private static partial Regex Half();

    [GeneratedRegex(@"^forkwait \d+ done")]
    private static partial Regex Done();

    /// <inheritdoc/>
    protected override void StopProcessing() => _stop.Cancel();

    /// <inheritdoc/>
    public void Dispose() => _stop.Dispose();
}
