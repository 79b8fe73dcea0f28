using System.Collections.Specialized;
using X86Virt.Engine.Platform;

namespace X86Virt.Engine;

/// <summary>A device of a machine and what its registers held when it was read.</summary>
/// <param name="Machine">Name of the machine.</param>
/// <param name="Name">Name of the device.</param>
/// <param name="Ports">I/O ports at which it answers.</param>
/// <param name="Addresses">Guest-physical addresses at which it answers.</param>
/// <param name="Irqs">Its interrupt lines.</param>
/// <param name="Registers">Values by name.</param>
public sealed record DeviceInformation(
    string Machine, string Name, IReadOnlyList<string> Ports, IReadOnlyList<string> Addresses, IReadOnlyList<int> Irqs, OrderedDictionary Registers)
{
    internal static DeviceInformation Of(string machine, Device device)
    {
        var registers = new OrderedDictionary();
        foreach (DeviceRegister r in device.Registers)
            registers[r.Name] = r.Value;
        return new DeviceInformation(machine, device.Name, [.. device.Ports.Select(p => p.ToString())], [.. device.Addresses.Select(a => a.ToString())], device.Irqs, registers);
    }
}
