using System.Management.Automation;
using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>Gets all that guests have written to their consoles.</summary>
/// <remarks>
/// <para>The console is the first serial port. Without -Line the transcript is one string, as the guest wrote it.</para>
/// </remarks>
/// <example>
/// <code>Get-VMConsole demo -Tail 5</code>
/// <para>Shows the last five lines.</para>
/// </example>
/// <example>
/// <code>(Get-VMConsole demo) -match 'ready'</code>
/// <para>Searches the whole transcript.</para>
/// </example>
[Cmdlet(VerbsCommon.Get, "VMConsole", DefaultParameterSetName = ByName)]
[OutputType(typeof(string))]
public sealed class GetVMConsole : MachineCmdlet
{
    /// <summary>Write the transcript line by line.</summary>
    [Parameter]
    public SwitchParameter Line { get; set; }

    /// <summary>Write only that many lines, the last ones.</summary>
    [Parameter]
    [ValidateRange(1, int.MaxValue)]
    public int? Tail { get; set; }

    /// <inheritdoc/>
    protected override void Process(VirtualMachine machine)
    {
        string text = machine.Console.Read(0);
        if (Tail is { } count)
            WriteObject(ConsoleText.Lines(text).TakeLast(count), enumerateCollection: true);
        else if (Line)
            WriteObject(ConsoleText.Lines(text), enumerateCollection: true);
        else
            WriteObject(text);
    }
}
