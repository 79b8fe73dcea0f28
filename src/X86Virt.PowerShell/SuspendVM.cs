using System.Management.Automation;
using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>Holds running machines between two instructions.</summary>
/// <remarks>
/// <para>The guest does not notice. Step-VM executes single instructions of a suspended machine; Resume-VM has it go on.</para>
/// </remarks>
/// <example>
/// <code>Suspend-VM demo; Get-VMDisassembly demo -Count 3; Resume-VM demo</code>
/// <para>Looks at what a machine is about to execute.</para>
/// </example>
[Cmdlet(VerbsLifecycle.Suspend, "VM", DefaultParameterSetName = ByName, SupportsShouldProcess = true)]
[OutputType(typeof(VirtualMachine))]
public sealed class SuspendVM : MachineActionCmdlet
{
    /// <inheritdoc/>
    protected override void Act(VirtualMachine machine) => machine.Suspend();
}
