using System.Management.Automation;
using System.Management.Automation.Language;
using System.Text.RegularExpressions;

namespace X86Virt.Shell.Commands.Utility;

[Cmdlet(VerbsLifecycle.Invoke, "Expression")]
public sealed class InvokeExpressionCommand : PSCmdlet
{
    [Parameter(Position = 0, Mandatory = true, ValueFromPipeline = true)] public string Command { get; set; } = "";

    protected override void ProcessRecord()
        => WriteObject(InvokeCommand.InvokeScript(useLocalScope: false, InvokeCommand.NewScriptBlock(Command), null), true);
}

[Cmdlet(VerbsCommon.Get, "Variable")]
public sealed class GetVariableCommand : PSCmdlet
{
    [Parameter(Position = 0, ValueFromPipeline = true)] public string[] Name { get; set; } = ["*"];
    [Parameter] public SwitchParameter ValueOnly { get; set; }
    [Parameter] public string? Scope { get; set; }

    protected override void ProcessRecord()
    {
        foreach (string name in Name)
        {
            if (WildcardPattern.ContainsWildcardCharacters(name))
            {
                foreach (PSObject item in InvokeProvider.ChildItem.Get("Variable:", false))
                {
                    if (item.BaseObject is PSVariable variable && WildcardPattern.Get(name, WildcardOptions.IgnoreCase).IsMatch(variable.Name))
                        Emit(variable);
                }
                continue;
            }
            PSVariable? found = SessionState.PSVariable.Get(Scope == null ? name : $"{Scope}:{name}");
            if (found != null)
                Emit(found);
            else
                WriteError(new ErrorRecord(new ItemNotFoundException($"Cannot find a variable with the name '{name}'."), "VariableNotFound", ErrorCategory.ObjectNotFound, name));
        }
    }

    private void Emit(PSVariable variable) => WriteObject(ValueOnly ? variable.Value : variable);
}

[Cmdlet(VerbsCommon.Set, "Variable")]
public sealed class SetVariableCommand : PSCmdlet
{
    [Parameter(Position = 0, Mandatory = true)] public string[] Name { get; set; } = [];
    [Parameter(Position = 1, ValueFromPipeline = true)] public object? Value { get; set; }
    [Parameter] public string? Scope { get; set; }
    [Parameter] public ScopedItemOptions Option { get; set; }
    [Parameter] public SwitchParameter Force { get; set; }
    [Parameter] public SwitchParameter PassThru { get; set; }

    protected override void ProcessRecord()
    {
        foreach (string name in Name)
        {
            string full = Scope is null or "0" or "Local" ? name : $"{Scope}:{name}";
            SessionState.PSVariable.Set(full, Value);
            if (PassThru)
                WriteObject(SessionState.PSVariable.Get(full));
        }
    }
}

[Cmdlet(VerbsCommon.Remove, "Variable")]
public sealed class RemoveVariableCommand : PSCmdlet
{
    [Parameter(Position = 0, Mandatory = true)] public string[] Name { get; set; } = [];
    [Parameter] public SwitchParameter Force { get; set; }

    protected override void ProcessRecord()
    {
        foreach (string name in Name)
            SessionState.PSVariable.Remove(name);
    }
}

[Cmdlet(VerbsData.Import, "PowerShellDataFile")]
public sealed class ImportDataFileCommand : PSCmdlet
{
    [Parameter(Position = 0, Mandatory = true), Alias("LiteralPath")] public string[] Path { get; set; } = [];

    protected override void ProcessRecord()
    {
        foreach (string path in Path)
        {
            string full = GetUnresolvedProviderPathFromPSPath(path);
            ScriptBlockAst file = Parser.ParseFile(full, out _, out ParseError[] errors);
            if (errors.Length > 0 || file.Find(a => a is HashtableAst, false) is not HashtableAst table)
                ThrowTerminatingError(new ErrorRecord(new PSInvalidOperationException($"The file '{full}' is not a PowerShell data file."), "CannotParseDataFile", ErrorCategory.InvalidData, full));
            else
                WriteObject(table.SafeGetValue());
        }
    }
}

/// <summary>What Select-String gives.</summary>
public sealed class MatchInfo
{
    public string Line { get; init; } = "";
    public int LineNumber { get; init; }
    public string Path { get; init; } = "InputStream";
    public string Pattern { get; init; } = "";
    public Match[] Matches { get; init; } = [];
    public override string ToString() => Path == "InputStream" ? Line : $"{Path}:{LineNumber}:{Line}";
}

[Cmdlet(VerbsCommon.Select, "String")]
public sealed class SelectStringCommand : PSCmdlet
{
    private int _number;

    [Parameter(Position = 0, Mandatory = true)] public string[] Pattern { get; set; } = [];
    [Parameter(Position = 1)] public string[] Path { get; set; } = [];
    [Parameter(ValueFromPipeline = true)] public PSObject? InputObject { get; set; }
    [Parameter] public SwitchParameter SimpleMatch { get; set; }
    [Parameter] public SwitchParameter CaseSensitive { get; set; }
    [Parameter] public SwitchParameter AllMatches { get; set; }
    [Parameter] public SwitchParameter NotMatch { get; set; }
    [Parameter] public SwitchParameter Quiet { get; set; }
    [Parameter] public SwitchParameter Raw { get; set; }

    protected override void ProcessRecord()
    {
        if (InputObject != null)
            Look(InputObject.ToString(), ++_number, "InputStream");
        foreach (string path in Path)
        {
            foreach (string file in SessionState.Path.GetResolvedProviderPathFromPSPath(path, out _))
            {
                int number = 0;
                foreach (string line in File.ReadLines(file))
                    Look(line, ++number, file);
            }
        }
    }

    private void Look(string line, int number, string path)
    {
        foreach (string pattern in Pattern)
        {
            RegexOptions options = CaseSensitive ? RegexOptions.None : RegexOptions.IgnoreCase;
            MatchCollection matches = Regex.Matches(line, SimpleMatch ? Regex.Escape(pattern) : pattern, options);
            if (matches.Count > 0 == NotMatch)
                continue;
            if (Quiet)
                WriteObject(true);
            else if (Raw)
                WriteObject(line);
            else
                WriteObject(new MatchInfo { Line = line, LineNumber = number, Path = path, Pattern = pattern, Matches = [.. AllMatches ? matches : matches.Take(1)] });
            return;
        }
    }
}

[Cmdlet(VerbsCommunications.Read, "Host")]
public sealed class ReadHostCommand : PSCmdlet
{
    [Parameter(Position = 0)] public string? Prompt { get; set; }
    [Parameter] public SwitchParameter AsSecureString { get; set; }

    protected override void ProcessRecord()
    {
        if (Prompt != null)
            Host.UI.Write(Prompt + ": ");
        WriteObject(AsSecureString ? Host.UI.ReadLineAsSecureString() : Host.UI.ReadLine());
    }
}
