using System.Management.Automation;
using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>Has guests on HardwareAssist exit for more than the monitor needs: exceptions, ports, registers, instructions.</summary>
/// <remarks>
/// <para>Exits that match are recorded (Get-VmExit -Requested) and the guest goes on as if there were no intercept: an exception is injected again, an instruction is executed for it. Instructions retired and all that the guest does stay the same; it only takes longer.</para>
/// <para>What the monitor intercepts anyway can be asked for too: its exits are marked then. Intercepts of the monitor cannot be taken away, those added here stay until they are, or until Set-VirtualMachine makes the machine anew. With shadow paging an intercept of #PF is for the guest's own page faults.</para>
/// </remarks>
/// <example>
/// <code>Set-VmcbIntercept demo -Exception PF, UD</code>
/// <para>Intercepts page faults and invalid opcodes.</para>
/// </example>
/// <example>
/// <code>Set-VmcbIntercept demo -Msr 0xC0000082 -ControlRegister 3 -Access Write; Get-VmExit demo -Requested</code>
/// <para>Intercepts writes of LSTAR and of CR3, and shows those that there were.</para>
/// </example>
/// <example>
/// <code>Set-VmcbIntercept demo -Instruction Pushf, Rdtsc -Port 0x3f8; Set-VmcbIntercept demo -Instruction Pushf -Remove</code>
/// <para>Intercepts two instructions and a port, then one of the instructions no longer.</para>
/// </example>
/// <example>
/// <code>Set-VmcbIntercept demo -Clear</code>
/// <para>Leaves the monitor's own alone.</para>
/// </example>
[Cmdlet(VerbsCommon.Set, "VmcbIntercept", DefaultParameterSetName = ByName, SupportsShouldProcess = true)]
[OutputType(typeof(VirtualMachine))]
public sealed class SetVmcbIntercept : MachineActionCmdlet
{
    /// <summary>Exceptions: vectors, or mnemonics as #PF or PF.</summary>
    [Parameter]
    [ExceptionTransformation]
    [ArgumentCompleter(typeof(ExceptionCompleter))]
    [ValidateNotNullOrEmpty]
    public byte[] Exception { get; set; } = [];

    /// <summary>Model-specific registers, by number.</summary>
    [Parameter]
    [NumberTransformation(uint.MaxValue, "the number of a model-specific register", "0xC0000080")]
    [ValidateNotNullOrEmpty]
    public uint[] Msr { get; set; } = [];

    /// <summary>Ports; reads and writes.</summary>
    [Parameter]
    [NumberTransformation(ushort.MaxValue, "a port", "0x3f8")]
    [ValidateNotNullOrEmpty]
    public ushort[] Port { get; set; } = [];

    /// <summary>Control registers: 0, 2, 3, 4, 8.</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    public byte[] ControlRegister { get; set; } = [];

    /// <summary>Debug registers: 0 to 7.</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    public byte[] DebugRegister { get; set; } = [];

    /// <summary>Which accesses of the registers named: Read, Write or ReadWrite, which is what it is when not given.</summary>
    [Parameter]
    public InterceptAccess Access { get; set; } = InterceptAccess.ReadWrite;

    /// <summary>Instructions.</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    public InterceptedInstruction[] Instruction { get; set; } = [];

    /// <summary>Take these intercepts away instead of adding them.</summary>
    [Parameter]
    public SwitchParameter Remove { get; set; }

    /// <summary>First take away all that were added.</summary>
    [Parameter]
    public SwitchParameter Clear { get; set; }

    /// <inheritdoc/>
    protected override void Act(VirtualMachine machine)
    {
        var selection = new InterceptSelection
        {
            Exceptions = Exception, Msrs = Msr, Ports = Port, ControlRegisters = ControlRegister, DebugRegisters = DebugRegister, Instructions = Instruction, Access = Access,
        };
        bool none = Exception.Length + Msr.Length + Port.Length + ControlRegister.Length + DebugRegister.Length + Instruction.Length == 0;
        if (none && !Clear)
            throw new MachineException("NothingToIntercept", "There is nothing to intercept. Give -Exception, -Msr, -Port, -ControlRegister, -DebugRegister or -Instruction, or -Clear to take away what was added.");
        if (Clear)
            machine.ClearIntercepts();
        if (Remove)
            machine.RemoveIntercepts(selection);
        else
            machine.AddIntercepts(selection);
    }
}
