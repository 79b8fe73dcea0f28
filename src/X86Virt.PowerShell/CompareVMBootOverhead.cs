using System.Management.Automation;
using X86Virt.Engine;
using X86Virt.Engine.Costs;
using X86Virt.Engine.Processor;

namespace X86Virt.PowerShell;

/// <summary>Shows what virtualization costs a boot, by source, and puts the figures of the paper's figure 5 beside it.</summary>
/// <remarks>
/// <para>Takes what Compare-VMEngine writes of a boot and halt: of BinaryTranslation with shadow paging for the software VMM, of HardwareAssist for the hardware VMM. What was counted is priced under the profile; the price of the bare processor is taken off. The published figures are of another guest, a 64-bit Windows XP, whose firmware's accesses to ports are most of what the hardware VMM costs, so the two columns are to be compared by their pattern, not by their ratio. They are of shadow paging on the Pentium 4, and beside other results there are none.</para>
/// </remarks>
/// <example>
/// <code>Compare-VMEngine -Kernel ./vmlinuz -InitialRamDisk ./initrd.gz -CommandLine 'console=ttyS0 x86virt.action=poweroff' -NoReboot -Engine BinaryTranslation, HardwareAssist -Paging Shadow | Compare-VMBootOverhead</code>
/// <para>Boots Linux on two engines and shows where the paper's two monitors would have spent time on it.</para>
/// </example>
[Cmdlet(VerbsData.Compare, "VMBootOverhead")]
[OutputType(typeof(MacrobenchmarkPrediction))]
public sealed class CompareVMBootOverhead : PSCmdlet
{
    /// <summary>What Compare-VMEngine wrote of one engine.</summary>
    [Parameter(Mandatory = true, Position = 0, ValueFromPipeline = true)]
    [ValidateNotNull]
    public EngineMeasurement? Measurement { get; set; }

    /// <summary>The profile, by name or as Get-VMCostProfile and Measure-VMCostProfile write it; Pentium4-672 unless given.</summary>
    [Parameter]
    [CostProfileTransformation]
    [ArgumentCompleter(typeof(CostProfileCompleter))]
    [ValidateNotNull]
    public CostProfile Profile { get; set; } = CostProfiles.Pentium4;

    /// <inheritdoc/>
    protected override void ProcessRecord()
    {
        EngineMeasurement m = Measurement!;
        bool shadowed = m.Paging == PagingKind.Shadow;
        CostTechnique? technique = m.Engine == EngineKind.HardwareAssist ? CostTechnique.HardwareVmm : m.Engine == EngineKind.BinaryTranslation && shadowed ? CostTechnique.SoftwareVmm : null;
        if (technique is not { } t)
        {
            var error = new MachineException("NoTechnique", $"{GuestText.Configuration(m.Engine, m.Paging)} counts for neither of the paper's techniques. Give results of BinaryTranslation with -Paging Shadow, and of HardwareAssist.");
            WriteError(ErrorRecords.From(error, m));
            return;
        }
        WriteObject(BootOverheadPrediction.Of(Profile, t, ModelledCost.CountsOf(m), $"{GuestText.Of(m.Configuration)}, {GuestText.Configuration(m.Engine, m.Paging)}", shadowed), enumerateCollection: true);
    }
}
