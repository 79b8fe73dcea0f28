using System.Management.Automation;
using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>
/// Makes a small machine beside the import of the module and drops it, so that the first machine of the session need not wait until the
/// runtime has compiled what cannot be compiled ahead of time: the base library's collections of our types.
/// </summary>
public sealed class FirstUse : IModuleAssemblyInitializer
{
    private const int Instructions = 100;

    /// <inheritdoc/>
    public void OnImport() => ThreadPool.UnsafeQueueUserWorkItem(static _ => Rehearse(), null);

    private static void Rehearse()
    {
        try
        {
            using var machine = new VirtualMachine(new MachineConfiguration { Name = "rehearsal", MemorySize = MachineConfiguration.MinimumMemory });
            machine.Step(Instructions);
        }
        catch (Exception e) when (ErrorRecords.IsExpected(e) || e is OutOfMemoryException or PlatformNotSupportedException)
        {
            // Nobody waits for this one; whoever makes a machine is told.
        }
    }
}
