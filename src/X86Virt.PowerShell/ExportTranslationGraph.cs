using System.Management.Automation;
using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>Draws the translation units of a region of guest code and how they lead to each other.</summary>
/// <remarks>
/// <para>As SVG, or in the DOT language for Graphviz, by the file's extension. A solid arrow is a chained jump, a bold one a fall-through, a dashed one a continuation that was not taken yet, a dotted one a look-up.</para>
/// </remarks>
/// <example>
/// <code>Export-TranslationGraph demo -Path graph.svg -Address 0x100000 -Length 0x1000</code>
/// <para>Draws the units of one page.</para>
/// </example>
[Cmdlet(VerbsData.Export, "TranslationGraph", DefaultParameterSetName = ByName, SupportsShouldProcess = true)]
[OutputType(typeof(FileInfo))]
public sealed class ExportTranslationGraph : MachineCmdlet
{
    /// <summary>The file to write: .svg, or .dot or .gv.</summary>
    [Parameter(Mandatory = true, Position = 1)]
    [ValidateNotNullOrEmpty]
    public string Path { get; set; } = "";

    /// <summary>Linear address of the region.</summary>
    [Parameter]
    [AddressTransformation]
    public ulong Address { get; set; }

    /// <summary>Bytes of the region; to the end of the address space unless given.</summary>
    [Parameter]
    [SizeTransformation]
    public ulong Length { get; set; } = ulong.MaxValue;

    /// <inheritdoc/>
    protected override void Process(VirtualMachine machine)
    {
        string path = SessionState.Path.GetUnresolvedProviderPathFromPSPath(Path);
        string extension = System.IO.Path.GetExtension(path).ToLowerInvariant();
        if (extension is not (".svg" or ".dot" or ".gv"))
            throw new MachineException("UnknownGraphFormat", $"'{Path}' names no format that a graph can be written in. Give the file the extension .svg, .dot or .gv.");
        var graph = new TranslationGraph([.. machine.ReadTranslationUnits().Where(u => u.Address - Address < Length)]);
        if (graph.Units.Count > TranslationGraph.MostUnits)
            throw new MachineException("GraphTooLarge", $"The region has {graph.Units.Count} units; a graph of more than {TranslationGraph.MostUnits} cannot be read. Choose a smaller one with -Address and -Length.");
        if (!ShouldProcess(path))
            return;
        try
        {
            File.WriteAllText(path, extension == ".svg" ? graph.ToSvg() : graph.ToDot());
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new MachineException("FileNotWritten", $"{path}: the file cannot be written ({e.Message}). Check the path and its permissions.");
        }
        WriteObject(new FileInfo(path));
    }
}
