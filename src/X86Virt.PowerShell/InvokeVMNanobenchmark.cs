using System.Management.Automation;
using X86Virt.Engine;
using X86Virt.Engine.Costs;
using X86Virt.Engine.Processor;
using X86Virt.Guests;

namespace X86Virt.PowerShell;

/// <summary>Measures what single sensitive operations cost on each engine, with a small guest that does nothing else.</summary>
/// <remarks>
/// <para>The guest is a test operating system, for long mode or with -Bits 32 for protected mode, with one operation in each of its loops: syscall, in, cr8wr, callret, pgfault, divzero, ptemod (a store of the present value into a page table entry) as in Adams and Agesen's paper; ptetoggle makes the entry not present and present again in one iteration. The page is not used between the stores: with -Paging Shadow its shadow table is soon dropped, and the stores are no longer traced. pteuse empties the TLB and reads pages through one of 512 page tables, ever another; ptesame stores the present value into one of its entries besides, pteclear makes an entry not present, and pteset makes one present and reads its page. Their tables stay in use, so that each of these stores is traced; each iteration takes an entry of its own, so there are at most 255488. hltwake arms the timer and halts until its interrupt. cr3switch does two operations an iteration; empty is the loop itself.</para>
/// <para>Every operation runs twice, with 2560 iterations and with as many more as -Iterations says; the difference is what is reported. Its counts are the same on every run. Its host time is not: -Repeat runs give the median and the spread. With few iterations it drowns in what two runs differ by, and may come out negative; the spread shows it.</para>
/// <para>Of one iteration, the loop included: ModelledCycles are what its counts cost by -CostProfile, under the technique that the engine stands for (BinaryTranslation the software VMM, HardwareAssist the hardware VMM, Hybrid each by turns; the other engines none). Nanoseconds and Spread are of host time. Instructions, Exits (#VMEXITs), Callouts, TraceWrites and HiddenFaults are counts; Events has all of them by kind and number.</para>
/// </remarks>
/// <example>
/// <code>Invoke-VMNanobenchmark -Engine Interpreter, BinaryTranslation -Operation syscall, in, pgfault</code>
/// <para>Compares three operations on two engines.</para>
/// </example>
/// <example>
/// <code>(Invoke-VMNanobenchmark -Engine BinaryTranslation -Paging Shadow -Operation ptetoggle).Events</code>
/// <para>Lists everything that was counted for one iteration.</para>
/// </example>
/// <example>
/// <code>Invoke-VMNanobenchmark -Engine HardwareAssist -Operation cr8wr, cr3 -Bits 32, 64 -Paging Shadow, Nested -Iterations 1000</code>
/// <para>Shows which exits a 32-bit kernel takes that a 64-bit one does not, with each way of paging.</para>
/// </example>
[Cmdlet(VerbsLifecycle.Invoke, "VMNanobenchmark")]
[OutputType(typeof(NanobenchmarkResult))]
public sealed class InvokeVMNanobenchmark : PSCmdlet, IDisposable
{
    private readonly CancellationTokenSource _stop = new();

    /// <summary>The engines to measure; the default engine unless given.</summary>
    [Parameter(Position = 0)]
    [ValidateNotNullOrEmpty]
    public EngineKind[] Engine { get; set; } = [new MachineConfiguration { Name = "nanobenchmark" }.Engine];

    /// <summary>The operations to measure; all unless given.</summary>
    [Parameter(Position = 1)]
    [ValidateNotNullOrEmpty]
    [ArgumentCompleter(typeof(NanobenchmarkOperationCompleter))]
    public string[] Operation { get; set; } = [.. BuiltInGuest.NanobenchmarkOperations];

    /// <summary>The size of the guest's words: 64 unless given. With 32 it is in protected mode, with PAE page tables, SYSENTER for syscall, and for cr8wr a store to the local APIC. With both, it is measured in either.</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    [ValidateSet("32", "64")]
    public int[] Bits { get; set; } = [64];

    /// <summary>What the TLB is refilled from: of these each engine is measured with those that it has. What suits the engine, unless given.</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    public PagingKind[] Paging { get; set; } = [];

