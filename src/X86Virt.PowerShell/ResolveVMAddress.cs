using System.Management.Automation;
using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>Translates linear addresses through a guest's page tables, level by level.</summary>
/// <remarks>
/// <para>Writes an object for each level of the page walk, from the root. The last one of an address that is mapped has its guest-physical address, the size of the page and what may be done there; that of an address that is not mapped has the problem. Where paging is off there is one object, of level 0.</para>
/// <para>What the machine's monitor keeps for the guest is beside each level: Shadow is the slot that stands for the entry, with -Paging Shadow; EntryWalk and PageWalk are the walks of nested tables that the entry's address and the page's take, with -Paging Nested. References are the entries that a walk without caches reads: 24 in all for four levels over four. Format-Table -View SideBySide shows these.</para>
/// </remarks>
/// <example>
/// <code>Resolve-VMAddress demo -Address 0x7c00</code>
/// <para>Shows the walk for an address.</para>
/// </example>
/// <example>
/// <code>(Resolve-VMAddress demo (Get-VMRegister demo RIP))[-1].PhysicalAddress</code>
/// <para>Gets the guest-physical address of the address in a register.</para>
/// </example>
/// <example>
/// <code>Resolve-VMAddress demo (Get-VMRegister demo RIP) | Format-Table -View SideBySide</code>
/// <para>Shows the guest's walk, the shadow and the nested walk side by side.</para>
/// </example>
[Cmdlet(VerbsDiagnostic.Resolve, "VMAddress", DefaultParameterSetName = ByName)]
[OutputType(typeof(PageWalkLevel))]
public sealed class ResolveVMAddress : MachineCmdlet
{
    /// <summary>Linear addresses: numbers, hexadecimal strings, or objects that have one: registers, instructions, breakpoints.</summary>
    [Parameter(Mandatory = true, Position = 1)]
    [AddressTransformation]
    public ulong[] Address { get; set; } = [];

    /// <inheritdoc/>
    protected override void Process(VirtualMachine machine)
    {
        foreach (ulong address in Address)
            Attempt(machine, () => WriteObject(machine.ResolveAddress(address), enumerateCollection: true));
    }
}
