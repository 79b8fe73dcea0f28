using System.Management.Automation;
using X86Virt.Engine;
using X86Virt.Engine.Costs;
using X86Virt.Engine.Processor;

namespace X86Virt.PowerShell;

/// <summary>Prices what machines have counted: modelled cycles by event, for a bare processor, a software VMM and a hardware VMM.</summary>
/// <remarks>
/// <para>A cost is a count times a price from a profile, computed from the counts of a run that is over; the guest's own clock has no part in it, so one run can be priced again under every profile. An object for each kind of event and each technique has the count, the cost of one, what that is made of and where every part is from.</para>
/// <para>SoftwareVmm and HardwareVmm need shadow paging to be counted: -Paging Shadow, as BinaryTranslation has it. What was translated is counted by BinaryTranslation alone. A machine on HardwareAssist has its exits priced as they were counted, and no SoftwareVmm; for other engines they are derived from the events that would exit.</para>
/// <para>Objects of Invoke-VMNanobenchmark are priced an iteration, their loop included; Compare-VMNanobenchmark takes that off.</para>
/// </remarks>
/// <example>
/// <code>Get-VMCost demo -Profile Pentium4-672 | Sort-Object Cycles -Descending | Format-Table Technique, Event, Count, CyclesEach, Cycles</code>
/// <para>Shows what would have cost most on a Pentium 4.</para>
/// </example>
/// <example>
/// <code>Get-VMCost demo -Profile Core2 | Group-Object Technique | ForEach-Object { '{0}: {1:N2} s' -f $_.Name, ($_.Group | Measure-Object Seconds -Sum).Sum }</code>
/// <para>Compares the modelled time of the three techniques.</para>
/// </example>
[Cmdlet(VerbsCommon.Get, "VMCost", DefaultParameterSetName = ByName)]
[OutputType(typeof(EventCost))]
public sealed class GetVMCost : PSCmdlet
{
    private const string ByName = "Name", ByMachine = "VM", ByNanobenchmark = "Nanobenchmark", ByMeasurement = "Measurement";

    /// <summary>The machines, by name. Wildcards are allowed.</summary>
    [Parameter(ParameterSetName = ByName, Mandatory = true, Position = 0, ValueFromPipeline = true)]
    [ArgumentCompleter(typeof(MachineNameCompleter))]
    [SupportsWildcards]
    [ValidateNotNullOrEmpty]
    public string[] Name { get; set; } = [];

    /// <summary>The machines, as New-VirtualMachine and Get-VirtualMachine write them.</summary>
    [Parameter(ParameterSetName = ByMachine, Mandatory = true, Position = 0, ValueFromPipeline = true)]
    [ValidateNotNullOrEmpty]
    public VirtualMachine[] VM { get; set; } = [];

    /// <summary>What Invoke-VMNanobenchmark wrote.</summary>
    [Parameter(ParameterSetName = ByNanobenchmark, Mandatory = true, ValueFromPipeline = true)]
    [ValidateNotNull]
    public NanobenchmarkResult? Nanobenchmark { get; set; }

    /// <summary>What Compare-VMEngine wrote of one engine.</summary>
    [Parameter(ParameterSetName = ByMeasurement, Mandatory = true, ValueFromPipeline = true)]
    [ValidateNotNull]
    public EngineMeasurement? Measurement { get; set; }

    /// <summary>The profile, by name or as Get-VMCostProfile and Measure-VMCostProfile write it; Pentium4-672 unless given.</summary>
    [Parameter]
    [CostProfileTransformation]
    [ArgumentCompleter(typeof(CostProfileCompleter))]
    [ValidateNotNull]
    public CostProfile Profile { get; set; } = CostProfiles.Pentium4;

    /// <summary>The techniques to price; all that the profile has prices for unless given.</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    public CostTechnique[] Technique { get; set; } = [];

    /// <inheritdoc/>
    protected override void ProcessRecord()
    {
        switch (ParameterSetName)
        {
            case ByNanobenchmark:
                Write(ModelledCost.CountsOf(Nanobenchmark!));
                break;
            case ByMeasurement:
                Write(ModelledCost.CountsOf(Measurement!));
                break;
            default:
                foreach (VirtualMachine machine in ParameterSetName == ByMachine ? VM : MachineSelector.Find(this, Name))
                    Price(machine);
                break;
        }
    }

    private void Price(VirtualMachine machine)
    {
        try
        {
            if (EngineRun.PagingOf(machine) == PagingKind.Walk)
                WriteWarning($"'{machine.Name}' has no shadow page tables: hidden page faults and stores to page tables were not counted, and cost nothing. Set-VirtualMachine -Paging Shadow counts them.");
            Write(ModelledCost.CountsOf(machine));
        }
        catch (Exception e) when (ErrorRecords.IsExpected(e))
        {
            WriteError(ErrorRecords.From(e, machine));
        }
    }

    private void Write(EventCounts counts)
    {
        foreach (CostTechnique technique in Profile.Techniques.Intersect(counts.Techniques).Where(t => Technique.Length == 0 || Technique.Contains(t)))
            WriteObject(Profile.Price(technique, counts), enumerateCollection: true);
    }
}
