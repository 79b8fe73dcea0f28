using System.Management.Automation;
using System.Text.RegularExpressions;
using X86Virt.Engine;
using X86Virt.Engine.Monitors;
using X86Virt.Engine.Processor;

namespace X86Virt.PowerShell;

/// <summary>What one run came to at the moment where it ends.</summary>
internal sealed record EngineRun(
    MachineStatistics Statistics, TranslationCacheInfo? Translation, HybridSummary? Hybrid, PagingKind Paging, TimeSpan HostTime, string Console, string StopReason)
{
    /// <summary>Both counted and wrote the same; host time does not matter.</summary>
    public bool IsSameAs(EngineRun other)
        => Console == other.Console && Statistics.InstructionsRetired == other.Statistics.InstructionsRetired && Statistics.Exits.SequenceEqual(other.Statistics.Exits);

    /// <summary>Runs a machine from power-on until it stops, or until a line on its console matches <paramref name="until"/>.</summary>
    /// <param name="cmdlet">Whose pipeline waits.</param>
    /// <param name="configuration">The machine.</param>
    /// <param name="until">What ends the run; null for the guest itself.</param>
    /// <param name="timeout">How long it may take.</param>
    /// <param name="cancellation">Of the pipeline.</param>
    /// <param name="guest">What the guest must be for the text to come, where the user chose that and not the text.</param>
    /// <exception cref="MachineException">The time is up, the text did not come, or the engine failed.</exception>
    /// <exception cref="OperationCanceledException">The user stopped the pipeline.</exception>
    public static EngineRun Of(Cmdlet cmdlet, MachineConfiguration configuration, Regex? until, TimeSpan? timeout, CancellationToken cancellation, string? guest = null)
    {
        using var machine = new VirtualMachine(configuration);
        EngineRun? reached = null;
        int line = 0;

        // On the machine's thread, in the midst of the instruction that wrote: what is counted here is the same on every run.
        void OnWritten(object? sender, EventArgs e)
        {
            if (reached != null)
                return;
            string written = machine.Console.Read(line);
            Match match = until!.Match(written);
            if (match.Success)
                reached = Look(machine, machine.Console.Read(0)[..(line + match.Index + match.Length)], "");
            line += written.LastIndexOf('\n') + 1;
        }

        if (until != null)
            machine.Console.Written += OnWritten;
        machine.Start();
        bool ended = new MachineWait(cmdlet, machine, timeout, cancellation).Until(() => Volatile.Read(ref reached) != null || machine.State != MachineState.Running);
        cancellation.ThrowIfCancellationRequested();
        if (Volatile.Read(ref reached) is { } run)
            return run;
        string name = $"{configuration.Engine}{(configuration.Paging is { } paging ? $" with {paging}" : "")}";
        if (!ended)
            throw new MachineException("WaitTimeout", $"The guest still ran on {name} after {timeout!.Value.TotalSeconds:0.###} s; its console ends with '{ConsoleText.LastLine(machine.Console)}'. Wait longer (-Timeout){(guest == null ? ", or end sooner (-Until)" : "")}.");
        if (machine.StopReason.Kind == StopKind.InternalError)
            throw new MachineException("EngineFailed", $"{name} failed: {machine.StopReason}");
        if (until != null)
            throw new MachineException("MachineStopped", $"/{until}/ did not appear on the console before the guest stopped on {name} ({machine.StopReason}); it ends with '{ConsoleText.LastLine(machine.Console)}'. {(guest == null ? "Correct -Until, or leave it out to run to the end" : $"Give {guest}")}.");
        return Look(machine, machine.Console.Read(0), machine.StopReason.ToString());
    }

    private static EngineRun Look(VirtualMachine machine, string console, string stopReason)
        => new(machine.ReadStatistics(), TranslationOf(machine), machine.Engine == EngineKind.Hybrid ? machine.ReadHybridSummary() : null, PagingOf(machine), machine.HostTime, console, stopReason);

    internal static PagingKind PagingOf(VirtualMachine machine)
        => machine.Configuration.Paging ?? (machine.Inspect(cpu => cpu.Shadow != null) ? PagingKind.Shadow
            : machine.HasVmExits ? PagingKind.Nested : PagingKind.Walk);

    /// <summary>What executes the code of virtual silicon may translate it, too; that is no part of the technique.</summary>
    private static TranslationCacheInfo? TranslationOf(VirtualMachine machine)
    {
        if (machine.Engine == EngineKind.HardwareAssist)
            return null;
        try
        {
            return machine.ReadTranslationCache();
        }
        catch (MachineException e) when (e.ErrorId == "NoTranslationCache")
        {
            return null;
        }
    }
}
