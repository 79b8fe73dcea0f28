using System.Management.Automation;
using X86Virt.Engine;
using X86Virt.Reports;

namespace X86Virt.PowerShell;

/// <summary>Writes measurements to an HTML page with charts.</summary>
/// <remarks>
/// <para>One file that needs no other: charts as SVG, tables, the machine that measured, and the command lines that measure it again. Nanobenchmarks become bars on a logarithmic scale, comparisons of engines bars of host time and of causes of overhead, exits bars of the most frequent. Text that comes from a guest is escaped.</para>
/// <para>The charts are lettered in a font of this machine, so there must be one.</para>
/// </remarks>
/// <example>
/// <code>Invoke-VMNanobenchmark -Engine BinaryTranslation -Operation syscall, in -Iterations 1000 | Export-VMReport -Path report.html</code>
/// <para>Measures two operations and writes a page about them.</para>
/// </example>
/// <example>
/// <code>$results = @(Compare-VMEngine -VM (Get-VirtualMachine demo) -Engine DecodedCache, BinaryTranslation -Until 'ready'; Measure-VmExit demo); $results | Export-VMReport -Path report.html -Png</code>
/// <para>Puts results of different kinds on one page, and each chart into a picture besides: report-1.png, report-2.png …</para>
/// </example>
[Cmdlet(VerbsData.Export, "VMReport", SupportsShouldProcess = true)]
[OutputType(typeof(FileInfo))]
public sealed class ExportVMReport : ReportCmdlet
{
    /// <summary>The file to write.</summary>
    [Parameter(Mandatory = true, Position = 0)]
    [ValidateNotNullOrEmpty]
    public string Path { get; set; } = "";

    /// <summary>Write each chart as a PNG picture, too: next to the page, numbered.</summary>
    [Parameter]
    public SwitchParameter Png { get; set; }

    /// <inheritdoc/>
    private protected override void Write(Report report)
    {
        string path = SessionState.Path.GetUnresolvedProviderPathFromPSPath(Path);
        if (!ShouldProcess(path))
            return;
        try
        {
            WriteFile(path, file => File.WriteAllText(file, HtmlReport.Of(report)));
            int number = 0;
            foreach (Chart chart in Png ? report.Charts : [])
                WriteFile($"{System.IO.Path.ChangeExtension(path, null)}-{++number}.png", file => File.WriteAllBytes(file, ChartRenderer.ToPng(chart)));
        }
        catch (InvalidOperationException e)
        {
            throw new MachineException("ChartNotDrawn", e.Message);
        }
        catch (Exception e) when (e is DllNotFoundException or TypeInitializationException { InnerException: DllNotFoundException })
        {
            throw new MachineException("ChartNotDrawn", $"The library that draws charts has no native part for this operating system and processor ({e.GetBaseException().Message}). Use Show-VMReport.");
        }
    }

    private void WriteFile(string path, Action<string> write)
    {
        try
        {
            write(path);
            WriteObject(new FileInfo(path));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new MachineException("FileNotWritten", $"{path}: the file cannot be written ({e.Message}). Check the path and its permissions.");
        }
    }
}
