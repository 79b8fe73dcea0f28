using System.Management.Automation;
using System.Reflection;
using System.Text;
using Microsoft.PowerShell.Commands.Internal.Format;

namespace X86Virt.Shell.Commands.Utility;

/// <summary>
/// The engine's own formatter, which has everything but the cmdlets in front of it: they are base classes whose inner implementation
/// a field that is not public names.
/// </summary>
internal static class Formatter
{
    private const BindingFlags Any = BindingFlags.Instance | BindingFlags.NonPublic | BindingFlags.Public;

    private static readonly Assembly Engine = typeof(PSObject).Assembly;

    public static void UseShape(FrontEndCommandBase command, string shape)
    {
        Type shapes = Engine.GetType("Microsoft.PowerShell.Commands.Internal.Format.FormatShape", true)!;
        Set(command, Create("InnerFormatShapeCommand", Enum.Parse(shapes, shape)));
    }

    public static void UseWriter(FrontEndCommandBase command, TextWriter writer, int width)
    {
        object output = Create("OutputManagerInner");
        object line = Create("TextWriterLineOutput", writer, width);
        output.GetType().GetProperty("LineOutput", Any)!.SetValue(output, line);
        Set(command, output);
    }

    private static void Set(FrontEndCommandBase command, object implementation)
        => typeof(FrontEndCommandBase).GetField("implementation", Any)!.SetValue(command, implementation);

    private static object Create(string type, params object[] arguments)
        => Activator.CreateInstance(Engine.GetType("Microsoft.PowerShell.Commands.Internal.Format." + type, true)!, Any, null, arguments, null)!;
}

[Cmdlet(VerbsCommon.Format, "Table")]
public sealed class FormatTableCommand : OuterFormatTableBase
{
    public FormatTableCommand() => Formatter.UseShape(this, "Table");
}

[Cmdlet(VerbsCommon.Format, "List")]
public sealed class FormatListCommand : OuterFormatTableAndListBase
{
    public FormatListCommand() => Formatter.UseShape(this, "List");
}

[Cmdlet(VerbsData.Out, "String")]
public sealed class OutStringCommand : FrontEndCommandBase
{
    private readonly StringWriter _text = new();

    [Parameter] public SwitchParameter Stream { get; set; }
    [Parameter, ValidateRange(2, int.MaxValue)] public int Width { get; set; }
    [Parameter] public SwitchParameter NoNewline { get; set; }

    protected override void BeginProcessing()
    {
        Formatter.UseWriter(this, _text, Width > 0 ? Width : Host.UI.RawUI.BufferSize.Width);
        base.BeginProcessing();
    }

    protected override void EndProcessing()
    {
        base.EndProcessing();
        string text = _text.ToString();
        if (Stream)
            WriteObject(text.TrimEnd('\n').Split('\n').Select(l => l.TrimEnd('\r')), true);
        else
            WriteObject(NoNewline ? text.ReplaceLineEndings("") : text);
    }
}

[Cmdlet(VerbsData.Out, "File", SupportsShouldProcess = true)]
public sealed class OutFileCommand : FrontEndCommandBase
{
    private StreamWriter? _writer;

    [Parameter(Position = 0, Mandatory = true), Alias("Path", "LiteralPath", "PSPath")] public string FilePath { get; set; } = "";
    [Parameter(Position = 1)] public string Encoding { get; set; } = "utf8";
    [Parameter] public SwitchParameter Append { get; set; }
    [Parameter] public SwitchParameter Force { get; set; }
    [Parameter] public SwitchParameter NoClobber { get; set; }
    [Parameter] public SwitchParameter NoNewline { get; set; }
    [Parameter] public int Width { get; set; } = int.MaxValue;

    protected override void BeginProcessing()
    {
        string path = GetUnresolvedProviderPathFromPSPath(FilePath);
        if (NoClobber && File.Exists(path))
            ThrowTerminatingError(new ErrorRecord(new IOException($"The file '{path}' already exists."), "NoClobber", ErrorCategory.ResourceExists, path));
        if (ShouldProcess(path))
        {
            _writer = new StreamWriter(path, Append, new UTF8Encoding(false));
            if (NoNewline)
                _writer.NewLine = "";
            Formatter.UseWriter(this, _writer, Width);
        }
        else
        {
            Formatter.UseWriter(this, TextWriter.Null, Width);
        }
        base.BeginProcessing();
    }

    protected override void EndProcessing()
    {
        base.EndProcessing();
        _writer?.Dispose();
    }
}
