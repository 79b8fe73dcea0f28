using System.Management.Automation;
using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>Types at the consoles of machines.</summary>
/// <remarks>
/// <para>Text is followed by Enter (a carriage return, as a terminal sends it) unless -NoNewline is given; line feeds within it become Enter as well. Keys come after the text.</para>
/// </remarks>
/// <example>
/// <code>Start-VM demo; Send-VMConsole demo -Text 'uname -a'</code>
/// <para>Types a line.</para>
/// </example>
/// <example>
/// <code>Start-VM demo; Send-VMConsole demo -Key Up, Enter; Send-VMConsole demo -Key Ctrl+C</code>
/// <para>Presses keys.</para>
/// </example>
[Cmdlet(VerbsCommunications.Send, "VMConsole", DefaultParameterSetName = ByName, SupportsShouldProcess = true)]
[OutputType(typeof(VirtualMachine))]
public sealed class SendVMConsole : MachineActionCmdlet
{
    private string _input = "";

    /// <summary>What to type.</summary>
    [Parameter(Position = 1)]
    [AllowEmptyString]
    [AllowNull]
    public string? Text { get; set; }

    /// <summary>Do not press Enter behind the text.</summary>
    [Parameter]
    public SwitchParameter NoNewline { get; set; }

    /// <summary>Special keys, by name (Enter, Escape, Up, F1 …) or with Ctrl (Ctrl+C).</summary>
    [Parameter]
    [ArgumentCompleter(typeof(ConsoleKeyCompleter))]
    [ValidateNotNullOrEmpty]
    public string[] Key { get; set; } = [];

    /// <inheritdoc/>
    protected override void BeginProcessing()
    {
        if (Text != null)
            _input = Text.ReplaceLineEndings("\r") + (NoNewline ? "" : "\r");
        foreach (string key in Key)
        {
            _input += ConsoleKeys.Sequence(key) ?? throw Refused("UnknownKey", $"There is no key '{key}'. Give one of {string.Join(", ", ConsoleKeys.Names)}.");
        }
        if (_input.Length == 0)
            throw Refused("NothingToSend", "There is nothing to type. Give -Text or -Key.");
    }

    private PSArgumentException Refused(string errorId, string message)
    {
        var e = new PSArgumentException(message);
        ThrowTerminatingError(new ErrorRecord(e, errorId, ErrorCategory.InvalidArgument, null));
        return e;
    }

    /// <inheritdoc/>
    protected override void Act(VirtualMachine machine) => machine.Send(_input);
}
