using System.Management.Automation;
using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>A cmdlet that works on machines, one after the other; what fails for one does not keep it from the next.</summary>
public abstract class MachineCmdletBase : PSCmdlet, IDisposable
{
    private protected const string ByName = "Name";
    private protected const string ByMachine = "VM";

    private readonly CancellationTokenSource _stopping = new();

    /// <summary>Ends when the user stops the pipeline (Ctrl-C). The machines run on.</summary>
    protected CancellationToken StopToken => _stopping.Token;

    /// <summary>The machines that the present input names.</summary>
    private protected abstract IEnumerable<VirtualMachine> Machines { get; }

    /// <summary>Works on one machine. Errors that are the user's to mend become non-terminating error records.</summary>
    protected abstract void Process(VirtualMachine machine);

    /// <inheritdoc/>
    protected override void ProcessRecord()
    {
        foreach (VirtualMachine machine in Machines)
        {
            if (_stopping.IsCancellationRequested)
                return;
            Attempt(machine, () => Process(machine));
        }
    }

    /// <inheritdoc/>
    protected override void StopProcessing() => _stopping.Cancel();

    /// <summary>Has what fails for one target reported, and the next go on.</summary>
    protected void Attempt(object target, Action action)
    {
        try
        {
            action();
        }
        catch (Exception e) when (ErrorRecords.IsExpected(e))
        {
            WriteError(ErrorRecords.From(e, target));
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _stopping.Dispose();
        GC.SuppressFinalize(this);
    }
}
