using System.Management.Automation;
using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>Gets the devices of machines, with what their registers hold.</summary>
/// <remarks>
/// <para>For each device the I/O ports and guest-physical addresses where it answers, its interrupt lines, and its registers. Reading them disturbs nothing.</para>
/// </remarks>
/// <example>
/// <code>Get-VMDevice demo</code>
/// <para>Lists all devices.</para>
/// </example>
/// <example>
/// <code>(Get-VMDevice demo -Device COM1).Registers</code>
/// <para>Shows the registers of the first serial port.</para>
/// </example>
[Cmdlet(VerbsCommon.Get, "VMDevice", DefaultParameterSetName = ByName)]
[OutputType(typeof(DeviceInformation))]
public sealed class GetVMDevice : MachineCmdlet
{
    /// <summary>Names of devices, with wildcards.</summary>
    [Parameter(Position = 1)]
    [Alias("DeviceName")]
    [SupportsWildcards]
    [ValidateNotNullOrEmpty]
    public string[] Device { get; set; } = ["*"];

    /// <inheritdoc/>
    protected override void Process(VirtualMachine machine)
    {
        IReadOnlyList<DeviceInformation> devices = machine.ReadDevices();
        foreach (string name in Device)
        {
            var pattern = new WildcardPattern(name, WildcardOptions.IgnoreCase);
            DeviceInformation[] found = [.. devices.Where(d => pattern.IsMatch(d.Name))];
            if (found.Length == 0 && !WildcardPattern.ContainsWildcardCharacters(name))
                WriteError(ErrorRecords.From(new MachineException("DeviceNotFound", $"Machine '{machine.Name}' has no device '{name}'. It has {string.Join(", ", devices.Select(d => d.Name))}."), machine));
            WriteObject(found, enumerateCollection: true);
        }
    }
}
