using System.Management.Automation;
using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>Shows what the binary translator of a machine has done, and how full its cache is.</summary>
/// <remarks>
/// <para>Counts begin when the machine is made or its engine is changed. Dispatches are the times that translated code left to have the next unit found, hits those that found one translated already; callouts the times that it left to have one instruction executed by the interpreter's handler. Chains are direct jumps from unit to unit.</para>
/// </remarks>
/// <example>
/// <code>Get-TranslationCache demo | Format-List</code>
/// <para>Shows every figure.</para>
/// </example>
[Cmdlet(VerbsCommon.Get, "TranslationCache", DefaultParameterSetName = ByName)]
[OutputType(typeof(TranslationCacheInfo))]
public sealed class GetTranslationCache : MachineCmdlet
{
    /// <inheritdoc/>
    protected override void Process(VirtualMachine machine) => WriteObject(machine.ReadTranslationCache());
}
