using System.Management.Automation;
using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>
/// A cmdlet on registers. Where the machines are given as objects, -Name is free to name registers, as people expect of
/// Get-VMRegister -VM $vm -Name RIP; -Register does so always.
/// </summary>
public abstract class RegisterCmdlet : MachineCmdletBase
{
    /// <summary>The machines, by name, with wildcards. Together with -VM or machines from the pipeline: the registers, as -Register.</summary>
    [Parameter(ParameterSetName = ByName, Mandatory = true, Position = 0, ValueFromPipeline = true, ValueFromPipelineByPropertyName = true)]
    [Parameter(ParameterSetName = ByMachine)]
    [ArgumentCompleter(typeof(MachineOrRegisterNameCompleter))]
    [SupportsWildcards]
    [ValidateNotNullOrEmpty]
    public string[] Name { get; set; } = [];

    /// <summary>The machines, as New-VirtualMachine and Get-VirtualMachine write them.</summary>
    [Parameter(ParameterSetName = ByMachine, Mandatory = true, Position = 0, ValueFromPipeline = true, ValueFromPipelineByPropertyName = true)]
    [ValidateNotNullOrEmpty]
    public VirtualMachine[] VM { get; set; } = [];

    /// <summary>The registers, by name: RAX, EAX, AH, RFLAGS, ZF, CS, CS.Base, CR3, XMM0, LSTAR …</summary>
    [Parameter(Position = 1)]
    [ArgumentCompleter(typeof(RegisterNameCompleter))]
    [SupportsWildcards]
    [ValidateNotNullOrEmpty]
    public string[] Register { get; set; } = [];

    /// <summary>The registers asked for.</summary>
    private protected IEnumerable<string> Registers => ParameterSetName == ByMachine ? Register.Concat(Name) : Register;

    /// <inheritdoc/>
    private protected override IEnumerable<VirtualMachine> Machines => ParameterSetName == ByMachine ? VM : MachineSelector.Find(this, Name);
}
