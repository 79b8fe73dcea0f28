using System.Management.Automation;
using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>Gets what guests have written to their consoles since it was last received.</summary>
/// <remarks>
/// <para>Each machine has one position up to which its transcript was received, whoever received it. Get-VMConsole does not move it.</para>
/// <para>With -Follow whole lines are written as they come, until the machine stops. Ctrl-C ends that and leaves the machine running.</para>
/// </remarks>
/// <example>
/// <code>Start-VM demo; Wait-VM demo -ConsoleText 'ready' -Timeout 30; Receive-VMConsole demo</code>
/// <para>Writes the console's text so far; the next call writes only what has come since.</para>
/// </example>
/// <example>
/// <code>Stop-VM demo; Receive-VMConsole demo -Follow</code>
/// <para>Writes line by line until the machine has stopped.</para>
/// </example>
[Cmdlet(VerbsCommunications.Receive, "VMConsole", DefaultParameterSetName = ByName)]
[OutputType(typeof(string))]
public sealed class ReceiveVMConsole : MachineCmdlet
{
    private static readonly TimeSpan s_look = TimeSpan.FromMilliseconds(100);

    /// <summary>Go on until the machine stops, line by line.</summary>
    [Parameter]
    public SwitchParameter Follow { get; set; }

    /// <inheritdoc/>
    protected override void Process(VirtualMachine machine)
    {
        if (Follow)
        {
            FollowLines(machine);
            return;
        }
        ref int received = ref ConsoleText.Received(machine.Console);
        string text = machine.Console.Read(received);
        received += text.Length;
        if (text.Length > 0)
            WriteObject(text);
    }

    private void FollowLines(VirtualMachine machine)
    {
        ref int received = ref ConsoleText.Received(machine.Console);
        bool last;
        do
        {
            // The state first: what a machine wrote before it stopped must be seen.
            last = machine.State == MachineState.Stopped;
            string text = machine.Console.Read(received);
            string whole = last ? text : text[..(text.LastIndexOf('\n') + 1)];
            received += whole.Length;
            foreach (string line in ConsoleText.Lines(whole))
                WriteObject(line);
            if (!last)
                machine.Console.WaitBeyond(received + text.Length - whole.Length, s_look);
        }
        while (!last && !StopToken.IsCancellationRequested);
    }
}
