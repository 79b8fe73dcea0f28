using System.Management.Automation;
using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>A cmdlet that takes machines by name or as objects.</summary>
public abstract class MachineCmdlet : MachineCmdletBase
{
    /// <summary>The machines, by name. Wildcards are allowed.</summary>
    [Parameter(ParameterSetName = ByName, Mandatory = true, Position = 0, ValueFromPipeline = true, ValueFromPipelineByPropertyName = true)]
    [ArgumentCompleter(typeof(MachineNameCompleter))]
    [SupportsWildcards]
    [ValidateNotNullOrEmpty]
    public string[] Name { get; set; } = [];

    /// <summary>The machines, as New-VirtualMachine and Get-VirtualMachine write them.</summary>
    [Parameter(ParameterSetName = ByMachine, Mandatory = true, Position = 0, ValueFromPipeline = true, ValueFromPipelineByPropertyName = true)]
    [ValidateNotNullOrEmpty]
    public VirtualMachine[] VM { get; set; } = [];

    /// <inheritdoc/>
    private protected override IEnumerable<VirtualMachine> Machines => ParameterSetName == ByMachine ? VM : MachineSelector.Find(this, Name);
}
