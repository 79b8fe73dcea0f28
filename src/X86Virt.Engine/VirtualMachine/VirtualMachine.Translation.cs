using X86Virt.Engine.Monitors;
using X86Virt.Engine.Processor;

namespace X86Virt.Engine;

/// <summary>The translation cache of a machine that has one.</summary>
public sealed partial class VirtualMachine
{
    /// <exception cref="MachineException">NoTranslationCache: the machine's engine translates nothing.</exception>
    public TranslationCacheInfo ReadTranslationCache() => Inspect(_ => Translator.ReadCache(Name));

    /// <summary>The units in the cache, by address.</summary>
    /// <exception cref="MachineException">NoTranslationCache.</exception>
    public IReadOnlyList<TranslationUnit> ReadTranslationUnits() => Inspect(_ => Translator.ReadUnits(Name));

    /// <summary>Forgets all translations; what runs next is translated anew.</summary>
    /// <exception cref="MachineException">NoTranslationCache.</exception>
    public void ClearTranslationCache() => Inspect(_ => Translator.ForgetCode());

    /// <summary>
    /// Runs a machine that is not running and tells what happens to translations; ends when the machine does, behind a number of instructions, or
    /// when it is cancelled: nothing may happen for long. The caller ends it by enumerating no further, too; the machine is left suspended.
    /// </summary>
    /// <exception cref="MachineException">NoTranslationCache.</exception>
    public IEnumerable<TranslationEvent> TraceTranslation(long instructions, CancellationToken cancellation)
    {
        const int Slice = 100_000;
        BinaryTranslation translator = Translator;
        var events = new Queue<TranslationEvent>();
        translator.Event = events.Enqueue;
        try
        {
            do
            {
                long slice = Math.Min(Slice, instructions);
                Step(slice);
                instructions -= slice;
                while (events.TryDequeue(out TranslationEvent? e))
                    yield return e;
            }
            while (instructions > 0 && State == MachineState.Suspended && !cancellation.IsCancellationRequested);
        }
        finally
        {
            translator.Event = null;
        }
    }

    /// <summary>Counters of the translator, for metrics; 0 where there is none. Read while it runs.</summary>
    internal (long Units, long Callouts, long Dispatches) TranslationCounters
        => Executing is BinaryTranslation t ? (t.UnitsTranslated, t.Callouts, t.Dispatches) : default;

    /// <summary>The engine that executes guest code, under a monitor if there is one.</summary>
    private ExecutionEngine Executing => _engine switch
    {
        HardwareAssist assist => assist.Execution,
        Hybrid hybrid => hybrid.Software,
        _ => _engine,
    };

    private BinaryTranslation Translator => Executing as BinaryTranslation
        ?? throw new MachineException("NoTranslationCache", $"Machine '{Name}' runs on {Engine}, which translates nothing. Set-VirtualMachine -Engine BinaryTranslation changes that.");
}
