using System.Management.Automation;
using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>Gets the machines of this process.</summary>
/// <remarks>
/// <para>A machine object is live: its State, StopReason, ExitCode, InstructionsRetired, Uptime and Mips are those of the moment at which they are read.</para>
/// </remarks>
/// <example>
/// <code>Get-VirtualMachine</code>
/// <para>Lists all machines.</para>
/// </example>
/// <example>
/// <code>Get-VirtualMachine d* | Where-Object State -eq Running</code>
/// <para>Gets running machines by a pattern.</para>
/// </example>
[Cmdlet(VerbsCommon.Get, "VirtualMachine", DefaultParameterSetName = "Name")]
[OutputType(typeof(VirtualMachine))]
public sealed class GetVirtualMachine : PSCmdlet
{
    /// <summary>Names, with wildcards. Without it, all machines.</summary>
    [Parameter(ParameterSetName = "Name", Position = 0, ValueFromPipeline = true, ValueFromPipelineByPropertyName = true)]
    [ArgumentCompleter(typeof(MachineNameCompleter))]
    [SupportsWildcards]
    [ValidateNotNullOrEmpty]
    public string[] Name { get; set; } = ["*"];

    /// <summary>Identifiers.</summary>
    [Parameter(ParameterSetName = "Id", Mandatory = true)]
    [ValidateNotNullOrEmpty]
    public Guid[] Id { get; set; } = [];

    /// <inheritdoc/>
    protected override void ProcessRecord()
    {
        if (ParameterSetName == "Name")
        {
            WriteObject(MachineSelector.Find(this, Name), enumerateCollection: true);
            return;
        }
        foreach (Guid id in Id)
        {
            VirtualMachine? machine = MachineRegistry.All.FirstOrDefault(m => m.Id == id);
            if (machine == null)
                WriteError(ErrorRecords.MachineNotFound(id.ToString()));
            else
                WriteObject(machine);
        }
    }
}
