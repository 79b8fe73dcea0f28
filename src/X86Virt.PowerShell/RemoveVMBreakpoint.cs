using System.Management.Automation;
using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>Removes breakpoints of machines.</summary>
/// <example>
/// <code>Set-VMBreakpoint demo 0x7c00, 0x7c10; Remove-VMBreakpoint demo -Address 0x7c10; Remove-VMBreakpoint demo</code>
/// <para>Removes one breakpoint, then those that are left.</para>
/// </example>
[Cmdlet(VerbsCommon.Remove, "VMBreakpoint", DefaultParameterSetName = ByName, SupportsShouldProcess = true)]
[OutputType(typeof(VirtualMachine))]
public sealed class RemoveVMBreakpoint : MachineActionCmdlet
{
    /// <summary>Linear addresses. Without it, all breakpoints of the machine.</summary>
    [Parameter(Position = 1)]
    [AddressTransformation]
    public ulong[]? Address { get; set; }

    /// <inheritdoc/>
    protected override void Act(VirtualMachine machine)
    {
        foreach (ulong address in Address ?? machine.ReadBreakpoints().Select(b => b.Address))
        {
            if (!machine.RemoveBreakpoint(address))
                WriteError(ErrorRecords.From(new MachineException("BreakpointNotFound", $"Machine '{machine.Name}' has no breakpoint at 0x{address:x}. Get-VMBreakpoint lists those it has."), machine));
        }
    }
}
