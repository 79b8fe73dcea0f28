using System.Management.Automation;
using System.Numerics;
using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>Sets a register of machines.</summary>
/// <remarks>
/// <para>As a debugger does: the width is checked and nothing else. Setting a segment register sets its selector; in real mode the base follows, elsewhere the hidden part stays and can be set by itself (CS.Base, CS.Limit, CS.Attributes).</para>
/// </remarks>
/// <example>
/// <code>Suspend-VM demo; Set-VMRegister demo RAX 0x1234; Get-VMRegister demo RAX</code>
/// <para>Sets a register and reads it back.</para>
/// </example>
/// <example>
/// <code>Suspend-VM demo -PassThru | Set-VMRegister -Name ZF -Value 1</code>
/// <para>Sets a single flag.</para>
/// </example>
[Cmdlet(VerbsCommon.Set, "VMRegister", DefaultParameterSetName = ByName, SupportsShouldProcess = true)]
[OutputType(typeof(VirtualMachine))]
public sealed class SetVMRegister : RegisterCmdlet
{
    /// <summary>The value: a number, a hexadecimal string, or a register object. A negative number is taken in two's complement.</summary>
    [Parameter(Mandatory = true, Position = 2)]
    [RegisterValueTransformation]
    public BigInteger Value { get; set; }

    /// <summary>Write the machines, so that the pipeline can go on with them.</summary>
    [Parameter]
    public SwitchParameter PassThru { get; set; }

    /// <inheritdoc/>
    protected override void Process(VirtualMachine machine)
    {
        if (!Registers.Any())
            throw new MachineException("RegisterNotFound", "No register is named. Give -Register.");
        foreach (string name in Registers)
        {
            if (ShouldProcess(machine.Name, $"Set {name} to 0x{Value:x}"))
                machine.WriteRegister(name, Value);
        }
        if (PassThru)
            WriteObject(machine);
    }
}
