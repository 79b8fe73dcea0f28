using System.Management.Automation;
using X86Virt.Engine.Costs;

namespace X86Virt.PowerShell;

/// <summary>Lists the cost profiles: what events cost on a processor, bare and under virtualization, and where each figure is from.</summary>
/// <example>
/// <code>(Get-VMCostProfile Pentium4-672).Constants | Format-Table Name, Cycles, Unit, Basis, Source</code>
/// <para>Shows every constant of a profile and its source.</para>
/// </example>
[Cmdlet(VerbsCommon.Get, "VMCostProfile")]
[OutputType(typeof(CostProfile))]
public sealed class GetVMCostProfile : PSCmdlet
{
    /// <summary>The profiles, by name; all unless given. Wildcards are allowed.</summary>
    [Parameter(Position = 0)]
    [ArgumentCompleter(typeof(CostProfileCompleter))]
    [SupportsWildcards]
    [ValidateNotNullOrEmpty]
    public string Name { get; set; } = "*";

    /// <inheritdoc/>
    protected override void ProcessRecord()
    {
        var pattern = new WildcardPattern(Name, WildcardOptions.IgnoreCase);
        CostProfile[] found = [.. CostProfiles.All.Where(p => pattern.IsMatch(p.Name))];
        if (found.Length == 0 && !WildcardPattern.ContainsWildcardCharacters(Name))
            WriteError(new ErrorRecord(new ItemNotFoundException($"There is no cost profile '{Name}'. Choose from {string.Join(", ", CostProfiles.All.Select(p => p.Name))}."), "CostProfileNotFound", ErrorCategory.ObjectNotFound, Name));
        WriteObject(found, enumerateCollection: true);
    }
}
