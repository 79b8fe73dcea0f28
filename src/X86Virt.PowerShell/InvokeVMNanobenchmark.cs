using System.Management.Automation;
using X86Virt.Engine;
using X86Virt.Engine.Processor;
using X86Virt.Guests;

namespace X86Virt.PowerShell;

/// <summary>Measures what single sensitive operations cost on each engine, with a small guest that does nothing else.</summary>
/// <remarks>
/// <para>The guest is a 64-bit test operating system with one operation in each of its loops: syscall, in, cr8wr, callret, pgfault, divzero, ptemod (a store of the present value into a page table entry) as in Adams and Agesen's paper; ptetoggle makes the entry not present and present again in one iteration. The page is not used between the stores: with -Paging Shadow its shadow table is soon dropped, and the stores are no longer traced. pteuse empties the TLB and reads pages through one of 512 page tables, ever another; ptesame stores the present value into one of its entries besides, pteclear makes an entry not present, and pteset makes one present and reads its page. Their tables stay in use, so that each of these stores is traced; each iteration takes an entry of its own, so there are at most 257048. hltwake arms the timer and halts until its interrupt. cr3switch does two operations an iteration; empty is the loop itself.</para>
/// <para>Every operation runs twice, with 1000 iterations and with as many more as -Iterations says; the difference is what is reported. Its counts are the same on every run. Its host time is not: -Repeat runs give the median and the spread.</para>
/// </remarks>
/// <example>
/// <code>Invoke-VMNanobenchmark -Engine Interpreter, BinaryTranslation -Operation syscall, in, pgfault</code>
/// <para>Compares three operations on two engines.</para>
/// </example>
/// <example>
/// <code>(Invoke-VMNanobenchmark -Engine BinaryTranslation -Paging Shadow -Operation ptetoggle).Events</code>
/// <para>Lists everything that was counted for one iteration.</para>
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

    /// <summary>What the TLB is refilled from; each engine is measured with each. What suits the engine, unless given.</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    public PagingKind[] Paging { get; set; } = [];

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
            using var image = new NanobenchmarkImage();
            foreach (EngineKind engine in Engine)
            {
                foreach (PagingKind? paging in Paging.Length == 0 ? [null] : Paging.Select(p => (PagingKind?)p))
                    MeasureAll(image.Configuration(engine, paging));
            }
        }
        catch (OperationCanceledException)
        {
            throw new PipelineStoppedException();
        }
    }

    private void MeasureAll(MachineConfiguration configuration)
    {
        var benchmark = new Nanobenchmark(configuration, _stop.Token);
        foreach (string operation in Operation)
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
    }

    /// <inheritdoc/>
    protected override void StopProcessing() => _stop.Cancel();

    /// <inheritdoc/>
    public void Dispose() => _stop.Dispose();
}
