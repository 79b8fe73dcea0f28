using System.Management.Automation;
using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>Shows what machines' TLBs hold, what became of misses, and how often they were flushed.</summary>
/// <remarks>
/// <para>A machine has one TLB; with -Feature Svm another for a hypervisor's guest. With HardwareAssist the guest runs in the silicon's, and so does a guest of its own; the monitor has one of its own for instructions that it emulates.</para>
/// <para>Counts begin when the machine is made or its engine is changed. Lookups that hit are not counted, so that they cost nothing. The page-walk cache and the entries for large pages are counted, not used: the guest cannot tell, walks read every entry, and the TLB holds pieces of 4 KiB.</para>
/// </remarks>
/// <example>
/// <code>Get-VMTlb demo | Format-List</code>
/// <para>Shows every figure.</para>
/// </example>
/// <example>
/// <code>Get-VMTlb demo | Select-Object Tlb, Walks, @{ Name = 'ReferencesPerWalk'; Expression = { $_.References / [Math]::Max($_.Walks, 1) } }</code>
/// <para>Shows how many entries a walk reads.</para>
/// </example>
[Cmdlet(VerbsCommon.Get, "VMTlb", DefaultParameterSetName = ByName)]
[OutputType(typeof(TlbStatistics))]
public sealed class GetVMTlb : MachineCmdlet
{
    /// <inheritdoc/>
    protected override void Process(VirtualMachine machine) => WriteObject(machine.ReadTlbs(), enumerateCollection: true);
}
