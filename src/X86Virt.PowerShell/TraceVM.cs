using System.Management.Automation;
using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>Traces machines instruction by instruction.</summary>
/// <remarks>
/// <para>Executes instructions and writes an object for each: how many had retired before it, its address and text, and what it caused (an exception, port I/O, an interrupt …). With -Event only instructions with such events are written, and counted.</para>
/// <para>A running machine is suspended for the trace and resumed behind it; any other is suspended afterwards. A trace ends early when the machine stops, at -InstructionLimit, or with Ctrl-C: a guest that waits in a loop may never do what -Event or -Translation look for.</para>
/// </remarks>
/// <example>
/// <code>Suspend-VM demo; Trace-VM demo -Count 5</code>
/// <para>Traces five instructions.</para>
/// </example>
/// <example>
/// <code>Trace-VM demo -Event PortIo -Count 2 -Syntax Nasm -IncludeRegister | Format-List</code>
/// <para>Finds the next two instructions that access a port, with the registers before each.</para>
/// </example>
/// <example>
/// <code>Clear-TranslationCache demo; Trace-VM demo -Translation -Count 3 -InstructionLimit 1000000</code>
/// <para>Shows the first three things that happen in an empty translation cache, or what there is of them in a million instructions.</para>
/// </example>
[Cmdlet(VerbsDiagnostic.Trace, "VM", DefaultParameterSetName = ByName, SupportsShouldProcess = true)]
[OutputType(typeof(TraceRecord), typeof(TranslationEvent))]
public sealed class TraceVM : MachineCmdlet
{
    /// <summary>How many instructions to write.</summary>
    [Parameter(Position = 1)]
    [ValidateRange(1, long.MaxValue)]
    public long Count { get; set; } = 100;

    /// <summary>End the trace when this many instructions were executed, whatever was found. There is no limit when it is not given.</summary>
    [Parameter]
    [ValidateRange(1, long.MaxValue)]
    public long InstructionLimit { get; set; } = long.MaxValue;

    /// <summary>Write only instructions with one of these events.</summary>
    [Parameter]
    public TraceEvents Event { get; set; }

    /// <summary>How to write instructions: Intel, Att (also AT&amp;T, Gnu, Gas), Nasm, Masm.</summary>
    [Parameter]
    [SyntaxTransformation]
    public DisassemblySyntax Syntax { get; set; }

    /// <summary>Add the general-purpose registers and RFLAGS, as they were before each instruction.</summary>
    [Parameter]
    public SwitchParameter IncludeRegister { get; set; }

    /// <summary>Run at full speed instead, and write what happens to translations: units translated, chained, dropped and why.</summary>
    [Parameter]
    public SwitchParameter Translation { get; set; }

    /// <inheritdoc/>
    protected override void Process(VirtualMachine machine)
    {
        if (Translation && (Event != TraceEvents.None || IncludeRegister))
            throw new MachineException("ParametersExclusive", "-Translation runs whole units, and has neither events of single instructions nor their registers. Leave -Event and -IncludeRegister out.");
        if (Translation)
            machine.ReadTranslationCache();
        if (!ShouldProcess(machine.Name))
            return;
        bool wasRunning = machine.State == MachineState.Running;
        if (wasRunning)
            machine.Suspend();
        try
        {
            if (Translation)
            {
                long told = 0;
                foreach (TranslationEvent e in machine.TraceTranslation(InstructionLimit, StopToken))
                {
                    WriteObject(e);
                    if (++told == Count)
                        break;
                }
                return;
            }
            IEnumerable<TraceRecord> trace = machine.Trace(InstructionLimit, Syntax, IncludeRegister).TakeWhile(_ => !StopToken.IsCancellationRequested);
            long written = 0;
            foreach (TraceRecord record in trace)
            {
                if (Event != TraceEvents.None && (record.Events & Event) == 0)
                    continue;
                WriteObject(record);
                if (++written == Count)
                    break;
            }
        }
        finally
        {
            if (wasRunning && machine.State == MachineState.Suspended)
                machine.Resume();
        }
    }
}
