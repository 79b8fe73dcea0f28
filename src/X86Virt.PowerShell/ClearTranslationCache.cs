using System.Management.Automation;
using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>Forgets the translations of a machine.</summary>
/// <remarks>
/// <para>What the guest executes next is translated anew; the guest cannot tell.</para>
/// </remarks>
/// <example>
/// <code>Clear-TranslationCache demo</code>
/// <para>Empties the cache, to see what one phase of a guest needs.</para>
/// </example>
[Cmdlet(VerbsCommon.Clear, "TranslationCache", DefaultParameterSetName = ByName, SupportsShouldProcess = true)]
[OutputType(typeof(void))]
public sealed class ClearTranslationCache : MachineCmdlet
{
    /// <inheritdoc/>
    protected override void Process(VirtualMachine machine)
    {
        if (ShouldProcess(machine.Name))
            machine.ClearTranslationCache();
    }
}
