using System.Management.Automation;
using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>Starts machines from power-on, whatever they are doing.</summary>
/// <remarks>
/// <para>Works in every state, as a reset button does. The console's transcript goes on.</para>
/// </remarks>
/// <example>
/// <code>Restart-VM demo -PassThru</code>
/// <para>Resets a machine.</para>
/// </example>
[Cmdlet(VerbsLifecycle.Restart, "VM", DefaultParameterSetName = ByName, SupportsShouldProcess = true)]
[OutputType(typeof(VirtualMachine))]
public sealed class RestartVM : MachineActionCmdlet
{
    /// <inheritdoc/>
    protected override void Act(VirtualMachine machine) => machine.Restart();
}
