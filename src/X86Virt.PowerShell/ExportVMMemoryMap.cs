using System.Globalization;
using System.Management.Automation;
using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>Draws the physical address space of a machine: what is RAM, ROM or device, and what the monitor knows of each page.</summary>
/// <remarks>
/// <para>With nested paging (-Engine HardwareAssist) RAM is coloured by the size of the pages that map it, dark where the guest has stored to them, light where it has not; the rest was not touched. On every other machine it is told which RAM holds data, code that was executed, and page tables that have a shadow (-Paging Shadow).</para>
/// <para>The file is SVG; a browser shows the addresses under the pointer. A running machine is held while it is looked at.</para>
/// </remarks>
/// <example>
/// <code>Export-VMMemoryMap demo -Path map.svg</code>
/// <para>Draws the map of a machine.</para>
/// </example>
[Cmdlet(VerbsData.Export, "VMMemoryMap", DefaultParameterSetName = ByName, SupportsShouldProcess = true)]
[OutputType(typeof(FileInfo))]
public sealed class ExportVMMemoryMap : MachineCmdlet
{
    /// <summary>The file to write, *.svg.</summary>
    [Parameter(Mandatory = true, Position = 1)]
    [ValidateNotNullOrEmpty]
    public string Path { get; set; } = "";

    /// <inheritdoc/>
    protected override void Process(VirtualMachine machine)
    {
        string path = SessionState.Path.GetUnresolvedProviderPathFromPSPath(Path);
        if (!string.Equals(System.IO.Path.GetExtension(path), ".svg", StringComparison.OrdinalIgnoreCase))
            throw new MachineException("UnknownMapFormat", $"'{Path}' names no format that a memory map can be written in. Give the file the extension .svg.");
        if (!ShouldProcess(path))
            return;
        string title = string.Create(CultureInfo.InvariantCulture, $"{machine.Name}: physical memory after {machine.InstructionsRetired:n0} instructions");
        try
        {
            File.WriteAllText(path, new MemoryMapDrawing(title, machine.ReadMemoryMap()).ToSvg());
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new MachineException("FileNotWritten", $"{path}: the file cannot be written ({e.Message}). Check the path and its permissions.");
        }
        WriteObject(new FileInfo(path));
    }
}
