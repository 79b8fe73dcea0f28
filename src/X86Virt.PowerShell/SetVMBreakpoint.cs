using System.Management.Automation;
using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>Sets breakpoints: a machine is suspended before it executes the instruction there.</summary>
/// <remarks>
/// <para>The guest cannot see them; its own debug registers stay free. While a machine has breakpoints it runs instruction by instruction and so more slowly.</para>
/// </remarks>
/// <example>
/// <code>Set-VMBreakpoint demo -Address (Get-VMRegister demo RIP)</code>
/// <para>Has a machine suspended when it comes by the same place again.</para>
/// </example>
[Cmdlet(VerbsCommon.Set, "VMBreakpoint", DefaultParameterSetName = ByName, SupportsShouldProcess = true)]
[OutputType(typeof(VirtualMachine))]
public sealed class SetVMBreakpoint : MachineActionCmdlet
{
    /// <summary>Linear addresses: numbers, hexadecimal strings, or objects that have one: registers, instructions, breakpoints.</summary>
    [Parameter(Mandatory = true, Position = 1)]
    [AddressTransformation]
    public ulong[] Address { get; set; } = [];

    /// <inheritdoc/>
    protected override void Act(VirtualMachine machine)
    {
        foreach (ulong address in Address)
            machine.AddBreakpoint(address);
    }
}
