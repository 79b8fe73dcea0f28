using System.Management.Automation;
using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>Stops machines where they are, as pulling the plug does.</summary>
/// <remarks>
/// <para>Memory, registers and the console's transcript of a stopped machine can still be read. Start-VM starts it from power-on again.</para>
/// </remarks>
/// <example>
/// <code>Stop-VM demo -PassThru | Format-List</code>
/// <para>Stops a machine and shows all about it.</para>
/// </example>
[Cmdlet(VerbsLifecycle.Stop, "VM", DefaultParameterSetName = ByName, SupportsShouldProcess = true)]
[OutputType(typeof(VirtualMachine))]
public sealed class StopVM : MachineActionCmdlet
{
    /// <inheritdoc/>
    protected override void Act(VirtualMachine machine) => machine.Stop();
}
