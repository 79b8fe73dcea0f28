using System.Diagnostics.CodeAnalysis;
using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>The machines of this process, by name in any case. They outlive runspaces and the module; Remove-VirtualMachine ends them.</summary>
internal static class MachineRegistry
{
    private static readonly object s_lock = new();
    private static readonly SortedDictionary<string, VirtualMachine> s_machines = new(StringComparer.OrdinalIgnoreCase);

    /// <summary>A snapshot, by name.</summary>
    public static IReadOnlyList<VirtualMachine> All
    {
        get
        {
            lock (s_lock)
                return [.. s_machines.Values];
        }
    }

    public static bool TryGet(string name, [NotNullWhen(true)] out VirtualMachine? machine)
    {
        lock (s_lock)
            return s_machines.TryGetValue(name, out machine);
    }

    /// <summary>False if another machine has the name.</summary>
    public static bool TryAdd(VirtualMachine machine)
    {
        lock (s_lock)
            return s_machines.TryAdd(machine.Name, machine);
    }

    public static void Remove(VirtualMachine machine)
    {
        lock (s_lock)
        {
            if (s_machines.TryGetValue(machine.Name, out VirtualMachine? known) && known == machine)
                s_machines.Remove(machine.Name);
        }
    }

    /// <summary>vm1, vm2 …: the first that is free.</summary>
    public static string FreeName()
    {
        lock (s_lock)
        {
            int i = 1;
            while (s_machines.ContainsKey($"vm{i}"))
                i++;
            return $"vm{i}";
        }
    }
}
