using System.Management.Automation;
using System.Text.RegularExpressions;
using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>Waits until machines are in a state, or until text appears on their consoles.</summary>
/// <remarks>
/// <para>Without -State and -ConsoleText it waits until the machine has stopped. A time-out is the error WaitTimeout; a machine that stops before the text appears is the error MachineStopped, which names the stop reason.</para>
/// <para>Ctrl-C ends the wait and leaves the machine running.</para>
/// </remarks>
/// <example>
/// <code>Start-VM demo; Wait-VM demo -ConsoleText '[Rr]eady' -Timeout 30</code>
/// <para>Waits until a guest has said that it is ready, for 30 seconds at most.</para>
/// </example>
/// <example>
/// <code>Start-VM demo; $null = Receive-VMConsole demo; Send-VMConsole demo -Text 'x'; Wait-VM demo -ConsoleText 'x' -Unread -Timeout 30</code>
/// <para>Types at the console and waits for the answer; text that was there before does not count.</para>
/// </example>
/// <example>
/// <code>Suspend-VM demo; Wait-VM demo -State Suspended</code>
/// <para>Waits for a state, such as a breakpoint brings about.</para>
/// </example>
[Cmdlet(VerbsLifecycle.Wait, "VM", DefaultParameterSetName = ByName)]
[OutputType(typeof(VirtualMachine))]
public sealed class WaitVM : MachineCmdlet
{
    /// <summary>The state to wait for.</summary>
    [Parameter(Position = 1)]
    public MachineState State { get; set; } = MachineState.Stopped;

    /// <summary>A regular expression to wait for in what the guest has written to its console. Upper and lower case differ, unless it begins with (?i).</summary>
    [Parameter]
    [ValidateNotNull]
    [RegexTransformation]
    public Regex? ConsoleText { get; set; }

    /// <summary>With -ConsoleText: look only at what Receive-VMConsole has not given out yet.</summary>
    [Parameter]
    public SwitchParameter Unread { get; set; }

    /// <summary>How long to wait for each machine, in seconds or as a TimeSpan. Without it the wait has no end.</summary>
    [Parameter]
    [SecondsTransformation]
    public TimeSpan? Timeout { get; set; }

    /// <summary>Write the machines whose wait succeeded.</summary>
    [Parameter]
    public SwitchParameter PassThru { get; set; }

    /// <inheritdoc/>
    protected override void BeginProcessing()
    {
        if (ConsoleText != null && MyInvocation.BoundParameters.ContainsKey(nameof(State)))
            ThrowTerminatingError(new ErrorRecord(new PSArgumentException("-State and -ConsoleText exclude each other. Give one of them."), "AmbiguousWait", ErrorCategory.InvalidArgument, null));
    }

    /// <inheritdoc/>
    protected override void Process(VirtualMachine machine)
    {
        var wait = new MachineWait(this, machine, Timeout, StopToken);
        bool succeeded = ConsoleText == null ? wait.Until(() => IsInState(machine)) : WaitForText(machine, wait, ConsoleText);
        if (StopToken.IsCancellationRequested)
            return;
        if (!succeeded)
            throw new MachineException("WaitTimeout", $"Machine '{machine.Name}': {Awaited} within {Timeout!.Value.TotalSeconds:0.###} s; it is {machine.State}. Wait longer (-Timeout), or look at Get-VMConsole.");
        if (PassThru)
            WriteObject(machine);
    }

    private string Awaited => ConsoleText == null ? $"it did not become {State}" : $"/{ConsoleText}/ did not appear on the console";

    /// <summary>A machine that has ended is not suspended any more, however long one waits.</summary>
    private bool IsInState(VirtualMachine machine)
    {
        MachineState state = machine.State;
        if (State == MachineState.Suspended && state == MachineState.Stopped && machine.StopReason.Kind != StopKind.None)
            throw new MachineException("MachineStopped", $"Machine '{machine.Name}' was not suspended before it stopped ({machine.StopReason}). Start it again (Start-VM).");
        return state == State;
    }

    private bool WaitForText(VirtualMachine machine, MachineWait wait, Regex pattern)
    {
        int from = Unread ? X86Virt.PowerShell.ConsoleText.Received(machine.Console) : 0;
        return wait.Poll(slice =>
        {
            // The state first: what a machine wrote before it stopped must be seen.
            bool stopped = machine.State == MachineState.Stopped;
            if (machine.Console.WaitFor(pattern, from, stopped ? TimeSpan.Zero : slice, StopToken) != null)
                return true;
            if (stopped)
                throw new MachineException("MachineStopped", $"Machine '{machine.Name}': /{pattern}/ did not appear on the console before the machine stopped ({StopText(machine)}). Get-VMConsole shows what did.");
            return false;
        });
    }

    private static string StopText(VirtualMachine machine) => machine.StopReason.Kind == StopKind.None ? "it was never started" : machine.StopReason.ToString();
}
