using System.Management.Automation;
using X86Virt.Engine;
using X86Virt.Reports;

namespace X86Virt.PowerShell;

/// <summary>A cmdlet that makes a report of the results in its pipeline.</summary>
public abstract class ReportCmdlet : PSCmdlet
{
    private readonly ReportBuilder _builder = new();

    /// <summary>Results of Invoke-VMNanobenchmark, Compare-VMEngine and Measure-VmExit, mixed as they come. Other objects become tables of their properties.</summary>
    [Parameter(Mandatory = true, ValueFromPipeline = true)]
    [ValidateNotNull]
    public PSObject[] InputObject { get; set; } = [];

    /// <summary>The report's title.</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    public string Title { get; set; } = "X86Virt measurements";

    /// <inheritdoc/>
    protected override void ProcessRecord()
    {
        foreach (PSObject result in InputObject)
            _builder.Add(result);
    }

    /// <inheritdoc/>
    protected override void EndProcessing()
    {
        try
        {
            if (_builder.IsEmpty)
                throw new MachineException("NothingToReport", "There are no results to report. Pipe those of Invoke-VMNanobenchmark, Compare-VMEngine or Measure-VmExit here.");
            Write(_builder.Build(Title));
        }
        catch (Exception e) when (ErrorRecords.IsExpected(e))
        {
            WriteError(ErrorRecords.From(e, Title));
        }
    }

    /// <summary>Writes or shows the report.</summary>
    private protected abstract void Write(Report report);
}
