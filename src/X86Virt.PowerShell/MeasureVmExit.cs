using System.Management.Automation;
using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>Counts the exits of machines: transfers from the guest to the monitor, by kind.</summary>
/// <remarks>
/// <para>Port accesses are counted by port, MSR accesses by register, exceptions by vector; then device memory, accesses that nothing answered (ports by port), writes of control registers by register, debug registers, CPUID, time-stamp reads, page invalidations, halts, interrupts and system calls; and for what a translator of the kernel has to do, its indirect branches and the instructions translated. With -Paging Shadow, what shadow page tables did: hidden and true page faults, stores to traced page tables, shadow tables made and given up, changes of address space. With -Engine BinaryTranslation, what translated code left to the interpreter's handlers. With -Feature Svm, what a hypervisor in the machine did: entries of its guest, #VMEXITs by code, nested page walks. Counts begin when a machine is made, or at the last -Reset.</para>
/// </remarks>
/// <example>
/// <code>Measure-VmExit demo | Sort-Object Count -Descending</code>
/// <para>Shows what a guest exits for most.</para>
/// </example>
/// <example>
/// <code>Measure-VmExit demo -Reset; Step-VM demo -Count 100; Measure-VmExit demo -Kind PortIo</code>
/// <para>Counts the port accesses of 100 instructions.</para>
/// </example>
/// <example>
/// <code>Measure-VmExit demo -Kind UnclaimedPort, UnclaimedMemory</code>
/// <para>Shows where a guest looked for devices that there are not.</para>
/// </example>
[Cmdlet(VerbsDiagnostic.Measure, "VmExit", DefaultParameterSetName = ByName)]
[OutputType(typeof(ExitCount))]
public sealed class MeasureVmExit : MachineCmdlet
{
    /// <summary>Write these kinds only.</summary>
    [Parameter(Position = 1)]
    [ValidateNotNullOrEmpty]
    public ExitKind[] Kind { get; set; } = [];

    /// <summary>Begin to count anew, and write nothing.</summary>
    [Parameter]
    public SwitchParameter Reset { get; set; }

    /// <inheritdoc/>
    protected override void Process(VirtualMachine machine)
    {
        if (Reset)
            machine.ResetStatistics();
        else
            WriteObject(machine.ReadStatistics().Exits.Where(e => Kind.Length == 0 || Kind.Contains(e.Kind)), enumerateCollection: true);
    }
}
