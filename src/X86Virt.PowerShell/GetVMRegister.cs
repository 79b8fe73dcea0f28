using System.Management.Automation;
using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>Gets the registers of machines.</summary>
/// <remarks>
/// <para>Unless registers are named: the general-purpose, segment and control registers. The pattern * gets all. A part of a register (EAX, AH), a single flag (ZF) and the hidden parts of a segment register (CS.Base) are got by their own names.</para>
/// <para>Each object also has its value under the register's name, so that (Get-VMRegister demo).RIP is the value of RIP. Values are UInt64, those of wider registers BigInteger.</para>
/// </remarks>
/// <example>
/// <code>Get-VMRegister demo</code>
/// <para>Shows the registers that matter most.</para>
/// </example>
/// <example>
/// <code>Get-VirtualMachine demo | Get-VMRegister -Name RIP, CR*, CS.*, ZF</code>
/// <para>Gets registers by name.</para>
/// </example>
/// <example>
/// <code>'0x{0:x}' -f (Get-VMRegister demo).RSP</code>
/// <para>Uses a value.</para>
/// </example>
[Cmdlet(VerbsCommon.Get, "VMRegister", DefaultParameterSetName = ByName)]
[OutputType(typeof(RegisterValue))]
public sealed class GetVMRegister : RegisterCmdlet
{
    /// <summary>Get all registers of these parts of the processor.</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    public RegisterGroup[] Group { get; set; } = [];

    /// <inheritdoc/>
    protected override void Process(VirtualMachine machine)
    {
        var patterns = new List<string>();
        foreach (string name in Registers)
        {
            if (WildcardPattern.ContainsWildcardCharacters(name))
                patterns.Add(name);
            else
                Attempt(machine, () => Write(machine.ReadRegister(name)));
        }
        if (patterns.Count == 0 && Registers.Any())
            return;
        foreach (RegisterValue register in machine.ReadRegisters((name, group, isPart) => IsWanted(patterns, name, group, isPart)))
            Write(register);
    }

    private bool IsWanted(List<string> patterns, string name, RegisterGroup group, bool isPart)
    {
        if (Group.Length > 0 && !Group.Contains(group))
            return false;
        if (patterns.Count == 0)
            return !isPart && (Group.Length > 0 || group <= RegisterGroup.Control);
        return patterns.Exists(p => (!isPart || p.Contains('.', StringComparison.Ordinal)) && new WildcardPattern(p, WildcardOptions.IgnoreCase).IsMatch(name));
    }

    private void Write(RegisterValue register)
    {
        var item = new PSObject(register);
        item.Properties.Add(new PSNoteProperty(register.Name, register.Value));
        WriteObject(item);
    }
}
