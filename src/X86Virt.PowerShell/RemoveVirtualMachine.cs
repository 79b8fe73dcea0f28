using System.Management.Automation;
using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>Removes machines and frees all they took.</summary>
/// <remarks>
/// <para>A machine that runs or is suspended is removed only with -Force.</para>
/// </remarks>
/// <example>
/// <code>Remove-VirtualMachine demo -Force</code>
/// <para>Removes a machine, running or not.</para>
/// </example>
/// <example>
/// <code>Get-VirtualMachine | Where-Object State -eq Stopped | Remove-VirtualMachine</code>
/// <para>Removes the machines that have stopped.</para>
/// </example>
[Cmdlet(VerbsCommon.Remove, "VirtualMachine", DefaultParameterSetName = ByName, SupportsShouldProcess = true)]
[OutputType(typeof(void))]
public sealed class RemoveVirtualMachine : MachineCmdlet
{
    /// <summary>Remove machines that are running or suspended too.</summary>
    [Parameter]
    public SwitchParameter Force { get; set; }

    /// <inheritdoc/>
    protected override void Process(VirtualMachine machine)
    {
        if (!ShouldProcess(machine.Name))
            return;
        if (machine.State != MachineState.Stopped && !Force)
            throw new MachineException("WrongMachineState", $"Machine '{machine.Name}' is {machine.State}. Stop it first (Stop-VM), or give -Force.");
        MachineRegistry.Remove(machine);
        machine.Dispose();
    }
}
