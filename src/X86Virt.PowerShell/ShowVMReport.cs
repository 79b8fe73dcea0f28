using System.Management.Automation;
using System.Management.Automation.Host;
using X86Virt.Reports;

namespace X86Virt.PowerShell;

/// <summary>Shows measurements as bar charts of text.</summary>
/// <remarks>
/// <para>The charts are those of Export-VMReport, in lines of text that any terminal can show. Bars of nanobenchmarks and exits are logarithmic.</para>
/// </remarks>
/// <example>
/// <code>Measure-VmExit demo | Show-VMReport</code>
/// <para>Shows what a machine exits for most.</para>
/// </example>
[Cmdlet(VerbsCommon.Show, "VMReport")]
[OutputType(typeof(string))]
public sealed class ShowVMReport : ReportCmdlet
{
    private const int DefaultWidth = 100;

    /// <summary>Characters in a line; as many as the window has unless given.</summary>
    [Parameter]
    [ValidateRange(40, 1000)]
    public int Width { get; set; }

    /// <inheritdoc/>
    private protected override void Write(Report report)
    {
        int width = Width > 0 ? Width : WindowWidth();
        foreach (Chart chart in report.Charts)
        {
            foreach (string line in TextChart.Lines(chart, width))
                WriteObject(line);
            WriteObject("");
        }
    }

    /// <summary>A host without a window says so by an exception or by 0.</summary>
    private int WindowWidth()
    {
        try
        {
            int width = Host.UI?.RawUI?.WindowSize.Width ?? 0;
            return width >= 40 ? width - 1 : DefaultWidth;
        }
        catch (Exception e) when (e is HostException or NotImplementedException or InvalidOperationException or IOException)
        {
            return DefaultWidth;
        }
    }
}
