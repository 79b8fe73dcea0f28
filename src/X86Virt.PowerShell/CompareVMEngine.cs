using System.Management.Automation;
using X86Virt.Engine;

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

/// <summary>Runs one guest on two engines in lockstep and finds the first instruction that they execute differently.</summary>
/// <remarks>
/// <para>Two machines of the same settings run side by side. After every -Stride instructions their registers and all of their memory are compared. Where they differ, both are run again up to the last agreement and compared at ever shorter strides, down to the one instruction.</para>
/// <para>The clock is the virtual one. The guest gets no input. A guest that resets starts again on both. -Paging is for -Engine; the reference pages as suits its engine.</para>
/// </remarks>
/// <example>
/// <code>Compare-VMEngine -Kernel ./vmlinuz -InitialRamDisk ./initrd.gz -CommandLine 'console=ttyS0' -Engine BinaryTranslation -Reference DecodedCache -Count 3000000000</code>
/// <para>Boots Linux in lockstep for three thousand million instructions.</para>
/// </example>
/// <example>
/// <code>(Compare-VMEngine -FlatBinary ./boot.bin -Memory 1MB -Stride 1 -Count 1000).Difference.Differences</code>
/// <para>Compares after every instruction, and lists what differs after the first that makes a difference.</para>
/// </example>
[Cmdlet(VerbsData.Compare, "VMEngine")]
[OutputType(typeof(EngineComparison))]
public sealed class CompareVMEngine : MachineSettingsCmdlet, IDisposable
{
    private readonly CancellationTokenSource _stop = new();

    /// <summary>The engine to compare with: Interpreter unless given.</summary>
    [Parameter]
    public EngineKind Reference { get; set; } = EngineKind.Interpreter;

    /// <summary>The most instructions to run for; 100 million unless given.</summary>
    [Parameter]
    [ValidateRange(1, long.MaxValue)]
    public long Count { get; set; } = 100_000_000;

    /// <summary>Instructions between two comparisons; a million unless given. Each comparison costs as much as reading all of the machines' memory.</summary>
    [Parameter]
    [ValidateRange(1, long.MaxValue)]
    public long Stride { get; set; } = 1_000_000;

    /// <inheritdoc/>
    protected override void ProcessRecord()
    {
        try
        {
            if (Clock == ClockKind.RealTime)
                throw new MachineException("ClockNotDeterministic", "-Clock RealTime makes every run another one, which cannot be compared. Leave it out.");
            MachineConfiguration configuration = Apply(new MachineConfiguration { Name = "lockstep" });
            var lockstep = new Lockstep(configuration, configuration with { Engine = Reference, Paging = null });
            LockstepDifference? difference = lockstep.Run(Count, Stride, _stop.Token);
            string reason = lockstep.StopReason == StopReason.None ? "" : lockstep.StopReason.ToString();
            WriteObject(new EngineComparison(
                configuration.Engine, Reference, difference == null, difference?.Retired ?? lockstep.Retired, reason, difference, lockstep.Console));
        }
        catch (OperationCanceledException)
        {
            throw new PipelineStoppedException();
        }
        catch (Exception e) when (ErrorRecords.IsExpected(e))
        {
            WriteError(ErrorRecords.From(e, Kernel ?? FlatBinary ?? "lockstep"));
        }
    }

    /// <inheritdoc/>
    protected override void StopProcessing() => _stop.Cancel();

    /// <inheritdoc/>
    public void Dispose() => _stop.Dispose();
}
