using System.Management.Automation;

namespace X86Virt.Shell.Commands.Management;

/// <summary>Cmdlets on items that are there: a path, with wildcards or taken as it is.</summary>
public abstract class ItemCommand : PSCmdlet
{
    [Parameter(Position = 0, ValueFromPipeline = true, ValueFromPipelineByPropertyName = true)] public string[] Path { get; set; } = [];
    [Parameter(ValueFromPipelineByPropertyName = true), Alias("PSPath")] public string[] LiteralPath { get; set; } = [];
    [Parameter] public SwitchParameter Force { get; set; }

    protected bool IsLiteral => LiteralPath.Length > 0;
    protected string[] Paths => IsLiteral ? LiteralPath : Path;

    /// <summary>Runs for each path; what is not found is an error that does not end the pipeline.</summary>
    protected void ForEach(Action<string> action)
    {
        foreach (string path in Paths)
        {
            try
            {
                action(path);
            }
            catch (RuntimeException e) when (e is ItemNotFoundException or System.Management.Automation.DriveNotFoundException)
            {
                WriteError(new ErrorRecord(e.ErrorRecord, e));
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                WriteError(new ErrorRecord(e, GetType().Name, ErrorCategory.WriteError, path));
            }
        }
    }
}

[Cmdlet(VerbsCommon.Get, "Item")]
public sealed class GetItemCommand : ItemCommand
{
    protected override void ProcessRecord() => ForEach(path => WriteObject(InvokeProvider.Item.Get([path], Force, IsLiteral), true));
}

[Cmdlet(VerbsCommon.Get, "ChildItem")]
public sealed class GetChildItemCommand : ItemCommand
{
    [Parameter(Position = 1)] public string? Filter { get; set; }
    [Parameter] public string[] Include { get; set; } = [];
    [Parameter] public string[] Exclude { get; set; } = [];
    [Parameter, Alias("s", "r")] public SwitchParameter Recurse { get; set; }
    [Parameter] public uint Depth { get; set; } = uint.MaxValue;
    [Parameter, Alias("ad")] public SwitchParameter Directory { get; set; }
    [Parameter, Alias("af")] public SwitchParameter File { get; set; }
    [Parameter] public SwitchParameter Name { get; set; }
    [Parameter] public SwitchParameter Hidden { get; set; }

    protected override void ProcessRecord()
    {
        if (Paths.Length == 0)
            Path = ["."];
        bool recurse = Recurse || Depth != uint.MaxValue;
        ForEach(path =>
        {
            foreach (PSObject item in InvokeProvider.ChildItem.Get([path], recurse, Depth, Force || Hidden, IsLiteral))
            {
                string name = item.Properties["PSChildName"]?.Value?.ToString() ?? "";
                bool container = item.Properties["PSIsContainer"]?.Value is true;
                if ((Directory && !container) || (File && container) || !IsWanted(name))
                    continue;
                WriteObject(Name ? name : item);
            }
        });
    }

    private bool IsWanted(string name)
    {
        static bool Matches(string pattern, string name) => WildcardPattern.Get(pattern, WildcardOptions.IgnoreCase).IsMatch(name);
        return (string.IsNullOrEmpty(Filter) || Matches(Filter, name))
            && (Include.Length == 0 || Include.Any(i => Matches(i, name))) && !Exclude.Any(e => Matches(e, name));
    }
}

[Cmdlet(VerbsCommon.New, "Item", SupportsShouldProcess = true)]
public sealed class NewItemCommand : PSCmdlet
{
    [Parameter(Position = 0, ValueFromPipelineByPropertyName = true)] public string[] Path { get; set; } = ["."];
    [Parameter(ValueFromPipelineByPropertyName = true)] public string? Name { get; set; }
    [Parameter, Alias("Type")] public string? ItemType { get; set; }
    [Parameter(ValueFromPipeline = true), Alias("Target")] public object? Value { get; set; }
    [Parameter] public SwitchParameter Force { get; set; }

    protected override void ProcessRecord()
    {
        foreach (string path in Path)
        {
            string target = Name == null ? path : SessionState.Path.Combine(path, Name);
            if (!ShouldProcess(target))
                continue;
            try
            {
                WriteObject(InvokeProvider.Item.New([path], Name, ItemType ?? "File", Value, Force), true);
            }
            catch (IOException e)
            {
                WriteError(new ErrorRecord(e, "NewItemIOError", ErrorCategory.WriteError, target));
            }
        }
    }
}

[Cmdlet(VerbsCommon.Remove, "Item", SupportsShouldProcess = true)]
public sealed class RemoveItemCommand : ItemCommand
{
    [Parameter] public SwitchParameter Recurse { get; set; }

    protected override void ProcessRecord() => ForEach(path =>
    {
        if (!ShouldProcess(path))
            return;
        if (!InvokeProvider.Item.Exists(path, Force, IsLiteral))
        {
            if (IsLiteral || !WildcardPattern.ContainsWildcardCharacters(path))
                throw new ItemNotFoundException($"Cannot find path '{path}' because it does not exist.");
            return;
        }
        InvokeProvider.Item.Remove([path], Recurse, Force, IsLiteral);
    });
}

[Cmdlet(VerbsCommon.Copy, "Item", SupportsShouldProcess = true)]
public sealed class CopyItemCommand : ItemCommand
{
    [Parameter(Position = 1, Mandatory = true)] public string Destination { get; set; } = "";
    [Parameter] public SwitchParameter Recurse { get; set; }
    [Parameter] public SwitchParameter PassThru { get; set; }

    protected override void ProcessRecord() => ForEach(path =>
    {
        if (!ShouldProcess($"{path} to {Destination}"))
            return;
        var copies = InvokeProvider.Item.Copy([path], Destination, Recurse, CopyContainers.CopyTargetContainer, Force, IsLiteral);
        if (PassThru)
            WriteObject(copies, true);
    });
}

[Cmdlet(VerbsCommon.Move, "Item", SupportsShouldProcess = true)]
public sealed class MoveItemCommand : ItemCommand
{
    [Parameter(Position = 1, Mandatory = true)] public string Destination { get; set; } = "";

    protected override void ProcessRecord() => ForEach(path =>
    {
        if (ShouldProcess($"{path} to {Destination}"))
            InvokeProvider.Item.Move([path], Destination, Force, IsLiteral);
    });
}
