using System.Management.Automation;

namespace X86Virt.Shell.Commands.Management;

[Cmdlet(VerbsCommon.Join, "Path")]
public sealed class JoinPathCommand : PSCmdlet
{
    [Parameter(Position = 0, Mandatory = true, ValueFromPipeline = true), Alias("PSPath")] public string[] Path { get; set; } = [];
    [Parameter(Position = 1), AllowEmptyString, AllowNull] public string? ChildPath { get; set; }
    [Parameter(Position = 2, ValueFromRemainingArguments = true)] public string[] AdditionalChildPath { get; set; } = [];
    [Parameter] public SwitchParameter Resolve { get; set; }

    protected override void ProcessRecord()
    {
        foreach (string path in Path)
        {
            string joined = path;
            foreach (string? child in (string?[])[ChildPath, .. AdditionalChildPath])
            {
                if (!string.IsNullOrEmpty(child))
                    joined = SessionState.Path.Combine(joined, child);
            }
            if (Resolve)
                WriteObject(SessionState.Path.GetResolvedPSPathFromPSPath(joined).Select(p => p.Path), true);
            else
                WriteObject(joined);
        }
    }
}

[Cmdlet(VerbsCommon.Split, "Path", DefaultParameterSetName = "Parent")]
public sealed class SplitPathCommand : PSCmdlet
{
    [Parameter(Position = 0, Mandatory = true, ValueFromPipeline = true), Alias("PSPath", "LiteralPath")] public string[] Path { get; set; } = [];
    [Parameter(ParameterSetName = "Parent")] public SwitchParameter Parent { get; set; }
    [Parameter(ParameterSetName = "Leaf")] public SwitchParameter Leaf { get; set; }
    [Parameter(ParameterSetName = "LeafBase")] public SwitchParameter LeafBase { get; set; }
    [Parameter(ParameterSetName = "Extension")] public SwitchParameter Extension { get; set; }
    [Parameter(ParameterSetName = "Qualifier")] public SwitchParameter Qualifier { get; set; }
    [Parameter(ParameterSetName = "NoQualifier")] public SwitchParameter NoQualifier { get; set; }
    [Parameter(ParameterSetName = "IsAbsolute")] public SwitchParameter IsAbsolute { get; set; }

    protected override void ProcessRecord()
    {
        foreach (string path in Path)
        {
            int colon = path.IndexOf(':', StringComparison.Ordinal);
            WriteObject(ParameterSetName switch
            {
                "Leaf" => SessionState.Path.ParseChildName(path),
                "LeafBase" => System.IO.Path.GetFileNameWithoutExtension(path),
                "Extension" => System.IO.Path.GetExtension(path),
                "Qualifier" => path[..(colon + 1)],
                "NoQualifier" => path[(colon + 1)..],
                "IsAbsolute" => (object)(colon > 0 || System.IO.Path.IsPathRooted(path)),
                _ => SessionState.Path.ParseParent(path, null),
            });
        }
    }
}

[Cmdlet(VerbsDiagnostic.Test, "Path")]
public sealed class TestPathCommand : PSCmdlet
{
    [Parameter(Position = 0, Mandatory = true, ValueFromPipeline = true), Alias("PSPath", "LiteralPath"), AllowNull, AllowEmptyString]
    public string?[]? Path { get; set; }

    [Parameter, Alias("Type")] public string PathType { get; set; } = "Any";

    protected override void ProcessRecord()
    {
        foreach (string? path in Path ?? [])
            WriteObject(!string.IsNullOrWhiteSpace(path) && Exists(path));
    }

    private bool Exists(string path)
    {
        try
        {
            if (!InvokeProvider.Item.Exists(path))
                return false;
            return PathType.ToUpperInvariant() switch
            {
                "LEAF" => !InvokeProvider.Item.IsContainer(path),
                "CONTAINER" => InvokeProvider.Item.IsContainer(path),
                _ => true,
            };
        }
        catch (Exception e) when (e is System.Management.Automation.DriveNotFoundException or ProviderNotFoundException or ItemNotFoundException)
        {
            return false;
        }
    }
}

[Cmdlet(VerbsDiagnostic.Resolve, "Path")]
public sealed class ResolvePathCommand : PSCmdlet
{
    [Parameter(Position = 0, Mandatory = true, ValueFromPipeline = true), Alias("PSPath", "LiteralPath")] public string[] Path { get; set; } = [];
    [Parameter] public SwitchParameter Relative { get; set; }

    protected override void ProcessRecord()
    {
        foreach (string path in Path)
        {
            try
            {
                foreach (PathInfo resolved in SessionState.Path.GetResolvedPSPathFromPSPath(path))
                    WriteObject(Relative ? SessionState.Path.NormalizeRelativePath(resolved.Path, SessionState.Path.CurrentLocation.Path) : resolved);
            }
            catch (ItemNotFoundException e)
            {
                WriteError(new ErrorRecord(e, "PathNotFound", ErrorCategory.ObjectNotFound, path));
            }
        }
    }
}

[Cmdlet(VerbsData.Convert, "Path")]
public sealed class ConvertPathCommand : PSCmdlet
{
    [Parameter(Position = 0, Mandatory = true, ValueFromPipeline = true), Alias("PSPath", "LiteralPath")] public string[] Path { get; set; } = [];

    protected override void ProcessRecord()
    {
        foreach (string path in Path)
            WriteObject(SessionState.Path.GetResolvedProviderPathFromPSPath(path, out _), true);
    }
}

[Cmdlet(VerbsCommon.Get, "Location")]
public sealed class GetLocationCommand : PSCmdlet
{
    protected override void ProcessRecord() => WriteObject(SessionState.Path.CurrentLocation);
}

[Cmdlet(VerbsCommon.Set, "Location")]
public sealed class SetLocationCommand : PSCmdlet
{
    [Parameter(Position = 0, ValueFromPipeline = true), Alias("PSPath", "LiteralPath")] public string Path { get; set; } = "~";
    [Parameter] public SwitchParameter PassThru { get; set; }

    protected override void ProcessRecord()
    {
        PathInfo location = SessionState.Path.SetLocation(Path);
        if (PassThru)
            WriteObject(location);
    }
}

[Cmdlet(VerbsCommon.Push, "Location")]
public sealed class PushLocationCommand : PSCmdlet
{
    [Parameter(Position = 0), Alias("LiteralPath")] public string? Path { get; set; }

    protected override void ProcessRecord()
    {
        SessionState.Path.PushCurrentLocation("");
        if (Path != null)
            SessionState.Path.SetLocation(Path);
    }
}

[Cmdlet(VerbsCommon.Pop, "Location")]
public sealed class PopLocationCommand : PSCmdlet
{
    protected override void ProcessRecord() => SessionState.Path.PopLocation("");
}
