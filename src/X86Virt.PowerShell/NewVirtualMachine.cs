using System.Management.Automation;
using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>Makes a virtual machine.</summary>
/// <remarks>
/// <para>A machine is an x86 PC: a 64-bit processor, RAM, and the usual devices, with its console on the first serial port. Its images are read now, so that what is wrong with them is told now. Start-VM starts it.</para>
/// <para>The same settings make the same machine: with the virtual clock two runs execute the same instructions. See about_X86Virt.</para>
/// </remarks>
/// <example>
/// <code>New-VirtualMachine -Name linux -Memory 512MB -Kernel ./vmlinuz -InitialRamDisk ./initrd.gz -CommandLine 'console=ttyS0' | Start-VM</code>
/// <para>Boots Linux. Its console is read with Get-VMConsole or Receive-VMConsole, or live with Enter-VMConsole.</para>
/// </example>
/// <example>
/// <code>New-VirtualMachine -Name boot -FlatBinary ./boot.bin -LoadAddress 0x7c00 -BootMode Real -Memory 16MB</code>
/// <para>Makes a machine that starts with a boot sector in real mode.</para>
/// </example>
/// <example>
/// <code>New-VirtualMachine -Name bios -Firmware ./bios-256k.bin -FirmwareItem @{ 'etc/sercon-port' = [BitConverter]::GetBytes(0x3f8L) }</code>
/// <para>Makes a machine that starts in SeaBIOS, and has it use the first serial port as its screen.</para>
/// </example>
[Cmdlet(VerbsCommon.New, "VirtualMachine", SupportsShouldProcess = true)]
[OutputType(typeof(VirtualMachine))]
public sealed class NewVirtualMachine : OneMachineSettingsCmdlet
{
    /// <summary>Its name, which no other machine of the process has in any case. Without it: vm1, vm2 …</summary>
    [Parameter(Position = 0, ValueFromPipeline = true, ValueFromPipelineByPropertyName = true)]
    [ValidateNotNullOrEmpty]
    public string? Name { get; set; }

    /// <inheritdoc/>
    protected override void ProcessRecord()
    {
        string name = Name ?? MachineRegistry.FreeName();
        try
        {
            if (WildcardPattern.ContainsWildcardCharacters(name) || string.IsNullOrWhiteSpace(name))
                throw new MachineException("InvalidName", $"'{name}' cannot be the name of a machine: it is blank or a wildcard pattern. Give a name without *, ?, [ and ].");
            if (MachineRegistry.TryGet(name, out _))
                throw NameTaken(name);
            if (!ShouldProcess(name))
                return;
            var machine = new VirtualMachine(Apply(new MachineConfiguration { Name = name }));
            if (!MachineRegistry.TryAdd(machine))
            {
                machine.Dispose();
                throw NameTaken(name);
            }
            WriteObject(machine);
        }
        catch (Exception e) when (ErrorRecords.IsExpected(e))
        {
            WriteError(ErrorRecords.From(e, name));
        }
    }

    private static MachineException NameTaken(string name)
        => new("MachineAlreadyExists", $"There is a machine '{name}' already. Choose another name, or remove it (Remove-VirtualMachine).");
}
