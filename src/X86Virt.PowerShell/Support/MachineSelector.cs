using System.Management.Automation;
using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>Finds machines by name.</summary>
internal static class MachineSelector
{
    /// <summary>The machines of those names or patterns, each once. A name that nothing has is a non-terminating error; a pattern is not.</summary>
    public static IEnumerable<VirtualMachine> Find(Cmdlet cmdlet, IEnumerable<string> names)
    {
        var found = new List<VirtualMachine>();
        foreach (string name in names)
        {
            if (WildcardPattern.ContainsWildcardCharacters(name))
            {
                var pattern = new WildcardPattern(name, WildcardOptions.IgnoreCase);
                found.AddRange(MachineRegistry.All.Where(m => pattern.IsMatch(m.Name)));
            }
            else if (MachineRegistry.TryGet(name, out VirtualMachine? machine))
            {
                found.Add(machine);
            }
            else
            {
                cmdlet.WriteError(ErrorRecords.MachineNotFound(name));
            }
        }
        return found.Distinct();
    }
}
