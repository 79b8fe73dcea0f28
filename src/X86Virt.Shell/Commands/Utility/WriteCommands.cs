using System.Management.Automation;

namespace X86Virt.Shell.Commands.Utility;

[Cmdlet(VerbsCommunications.Write, "Output")]
public sealed class WriteOutputCommand : PSCmdlet
{
    [Parameter(Position = 0, Mandatory = true, ValueFromPipeline = true, ValueFromRemainingArguments = true), AllowNull, AllowEmptyCollection]
    public PSObject?[]? InputObject { get; set; }

    [Parameter] public SwitchParameter NoEnumerate { get; set; }

    protected override void ProcessRecord()
    {
        if (InputObject == null)
        {
            WriteObject(null);
            return;
        }
        if (NoEnumerate && InputObject.Length > 1)
            WriteObject(InputObject, false);
        else
            foreach (PSObject? item in InputObject)
                WriteObject(item, !NoEnumerate);
    }
}

[Cmdlet(VerbsCommunications.Write, "Host")]
public sealed class WriteHostCommand : PSCmdlet
{
    [Parameter(Position = 0, ValueFromPipeline = true, ValueFromRemainingArguments = true), Alias("Msg", "Message")]
    public object? Object { get; set; }

    [Parameter] public SwitchParameter NoNewline { get; set; }
    [Parameter] public object Separator { get; set; } = " ";
    [Parameter] public ConsoleColor? ForegroundColor { get; set; }
    [Parameter] public ConsoleColor? BackgroundColor { get; set; }

    protected override void ProcessRecord()
    {
        var message = new HostInformationMessage
        {
            Message = Text(Object) ?? "",
            NoNewLine = NoNewline,
            ForegroundColor = ForegroundColor,
            BackgroundColor = BackgroundColor,
        };
        WriteInformation(message, ["PSHOST"]);
    }

    private string? Text(object? value) => value switch
    {
        null => null,
        string text => text,
        PSObject { BaseObject: string text } => text,
        System.Collections.IEnumerable items => string.Join(Separator.ToString(), items.Cast<object?>().Select(Text)),
        PSObject { BaseObject: System.Collections.IEnumerable items } => string.Join(Separator.ToString(), items.Cast<object?>().Select(Text)),
        _ => value.ToString(),
    };
}

/// <summary>The streams that take a message.</summary>
public abstract class MessageCommand : PSCmdlet
{
    [Parameter(Position = 0, Mandatory = true, ValueFromPipeline = true), AllowEmptyString, Alias("Msg")]
    public string Message { get; set; } = "";
}

[Cmdlet(VerbsCommunications.Write, "Verbose")]
public sealed class WriteVerboseCommand : MessageCommand
{
    protected override void ProcessRecord() => WriteVerbose(Message);
}

[Cmdlet(VerbsCommunications.Write, "Warning")]
public sealed class WriteWarningCommand : MessageCommand
{
    protected override void ProcessRecord() => WriteWarning(Message);
}

[Cmdlet(VerbsCommunications.Write, "Debug")]
public sealed class WriteDebugCommand : MessageCommand
{
    protected override void ProcessRecord() => WriteDebug(Message);
}

[Cmdlet(VerbsCommunications.Write, "Information")]
public sealed class WriteInformationCommand : PSCmdlet
{
    [Parameter(Position = 0, Mandatory = true, ValueFromPipeline = true), Alias("Msg", "Message")]
    public object MessageData { get; set; } = "";

    [Parameter(Position = 1)] public string[] Tags { get; set; } = [];

    protected override void ProcessRecord() => WriteInformation(MessageData, Tags);
}

[Cmdlet(VerbsCommunications.Write, "Error", DefaultParameterSetName = "Message")]
public sealed class WriteErrorCommand : PSCmdlet
{
    [Parameter(Position = 0, Mandatory = true, ValueFromPipeline = true, ParameterSetName = "Message"), AllowEmptyString, Alias("Msg")]
    [Parameter(ParameterSetName = "Exception")]
    public string? Message { get; set; }

    [Parameter(Mandatory = true, ParameterSetName = "Exception")] public Exception? Exception { get; set; }
    [Parameter(Mandatory = true, ParameterSetName = "Record")] public ErrorRecord? ErrorRecord { get; set; }
    [Parameter] public string ErrorId { get; set; } = "Microsoft.PowerShell.Commands.WriteErrorException";
    [Parameter] public ErrorCategory Category { get; set; }
    [Parameter] public object? TargetObject { get; set; }

    protected override void ProcessRecord()
        => WriteError(ErrorRecord ?? new ErrorRecord(Exception ?? new WriteErrorException(Message ?? ""), ErrorId, Category, TargetObject));
}

[Cmdlet(VerbsCommunications.Write, "Progress")]
public sealed class WriteProgressCommand : PSCmdlet
{
    [Parameter(Position = 0)] public string Activity { get; set; } = "Working";
    [Parameter(Position = 1)] public string Status { get; set; } = "Processing";
    [Parameter(Position = 2)] public int Id { get; set; }
    [Parameter] public int PercentComplete { get; set; } = -1;
    [Parameter] public int SecondsRemaining { get; set; } = -1;
    [Parameter] public string? CurrentOperation { get; set; }
    [Parameter] public int ParentId { get; set; } = -1;
    [Parameter] public SwitchParameter Completed { get; set; }

    protected override void ProcessRecord() => WriteProgress(new ProgressRecord(Id, Activity, Status)
    {
        PercentComplete = PercentComplete,
        SecondsRemaining = SecondsRemaining,
        CurrentOperation = CurrentOperation,
        ParentActivityId = ParentId,
        RecordType = Completed ? ProgressRecordType.Completed : ProgressRecordType.Processing,
    });
}

/// <summary>The exception of an error record that a script wrote.</summary>
public sealed class WriteErrorException(string message) : Exception(message);
