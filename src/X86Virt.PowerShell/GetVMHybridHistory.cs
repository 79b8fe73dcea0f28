using System.Management.Automation;
using X86Virt.Engine;
using X86Virt.Engine.Monitors;

namespace X86Virt.PowerShell;

/// <summary>Shows when and why machines on Hybrid changed between binary translation and hardware assist.</summary>
/// <remarks>
/// <para>Each change tells how many instructions the guest had retired, what the technique until then had cost more than the other would have, by the machine's cost profile, which kind of event cost most of that, and what the change took of the host's time. The last 4096 are remembered.</para>
/// <para>With -Summary there is one object for each machine: instructions under each technique, and the modelled cycles of the run beside those that either technique alone would have cost. Advantage is the better of these by the first: above 1, moving was ahead of both.</para>
/// </remarks>
/// <example>
/// <code>New-VirtualMachine -Name demo2 -Kernel vmlinuz -Engine Hybrid -CostProfile Core2 | Start-VM; Get-VMHybridHistory demo2</code>
/// <para>Shows the changes so far.</para>
/// </example>
/// <example>
/// <code>Get-VMHybridHistory demo | Group-Object { ($_.Reason -split ':')[0] } -NoElement</code>
/// <para>Counts them by reason.</para>
/// </example>
/// <example>
/// <code>Get-VMHybridHistory demo -Summary | Format-List</code>
/// <para>Compares the run with both techniques alone.</para>
/// </example>
[Cmdlet(VerbsCommon.Get, "VMHybridHistory", DefaultParameterSetName = ByName)]
[OutputType(typeof(HybridSwitch), typeof(HybridSummary))]
public sealed class GetVMHybridHistory : MachineCmdlet
{
    /// <summary>Write what the changes came to instead.</summary>
    [Parameter]
    public SwitchParameter Summary { get; set; }

    /// <inheritdoc/>
    protected override void Process(VirtualMachine machine)
    {
        if (Summary)
            WriteObject(machine.ReadHybridSummary());
        else
            WriteObject(machine.ReadHybridHistory(), enumerateCollection: true);
    }
}
