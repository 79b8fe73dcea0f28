using System.Management.Automation;
using X86Virt.Engine.Costs;

namespace X86Virt.PowerShell;

/// <summary>Profiles as objects or by name.</summary>
public sealed class CostProfileTransformationAttribute : ElementTransformationAttribute
{
    /// <inheritdoc/>
    protected override object? Convert(object? value)
        => value is not string name ? value
            : CostProfiles.All.FirstOrDefault(p => p.Name.Equals(name, StringComparison.OrdinalIgnoreCase))
                ?? throw new ArgumentTransformationMetadataException($"There is no cost profile '{name}'. Choose from {string.Join(", ", CostProfiles.All.Select(p => p.Name))}, or give one that Measure-VMCostProfile wrote.");
}

/// <summary>Names of profiles.</summary>
public sealed class CostProfileCompleter : WordCompleter
{
    /// <inheritdoc/>
    protected override IEnumerable<string> Words => CostProfiles.All.Select(p => p.Name);
}
