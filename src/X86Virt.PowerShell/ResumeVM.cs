using System.Management.Automation;
using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>Has suspended machines go on exactly where they were.</summary>
/// <remarks>
/// <para>A machine that a breakpoint suspended executes the instruction there first.</para>
/// </remarks>
/// <example>
/// <code>Suspend-VM demo; Resume-VM demo -PassThru</code>
/// <para>Resumes a suspended machine.</para>
/// </example>
[Cmdlet(VerbsLifecycle.Resume, "VM", DefaultParameterSetName = ByName, SupportsShouldProcess = true)]
[OutputType(typeof(VirtualMachine))]
public sealed class ResumeVM : MachineActionCmdlet
{
    /// <inheritdoc/>
    protected override void Act(VirtualMachine machine) => machine.Resume();
}
