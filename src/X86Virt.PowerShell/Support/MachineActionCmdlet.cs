using System.Management.Automation;
using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>An action on machines that writes nothing unless the machines are asked for.</summary>
public abstract class MachineActionCmdlet : MachineCmdlet
{
    /// <summary>Write the machines, so that the pipeline can go on with them.</summary>
    [Parameter]
    public SwitchParameter PassThru { get; set; }

    /// <summary>The action on one machine.</summary>
    protected abstract void Act(VirtualMachine machine);

    /// <inheritdoc/>
    protected sealed override void Process(VirtualMachine machine)
    {
        if (!ShouldProcess(machine.Name))
            return;
        Act(machine);
        if (PassThru)
            WriteObject(machine);
    }
}
