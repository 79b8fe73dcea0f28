using System.Management.Automation;
using X86Virt.Engine;
using X86Virt.Engine.Boot;

namespace X86Virt.PowerShell;

/// <summary>Exceptions of the engine as error records with stable identifiers.</summary>
internal static class ErrorRecords
{
    /// <summary>Whether an exception tells of something the user can mend; others are defects and end the pipeline.</summary>
    public static bool IsExpected(Exception e) => e is MachineException or BootException or ObjectDisposedException;

    public static ErrorRecord From(Exception e, object? target) => e switch
    {
        MachineException m => new ErrorRecord(e, m.ErrorId, CategoryOf(m.ErrorId), target),
        BootException b => new ErrorRecord(e, $"Image{b.Failure}", b.Failure == BootFailure.Unreadable ? ErrorCategory.OpenError : ErrorCategory.InvalidData, b.File),
        ObjectDisposedException => MachineRemoved(target),
        _ => new ErrorRecord(e, e.GetType().Name, ErrorCategory.NotSpecified, target),
    };

    public static ErrorRecord MachineNotFound(string name)
        => new(new ItemNotFoundException($"There is no machine '{name}'. Get-VirtualMachine lists those there are; New-VirtualMachine makes one."),
            "MachineNotFound", ErrorCategory.ObjectNotFound, name);

    private static ErrorRecord MachineRemoved(object? target)
        => new(new ItemNotFoundException($"Machine '{target}' was removed. New-VirtualMachine makes another."), "MachineNotFound", ErrorCategory.ObjectNotFound, target);

    private static ErrorCategory CategoryOf(string errorId)
        => errorId.EndsWith("NotFound", StringComparison.Ordinal) ? ErrorCategory.ObjectNotFound
            : errorId.EndsWith("Exists", StringComparison.Ordinal) ? ErrorCategory.ResourceExists
            : errorId.EndsWith("Timeout", StringComparison.Ordinal) ? ErrorCategory.OperationTimeout
            : errorId is "WrongMachineState" or "MachineStopped" ? ErrorCategory.InvalidOperation
            : ErrorCategory.InvalidArgument;
}
