using System.Collections;
using System.Management.Automation;
using System.Text;

namespace X86Virt.Shell.Commands.Management;

[Cmdlet(VerbsCommon.Get, "Content")]
public sealed class GetContentCommand : ItemCommand
{
    [Parameter] public SwitchParameter Raw { get; set; }
    [Parameter] public SwitchParameter AsByteStream { get; set; }
    [Parameter, Alias("First", "Head")] public long TotalCount { get; set; } = -1;
    [Parameter, Alias("Last")] public int Tail { get; set; } = -1;
    [Parameter] public string Encoding { get; set; } = "utf8";

    protected override void ProcessRecord() => ForEach(path =>
    {
        foreach (PathInfo resolved in IsLiteral ? [] : SessionState.Path.GetResolvedPSPathFromPSPath(path))
        {
            if (resolved.Provider.Name != "FileSystem")
                ReadItem(resolved.Path);
            else
                ReadFile(resolved.ProviderPath);
        }
        if (IsLiteral)
            ReadFile(GetUnresolvedProviderPathFromPSPath(path));
    });

    private void ReadItem(string path)
    {
        foreach (System.Management.Automation.Provider.IContentReader reader in InvokeProvider.Content.GetReader(path))
        {
            using (reader)
            {
                foreach (object item in reader.Read(-1))
                    WriteObject(item);
            }
        }
    }

    private void ReadFile(string file)
    {
        if (!File.Exists(file))
            throw new ItemNotFoundException($"Cannot find path '{file}' because it does not exist.");
        if (AsByteStream)
        {
            byte[] bytes = File.ReadAllBytes(file);
            WriteObject(Raw ? bytes : bytes.Cast<object>(), !Raw);
            return;
        }
        if (Raw)
        {
            WriteObject(File.ReadAllText(file));
            return;
        }
        IEnumerable<string> lines = File.ReadLines(file);
        if (TotalCount >= 0)
            lines = lines.Take((int)TotalCount);
        if (Tail >= 0)
            lines = lines.TakeLast(Tail);
        foreach (string line in lines)
            WriteObject(line);
    }
}

/// <summary>Writes lines or bytes to files.</summary>
public abstract class WriteContentCommand : PSCmdlet
{
    private readonly List<object?> _values = [];

    [Parameter(Position = 0, Mandatory = true, ValueFromPipelineByPropertyName = true), Alias("LiteralPath", "PSPath")] public string[] Path { get; set; } = [];
    [Parameter(Position = 1, Mandatory = true, ValueFromPipeline = true), AllowNull, AllowEmptyCollection] public object?[]? Value { get; set; }
    [Parameter] public SwitchParameter NoNewline { get; set; }
    [Parameter] public SwitchParameter AsByteStream { get; set; }
    [Parameter] public SwitchParameter Force { get; set; }
    [Parameter] public string Encoding { get; set; } = "utf8";

    protected abstract bool Appends { get; }

    protected override void ProcessRecord() => _values.AddRange(Value ?? []);

    protected override void EndProcessing()
    {
        foreach (string path in Path)
        {
            string file = GetUnresolvedProviderPathFromPSPath(path);
            if (!ShouldProcess(file))
                continue;
            using FileStream stream = new(file, Appends ? FileMode.Append : FileMode.Create);
            if (AsByteStream)
            {
                stream.Write([.. _values.SelectMany(v => v is IEnumerable items ? items.Cast<object>() : [v!]).Select(v => LanguagePrimitives.ConvertTo<byte>(v))]);
                continue;
            }
            using var writer = new StreamWriter(stream, new UTF8Encoding(false));
            foreach (object? value in _values)
                writer.Write(LanguagePrimitives.ConvertTo<string>(value) + (NoNewline ? "" : Environment.NewLine));
        }
    }
}

[Cmdlet(VerbsCommon.Set, "Content", SupportsShouldProcess = true)]
public sealed class SetContentCommand : WriteContentCommand
{
    protected override bool Appends => false;
}

[Cmdlet(VerbsCommon.Add, "Content", SupportsShouldProcess = true)]
public sealed class AddContentCommand : WriteContentCommand
{
    protected override bool Appends => true;
}
