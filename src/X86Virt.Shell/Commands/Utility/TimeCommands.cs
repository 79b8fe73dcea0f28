using System.Diagnostics;
using System.Globalization;
using System.Management.Automation;

namespace X86Virt.Shell.Commands.Utility;

[Cmdlet(VerbsCommon.Get, "Date")]
public sealed class GetDateCommand : PSCmdlet
{
    [Parameter(Position = 0, ValueFromPipeline = true)] public DateTime? Date { get; set; }
    [Parameter] public string? Format { get; set; }
    [Parameter] public string? UFormat { get; set; }
    [Parameter] public SwitchParameter AsUTC { get; set; }

    protected override void ProcessRecord()
    {
        DateTime date = Date ?? DateTime.Now;
        if (AsUTC)
            date = date.ToUniversalTime();
        if (UFormat == "%s")
            WriteObject(new DateTimeOffset(date).ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture));
        else
            WriteObject(Format == null ? date : date.ToString(Format, CultureInfo.CurrentCulture));
    }
}

[Cmdlet(VerbsCommon.New, "TimeSpan", DefaultParameterSetName = "Time")]
public sealed class NewTimeSpanCommand : PSCmdlet
{
    [Parameter(ParameterSetName = "Date", Position = 0)] public DateTime Start { get; set; } = DateTime.Now;
    [Parameter(ParameterSetName = "Date", Position = 1)] public DateTime End { get; set; } = DateTime.Now;
    [Parameter(ParameterSetName = "Time")] public int Days { get; set; }
    [Parameter(ParameterSetName = "Time")] public int Hours { get; set; }
    [Parameter(ParameterSetName = "Time")] public int Minutes { get; set; }
    [Parameter(ParameterSetName = "Time")] public int Seconds { get; set; }
    [Parameter(ParameterSetName = "Time")] public int Milliseconds { get; set; }

    protected override void ProcessRecord()
        => WriteObject(ParameterSetName == "Date" ? End - Start : new TimeSpan(Days, Hours, Minutes, Seconds, Milliseconds));
}

[Cmdlet(VerbsLifecycle.Start, "Sleep", DefaultParameterSetName = "Seconds")]
public sealed class StartSleepCommand : PSCmdlet, IDisposable
{
    private readonly ManualResetEventSlim _stop = new();

    [Parameter(Position = 0, Mandatory = true, ParameterSetName = "Seconds")] public double Seconds { get; set; }
    [Parameter(Mandatory = true, ParameterSetName = "Milliseconds"), Alias("ms")] public int Milliseconds { get; set; }
    [Parameter(Mandatory = true, ParameterSetName = "Duration")] public TimeSpan Duration { get; set; }

    protected override void ProcessRecord() => _stop.Wait(ParameterSetName switch
    {
        "Seconds" => TimeSpan.FromSeconds(Seconds),
        "Milliseconds" => TimeSpan.FromMilliseconds(Milliseconds),
        _ => Duration,
    });

    protected override void StopProcessing() => _stop.Set();

    public void Dispose() => _stop.Dispose();
}

[Cmdlet(VerbsDiagnostic.Measure, "Command")]
public sealed class MeasureCommandCommand : PSCmdlet
{
    private readonly Stopwatch _watch = new();

    [Parameter(ValueFromPipeline = true)] public PSObject? InputObject { get; set; }
    [Parameter(Position = 0, Mandatory = true)] public ScriptBlock Expression { get; set; } = null!;

    protected override void ProcessRecord()
    {
        _watch.Start();
        Expression.InvokeWithContext(null, [new PSVariable("_", InputObject)]);
        _watch.Stop();
    }

    protected override void EndProcessing() => WriteObject(_watch.Elapsed);
}

[Cmdlet(VerbsCommon.Get, "Random")]
public sealed class GetRandomCommand : PSCmdlet
{
    private readonly List<PSObject> _items = [];

    [Parameter(Position = 0)] public object? Maximum { get; set; }
    [Parameter] public object? Minimum { get; set; }
    [Parameter(ValueFromPipeline = true)] public PSObject[]? InputObject { get; set; }
    [Parameter] public int Count { get; set; } = 1;
    [Parameter] public int? SetSeed { get; set; }
    [Parameter] public SwitchParameter Shuffle { get; set; }

    protected override void ProcessRecord() => _items.AddRange(InputObject ?? []);

    protected override void EndProcessing()
    {
        Random random = SetSeed is { } seed ? new Random(seed) : Random.Shared;
        if (_items.Count > 0)
        {
            PSObject[] shuffled = [.. _items];
            random.Shuffle(shuffled);
            WriteObject(Shuffle ? shuffled : shuffled.Take(Count), true);
            return;
        }
        long low = Minimum == null ? 0 : LanguagePrimitives.ConvertTo<long>(Minimum);
        long high = Maximum == null ? int.MaxValue : LanguagePrimitives.ConvertTo<long>(Maximum);
        for (int i = 0; i < Count; i++)
        {
            long value = random.NextInt64(low, high);
            WriteObject(value is >= int.MinValue and <= int.MaxValue ? (int)value : value);
        }
    }
}

[Cmdlet(VerbsCommon.New, "Guid")]
public sealed class NewGuidCommand : PSCmdlet
{
    protected override void ProcessRecord() => WriteObject(Guid.NewGuid());
}
