using System.Management.Automation;
using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>Executes a number of instructions of a machine that is not running.</summary>
/// <remarks>
/// <para>The machine is suspended afterwards. The cmdlet writes the instruction that comes next. A machine that was never started can be stepped from its first instruction.</para>
/// </remarks>
/// <example>
/// <code>Suspend-VM demo; Step-VM demo -Count 3</code>
/// <para>Executes three instructions and shows the fourth.</para>
/// </example>
[Cmdlet(VerbsCommon.Step, "VM", DefaultParameterSetName = ByName, SupportsShouldProcess = true)]
[OutputType(typeof(DisassembledInstruction), typeof(VirtualMachine))]
public sealed class StepVM : MachineCmdlet
{
    /// <summary>How many instructions to execute.</summary>
    [Parameter(Position = 1)]
    [ValidateRange(1, long.MaxValue)]
    public long Count { get; set; } = 1;

    /// <summary>Write the machine instead of the next instruction.</summary>
    [Parameter]
    public SwitchParameter PassThru { get; set; }

    // Between two parts Ctrl-C is looked at.
    private const long Part = 1_000_000;

    /// <inheritdoc/>
    protected override void Process(VirtualMachine machine)
    {
        if (!ShouldProcess(machine.Name))
            return;
        long left = Count;
        do
        {
            long part = Math.Min(left, Part);
            machine.Step(part);
            left -= part;
        }
        while (left > 0 && machine.State == MachineState.Suspended && !StopToken.IsCancellationRequested);
        if (PassThru)
            WriteObject(machine);
        else
            WriteObject(machine.Disassemble(null, 1), enumerateCollection: true);
    }
}