    /// <summary>HardwareAssist and Hybrid: what their virtual silicon has; they are measured with each. Current unless given. See docs/hardware-assist.md.</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    public ProcessorGeneration[] Generation { get; set; } = [ProcessorGeneration.Current];

    /// <summary>What events cost, for ModelledCycles and for what Hybrid goes by: by name or as Get-VMCostProfile and Measure-VMCostProfile write it; Pentium4-672 unless given.</summary>
    [Parameter]
    [CostProfileTransformation]
    [ArgumentCompleter(typeof(CostProfileCompleter))]
    [ValidateNotNull]
    public CostProfile CostProfile { get; set; } = CostProfiles.Pentium4;

    /// <summary>Iterations to measure; 200000 unless given.</summary>
    [Parameter]
    [ValidateRange(1L, 1_000_000_000_000L)]
    public long Iterations { get; set; } = 200_000;

    /// <summary>How often to measure the host's time; 3 unless given.</summary>
    [Parameter]
    [ValidateRange(1, 1000)]
    public int Repeat { get; set; } = 3;

    /// <inheritdoc/>
    protected override void BeginProcessing()
    {
        try
        {
            NanobenchmarkImage.Check(Operation);
        }
        catch (MachineException e)
        {
            ThrowTerminatingError(ErrorRecords.From(e, Operation));
        }
    }

    /// <inheritdoc/>
    protected override void ProcessRecord()
    {
        try
        {
            for (int i = 0; i < Bits.Length; i++)
            {
                using var image = new NanobenchmarkImage(Bits[i]);
                MachineConfiguration[] configurations = [.. Configurations(image)];
                for (int j = 0; j < configurations.Length; j++)
                    MeasureAll(configurations[j], Bits[i], (i + (double)j / configurations.Length) / Bits.Length, 1.0 / (Bits.Length * configurations.Length));
            }
            ShowProgress("", 1);
        }
        catch (OperationCanceledException)
        {
            throw new PipelineStoppedException();
        }
    }

    private IEnumerable<MachineConfiguration> Configurations(NanobenchmarkImage image)
    {
        foreach (EngineKind engine in Engine)
        {
            foreach (PagingKind? paging in PagingSelection.For(engine, Paging))
            {
                foreach (ProcessorGeneration generation in engine is EngineKind.HardwareAssist or EngineKind.Hybrid ? Generation : [ProcessorGeneration.Current])
                    yield return image.Configuration(engine, paging) with { Generation = generation, CostProfile = CostProfile };
            }
        }
    }

    /// <param name="configuration">The machine.</param>
    /// <param name="bits">Of the image.</param>
    /// <param name="done">The part of everything that has been done.</param>
    /// <param name="part">The part of everything that this is.</param>
    private void MeasureAll(MachineConfiguration configuration, int bits, double done, double part)
    {
        try
        {
            var benchmark = new Nanobenchmark(configuration, bits, _stop.Token);
            benchmark.Check();
            for (int i = 0; i < Operation.Length; i++)
            {
                ShowProgress($"{Operation[i]} on {GuestText.Configuration(configuration.Engine, configuration.Paging)}, {bits} bits", done + part * i / Operation.Length);
                Measure(benchmark, Operation[i]);
            }
        }
        catch (Exception e) when (ErrorRecords.IsExpected(e))
        {
            WriteError(ErrorRecords.From(e, configuration.Engine));
        }
    }

    /// <summary>One operation that cannot be measured does not keep the others from it.</summary>
    private void Measure(Nanobenchmark benchmark, string operation)
    {
        try
        {
            WriteObject(benchmark.Measure(operation, Iterations, Repeat) with { Command = CommandText.Of(MyInvocation) });
        }
        catch (Exception e) when (ErrorRecords.IsExpected(e))
        {
            WriteError(ErrorRecords.From(e, operation));
        }
    }

    private void ShowProgress(string status, double done)
        => WriteProgress(new ProgressRecord(1, "Nanobenchmarks", status.Length > 0 ? status : "done")
        {
            PercentComplete = (int)(done * 100), RecordType = status.Length > 0 ? ProgressRecordType.Processing : ProgressRecordType.Completed,
        });

    /// <inheritdoc/>
    protected override void StopProcessing() => _stop.Cancel();

    /// <inheritdoc/>
    public void Dispose() => _stop.Dispose();
}
