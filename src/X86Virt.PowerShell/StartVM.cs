using System.Management.Automation;
using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>Starts machines from power-on.</summary>
/// <remarks>
/// <para>A machine runs in the background, on a thread of its own. One that has stopped starts afresh: memory is cleared and its images are loaded again.</para>
/// <para>With -Wait the cmdlet returns when the machine is no longer running. Ctrl-C ends the wait and leaves the machine running.</para>
/// </remarks>
/// <example>
/// <code>Start-VM demo -Wait -PassThru | Select-Object State, StopReason, ExitCode</code>
/// <para>Runs a machine to its end and shows how it ended.</para>
/// </example>
/// <example>
/// <code>Get-VirtualMachine d* | Start-VM</code>
/// <para>Starts several machines, which then run side by side.</para>
/// </example>
[Cmdlet(VerbsLifecycle.Start, "VM", DefaultParameterSetName = ByName, SupportsShouldProcess = true)]
[OutputType(typeof(VirtualMachine))]
public sealed class StartVM : MachineActionCmdlet
{
    /// <summary>Wait until the machine stops or is suspended.</summary>
    [Parameter]
    public SwitchParameter Wait { get; set; }

    /// <summary>How long to wait, in seconds or as a TimeSpan. When the time is up the error WaitTimeout is written and the machine runs on.</summary>
    [Parameter]
    [SecondsTransformation]
    public TimeSpan? Timeout { get; set; }

    /// <inheritdoc/>
    protected override void Act(VirtualMachine machine)
    {
        machine.Start();
        if (!Wait || new MachineWait(this, machine, Timeout, StopToken).Until(() => machine.State != MachineState.Running) || StopToken.IsCancellationRequested)
            return;
        throw new MachineException("WaitTimeout", $"Machine '{machine.Name}' still runs after {Timeout!.Value.TotalSeconds:0.###} s. Wait longer (-Timeout), or stop it (Stop-VM).");
    }
}
