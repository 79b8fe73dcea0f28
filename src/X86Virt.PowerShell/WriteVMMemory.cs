using System.Management.Automation;
using System.Text;
using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>Writes guest memory.</summary>
/// <remarks>
/// <para>Addresses are linear, translated by the guest's page tables, unless -Physical is given. As a debugger does, it writes to pages that are read-only for the guest too; ROM and devices are refused. All is written or nothing.</para>
/// </remarks>
/// <example>
/// <code>Write-VMMemory demo -Address 0x9000 -Byte 0xde, 0xad, 0xbe, 0xef; Read-VMMemory demo 0x9000 4 -As Dump</code>
/// <para>Writes four bytes and shows them.</para>
/// </example>
/// <example>
/// <code>Write-VMMemory demo -Address 0x9000 -Text 'hello' -Physical</code>
/// <para>Writes a string to guest-physical memory.</para>
/// </example>
[Cmdlet(VerbsCommunications.Write, "VMMemory", DefaultParameterSetName = ByName, SupportsShouldProcess = true)]
[OutputType(typeof(VirtualMachine))]
public sealed class WriteVMMemory : MachineActionCmdlet
{
    private byte[] _bytes = [];

    /// <summary>Where to write: a number, a hexadecimal string, or an object that has one: a register, an instruction, a breakpoint.</summary>
    [Parameter(Mandatory = true, Position = 1)]
    [AddressTransformation]
    public ulong Address { get; set; }

    /// <summary>What to write.</summary>
    [Parameter(Position = 2)]
    [Alias("Bytes", "Value", "Data")]
    [ValidateNotNullOrEmpty]
    public byte[]? Byte { get; set; }

    /// <summary>What to write, as text: UTF-8, without a 0 behind it.</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    public string? Text { get; set; }

    /// <summary>The address is guest-physical.</summary>
    [Parameter]
    public SwitchParameter Physical { get; set; }

    /// <inheritdoc/>
    protected override void BeginProcessing()
    {
        if (Byte == null == (Text == null))
            ThrowTerminatingError(new ErrorRecord(new PSArgumentException("There must be one thing to write. Give either -Byte or -Text."), "NothingToWrite", ErrorCategory.InvalidArgument, null));
        _bytes = Byte ?? Encoding.UTF8.GetBytes(Text!);
    }

    /// <inheritdoc/>
    protected override void Act(VirtualMachine machine) => machine.WriteMemory(Address, _bytes, Physical ? AddressSpace.Physical : AddressSpace.Linear);
}
