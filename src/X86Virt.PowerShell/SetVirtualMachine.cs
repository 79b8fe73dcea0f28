using System.Management.Automation;
using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>Changes the settings of stopped machines.</summary>
/// <remarks>
/// <para>What is not given stays. The machine is made anew: its memory is empty, its images are read again, and it has not run. Its console's transcript goes on. A machine that runs or is suspended is refused.</para>
/// </remarks>
/// <example>
/// <code>Stop-VM demo; Set-VirtualMachine demo -Memory 64MB -Engine Interpreter -PassThru</code>
/// <para>Gives a machine more memory and another engine.</para>
/// </example>
[Cmdlet(VerbsCommon.Set, "VirtualMachine", DefaultParameterSetName = ByName, SupportsShouldProcess = true)]
[OutputType(typeof(VirtualMachine))]
public sealed class SetVirtualMachine : OneMachineSettingsCmdlet
{
    private const string ByName = "Name";
    private const string ByMachine = "VM";

    /// <summary>The machines, by name. Wildcards are allowed.</summary>
    [Parameter(ParameterSetName = ByName, Mandatory = true, Position = 0, ValueFromPipeline = true, ValueFromPipelineByPropertyName = true)]
    [ArgumentCompleter(typeof(MachineNameCompleter))]
    [SupportsWildcards]
    [ValidateNotNullOrEmpty]
    public string[] Name { get; set; } = [];

    /// <summary>The machines, as New-VirtualMachine and Get-VirtualMachine write them.</summary>
    [Parameter(ParameterSetName = ByMachine, Mandatory = true, Position = 0, ValueFromPipeline = true)]
    [ValidateNotNullOrEmpty]
    public VirtualMachine[] VM { get; set; } = [];

    /// <summary>Write the machines, so that the pipeline can go on with them.</summary>
    [Parameter]
    public SwitchParameter PassThru { get; set; }

    /// <inheritdoc/>
    protected override void ProcessRecord()
    {
        foreach (VirtualMachine machine in ParameterSetName == ByMachine ? VM : MachineSelector.Find(this, Name))
        {
            if (!ShouldProcess(machine.Name))
                continue;
            try
            {
                machine.Reconfigure(Apply(machine.Configuration));
                if (PassThru)
                    WriteObject(machine);
            }
            catch (Exception e) when (ErrorRecords.IsExpected(e))
            {
                WriteError(ErrorRecords.From(e, machine));
            }
        }
    }
}
