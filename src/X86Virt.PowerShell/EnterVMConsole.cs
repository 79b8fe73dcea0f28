using System.Management.Automation;
using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>Connects the keyboard and the screen with a machine's console.</summary>
/// <remarks>
/// <para>Every key goes to the guest, Ctrl-C too. Ctrl-] leaves the console and the machine running. It ends by itself when the machine stops.</para>
/// <para>It needs a terminal: in a script whose input is redirected use Send-VMConsole and Receive-VMConsole. Guests that people type at are best made with -Clock RealTime.</para>
/// </remarks>
/// <example>
/// <code>Start-VM demo; Enter-VMConsole demo</code>
/// <para>Talks to a guest until Ctrl-] is pressed.</para>
/// </example>
[Cmdlet(VerbsCommon.Enter, "VMConsole", DefaultParameterSetName = ByName)]
[OutputType(typeof(void))]
public sealed class EnterVMConsole : MachineCmdlet
{
    // Ctrl-].
    private const string Leave = "\x1d";
    private const int LinesShown = 24;

    private static readonly TimeSpan s_look = TimeSpan.FromMilliseconds(10);

    /// <inheritdoc/>
    protected override void Process(VirtualMachine machine)
    {
        if (Console.IsInputRedirected || Console.IsOutputRedirected)
        {
            ThrowTerminatingError(new ErrorRecord(
                new InvalidOperationException("Enter-VMConsole needs a terminal, and input or output is redirected. Use Send-VMConsole and Receive-VMConsole."),
                "ConsoleNotInteractive", ErrorCategory.InvalidOperation, machine));
        }
        if (machine.State == MachineState.Stopped)
            throw new MachineException("WrongMachineState", $"Machine '{machine.Name}' is Stopped. Start it first (Start-VM).");

        Host.UI.WriteLine($"Console of {machine.Name}; Ctrl-] leaves it.");
        bool controlC = Console.TreatControlCAsInput;
        Console.TreatControlCAsInput = true;
        try
        {
            Connect(machine);
        }
        finally
        {
            Console.TreatControlCAsInput = controlC;
            Host.UI.WriteLine();
        }
    }

    private void Connect(VirtualMachine machine)
    {
        string past = machine.Console.Read(0);
        int shown = past.Length;
        Console.Out.Write(string.Join('\n', past.Split('\n').TakeLast(LinesShown)));
        bool stopped;
        do
        {
            stopped = machine.State == MachineState.Stopped;
            while (Console.KeyAvailable)
            {
                string sequence = ConsoleKeys.Sequence(Console.ReadKey(intercept: true));
                if (sequence == Leave)
                    return;
                if (!stopped)
                    machine.Send(sequence);
            }
            machine.Console.WaitBeyond(shown, s_look);
            string text = machine.Console.Read(shown);
            shown += text.Length;
            Console.Out.Write(text);
            ConsoleText.Received(machine.Console) = shown;
        }
        while (!stopped && !StopToken.IsCancellationRequested);
    }
}
