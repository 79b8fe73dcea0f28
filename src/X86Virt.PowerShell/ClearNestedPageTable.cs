using System.Management.Automation;
using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>Empties the nested page tables of machines on HardwareAssist, or clears their D bits, so that Get-NestedPageTable shows what the guest uses from then on.</summary>
/// <remarks>
/// <para>The guest does not notice: what it uses is mapped again, at the cost of an exit for each page.</para>
/// </remarks>
/// <example>
/// <code>Clear-NestedPageTable demo -DirtyBit; Start-Sleep 1; Get-NestedPageTable demo -Dirty</code>
/// <para>Shows what a running guest stores to within a second.</para>
/// </example>
/// <example>
/// <code>Clear-NestedPageTable demo -LargestPage 4KB</code>
/// <para>Has the machine's memory mapped by pages of 4 KiB from now on, which tell exactly what is used.</para>
/// </example>
[Cmdlet(VerbsCommon.Clear, "NestedPageTable", DefaultParameterSetName = ByName, SupportsShouldProcess = true)]
[OutputType(typeof(void))]
public sealed class ClearNestedPageTable : MachineCmdlet
{
    /// <summary>Clear the D bits alone; what is mapped stays so.</summary>
    [Parameter]
    public SwitchParameter DirtyBit { get; set; }

    /// <summary>The largest pages to map from now on: 4KB, 2MB or 1GB. What processors of the machine's generation do not have is not used.</summary>
    [Parameter]
    [ValidateSet("4KB", "2MB", "1GB")]
    public string? LargestPage { get; set; }

    /// <inheritdoc/>
    protected override void Process(VirtualMachine machine)
    {
        if (DirtyBit && LargestPage != null)
            throw new MachineException("AmbiguousClear", "-DirtyBit keeps pages as they are mapped, -LargestPage has them mapped anew. Give one of them.");
        if (!ShouldProcess(machine.Name))
            return;
        if (DirtyBit)
            machine.ClearNestedDirty();
        else
            machine.ClearNestedPages(LargestPage switch { "4KB" => 4UL << 10, "2MB" => 2UL << 20, "1GB" => 1UL << 30, _ => null });
    }
}
