using System.Management.Automation;
using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>Shows what the nested page tables of a machine on HardwareAssist map: from guest-physical to host-physical addresses.</summary>
/// <remarks>
/// <para>The monitor maps memory when the guest first uses it, by the largest pages that fit. Pages that are alike and follow each other in both address spaces are one object.</para>
/// <para>The D bit of a page tells that the guest has stored to it. What the monitor stores, for an instruction that it emulates or for a device, sets none.</para>
/// </remarks>
/// <example>
/// <code>Get-NestedPageTable demo</code>
/// <para>Shows all that is mapped.</para>
/// </example>
/// <example>
/// <code>Clear-NestedPageTable demo -LargestPage 4KB; Step-VM demo -Count 1000000; Get-NestedPageTable demo -Dirty</code>
/// <para>Shows which 4 KiB pages the next million instructions store to.</para>
/// </example>
[Cmdlet(VerbsCommon.Get, "NestedPageTable", DefaultParameterSetName = ByName)]
[OutputType(typeof(NestedRegion))]
public sealed class GetNestedPageTable : MachineCmdlet
{
    /// <summary>Only the pages of these guest-physical addresses, each by itself.</summary>
    [Parameter(Position = 1)]
    [AddressTransformation]
    public ulong[] Address { get; set; } = [];

    /// <summary>Only pages that the guest has stored to since their D bits were cleared.</summary>
    [Parameter]
    public SwitchParameter Dirty { get; set; }

    /// <inheritdoc/>
    protected override void Process(VirtualMachine machine)
    {
        if (Address.Length == 0)
        {
            WriteObject(machine.ReadNestedPages().Where(IsWanted), enumerateCollection: true);
            return;
        }
        foreach (ulong address in Address)
            Attempt(machine, () => WriteObject(new[] { machine.ReadNestedPage(address) }.Where(IsWanted), enumerateCollection: true));
    }

    private bool IsWanted(NestedRegion region) => !Dirty || region.Dirty;
}
