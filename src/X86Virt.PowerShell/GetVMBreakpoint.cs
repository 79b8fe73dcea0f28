using System.Management.Automation;
using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>Gets the breakpoints of machines.</summary>
/// <example>
/// <code>Set-VMBreakpoint demo 0x7c00; Get-VMBreakpoint demo</code>
/// <para>Sets a breakpoint and lists all.</para>
/// </example>
[Cmdlet(VerbsCommon.Get, "VMBreakpoint", DefaultParameterSetName = ByName)]
[OutputType(typeof(CodeBreakpoint))]
public sealed class GetVMBreakpoint : MachineCmdlet
{
    /// <inheritdoc/>
    protected override void Process(VirtualMachine machine) => WriteObject(machine.ReadBreakpoints(), enumerateCollection: true);
}
