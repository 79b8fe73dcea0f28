using System.Management.Automation;
using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>Counts the exits of machines: transfers from the guest to the monitor, by kind, and with HardwareAssist by reason, with what they cost.</summary>
/// <remarks>
/// <para>For a machine on HardwareAssist it writes, unless -Kind is given, the reasons of its #VMEXITs: count, share, instructions retired for each, host time from the #VMEXIT until the guest can go on (mean, and the times that 50, 90 and 99 of 100 did not exceed). For every other engine, and with -Kind, it writes what the guest did:</para>
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
/// <example>
/// <code>Measure-VmExit demo -During { Suspend-VM demo; Step-VM demo -Count 1000 }</code>
/// <para>Counts what happens while a script runs.</para>
/// </example>
[Cmdlet(VerbsDiagnostic.Measure, "VmExit", DefaultParameterSetName = ByName)]
[OutputType(typeof(ExitCount), typeof(VmExitStatistics))]
public sealed class MeasureVmExit : MachineCmdlet
{
    private readonly List<(VirtualMachine Machine, MachineStatistics Before)> _measured = [];

    /// <summary>Write these kinds only.</summary>
    [Parameter(Position = 1)]
    [ValidateNotNullOrEmpty]
    public ExitKind[] Kind { get; set; } = [];

    /// <summary>Begin to count anew, and write nothing.</summary>
    [Parameter]
    public SwitchParameter Reset { get; set; }

    /// <summary>Run this script, and count what happens meanwhile. What it writes is not passed on.</summary>
    [Parameter]
    [ValidateNotNull]
    public ScriptBlock? During { get; set; }

    /// <inheritdoc/>
    protected override void Process(VirtualMachine machine)
    {
        if (Reset && During != null)
            throw new MachineException("ParametersExclusive", "-During counts what happens while its script runs, and leaves all other counts as they are. Leave -Reset out.");
        if (Reset)
            machine.ResetStatistics();
        else if (During != null)
            _measured.Add((machine, machine.ReadStatistics()));
        else
            Write(machine, machine.ReadStatistics());
    }

    /// <inheritdoc/>
    protected override void EndProcessing()
    {
        if (_measured.Count == 0)
            return;
        InvokeCommand.InvokeScript(useLocalScope: false, During!, input: null);
        foreach ((VirtualMachine machine, MachineStatistics before) in _measured)
            Attempt(machine, () => Write(machine, machine.ReadStatistics().Since(before)));
    }

    private void Write(VirtualMachine machine, MachineStatistics counted)
    {
        if (machine.HasVmExits && Kind.Length == 0)
            WriteObject(counted.Reasons, enumerateCollection: true);
        else
            WriteObject(counted.Exits.Where(e => Kind.Length == 0 || Kind.Contains(e.Kind)), enumerateCollection: true);
    }
}
