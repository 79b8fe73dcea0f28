using System.Diagnostics.Metrics;

namespace X86Virt.Engine;

/// <summary>
/// Live counters of all machines in the process, for whoever listens to the meter "X86Virt" (dotnet-counters, a MeterListener). They are read when
/// they are asked for, while machines run; nothing is counted for them.
/// </summary>
public static class MachineMetrics
{
    public const string MeterName = "X86Virt";

    private static readonly Meter s_meter = new(MeterName);
    private static readonly HashSet<VirtualMachine> s_machines = [];

    static MachineMetrics()
    {
        Observe("x86virt.instructions", "{instruction}", "Guest instructions retired", m => m.InstructionsRetired);
        Observe("x86virt.exits", "{exit}", "#VMEXITs that the monitor saw to", m => m.FindExitLog()?.All.Count ?? 0);
        Observe("x86virt.translation.units", "{unit}", "Units translated", m => m.TranslationCounters.Units);
        Observe("x86virt.translation.callouts", "{callout}", "Times translated code left an instruction to its handler", m => m.TranslationCounters.Callouts);
        Observe("x86virt.translation.dispatches", "{dispatch}", "Times translated code left to have the next unit found", m => m.TranslationCounters.Dispatches);
    }

    private static void Observe(string name, string unit, string description, Func<VirtualMachine, long> read)
        => s_meter.CreateObservableCounter(name, () => Measure(read), unit, description);

    private static List<Measurement<long>> Measure(Func<VirtualMachine, long> read)
    {
        lock (s_machines)
            return [.. s_machines.Select(m => new Measurement<long>(read(m), new KeyValuePair<string, object?>("machine", m.Name), new KeyValuePair<string, object?>("engine", m.Engine)))];
    }

    internal static void Add(VirtualMachine machine)
    {
        lock (s_machines)
            s_machines.Add(machine);
    }

    internal static void Remove(VirtualMachine machine)
    {
        lock (s_machines)
            s_machines.Remove(machine);
    }
}
