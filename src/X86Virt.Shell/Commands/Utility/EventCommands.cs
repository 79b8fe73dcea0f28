using System.Management.Automation;

namespace X86Virt.Shell.Commands.Utility;

/// <summary>Get-Event: events that wait to be received.</summary>
[Cmdlet(VerbsCommon.Get, "Event")]
[OutputType(typeof(PSEventArgs))]
public sealed class GetEventCommand : PSCmdlet
{
    [Parameter(Position = 0)]
    [SupportsWildcards]
    public string SourceIdentifier { get; set; } = "*";

    protected override void ProcessRecord()
    {
        var pattern = new WildcardPattern(SourceIdentifier, WildcardOptions.IgnoreCase);
        lock (Events.ReceivedEvents.SyncRoot)
            WriteObject(Events.ReceivedEvents.Where(e => pattern.IsMatch(e.SourceIdentifier)).ToArray(), enumerateCollection: true);
    }
}

/// <summary>Wait-Event: the first event that waits, or comes.</summary>
[Cmdlet(VerbsLifecycle.Wait, "Event")]
[OutputType(typeof(PSEventArgs))]
public sealed class WaitEventCommand : PSCmdlet
{
    // A monitor, of which nothing is disposed: an event that is under way when the wait is over is still told of.
    private readonly object _gate = new();
    private int _came;
    private volatile bool _stopped;

    [Parameter(Position = 0)]
    [SupportsWildcards]
    public string SourceIdentifier { get; set; } = "*";

    /// <summary>In seconds; for ever when it is not given.</summary>
    [Parameter]
    [Alias("TimeoutSec")]
    [ValidateRange(-1, int.MaxValue / 1000)]
    public int Timeout { get; set; } = -1;

    protected override void ProcessRecord()
    {
        const int Look = 200;
        long end = Timeout < 0 ? long.MaxValue : Environment.TickCount64 + Timeout * 1000L;
        PSEventReceivedEventHandler onEvent = (_, _) => Wake();
        Events.ReceivedEvents.PSEventReceived += onEvent;
        try
        {
            PSEventArgs? found;
            int seen = Volatile.Read(ref _came);
            while ((found = Find()) == null && !_stopped)
            {
                long left = end - Environment.TickCount64;
                if (left <= 0)
                    return;
                lock (_gate)
                {
                    if (_came == seen)
                        Monitor.Wait(_gate, (int)Math.Min(left, Look));
                    seen = _came;
                }
                // Actions of other subscriptions run on this thread.
                InvokeCommand.InvokeScript("");
            }
            WriteObject(found);
        }
        finally
        {
            Events.ReceivedEvents.PSEventReceived -= onEvent;
        }
    }

    private PSEventArgs? Find()
    {
        var pattern = new WildcardPattern(SourceIdentifier, WildcardOptions.IgnoreCase);
        lock (Events.ReceivedEvents.SyncRoot)
            return Events.ReceivedEvents.FirstOrDefault(e => pattern.IsMatch(e.SourceIdentifier));
    }

    protected override void StopProcessing()
    {
        _stopped = true;
        Wake();
    }

    private void Wake()
    {
        lock (_gate)
        {
            _came++;
            Monitor.PulseAll(_gate);
        }
    }
}

/// <summary>Remove-Event: drops events that wait.</summary>
[Cmdlet(VerbsCommon.Remove, "Event", DefaultParameterSetName = BySource)]
public sealed class RemoveEventCommand : PSCmdlet
{
    private const string BySource = "SourceIdentifier";

    [Parameter(ParameterSetName = BySource, Mandatory = true, Position = 0, ValueFromPipelineByPropertyName = true)]
    [SupportsWildcards]
    public string SourceIdentifier { get; set; } = "";

    [Parameter(ParameterSetName = "EventIdentifier", Mandatory = true)]
    public int EventIdentifier { get; set; }

    protected override void ProcessRecord()
    {
        var pattern = new WildcardPattern(SourceIdentifier, WildcardOptions.IgnoreCase);
        lock (Events.ReceivedEvents.SyncRoot)
        {
            for (int i = Events.ReceivedEvents.Count - 1; i >= 0; i--)
            {
                PSEventArgs e = Events.ReceivedEvents[i];
                if (ParameterSetName == BySource ? pattern.IsMatch(e.SourceIdentifier) : e.EventIdentifier == EventIdentifier)
                    Events.ReceivedEvents.RemoveAt(i);
            }
        }
    }
}

/// <summary>Get-EventSubscriber: subscriptions.</summary>
[Cmdlet(VerbsCommon.Get, "EventSubscriber")]
[OutputType(typeof(PSEventSubscriber))]
public sealed class GetEventSubscriberCommand : PSCmdlet
{
    [Parameter(Position = 0)]
    [SupportsWildcards]
    public string SourceIdentifier { get; set; } = "*";

    protected override void ProcessRecord()
    {
        var pattern = new WildcardPattern(SourceIdentifier, WildcardOptions.IgnoreCase);
        WriteObject(Events.Subscribers.Where(s => pattern.IsMatch(s.SourceIdentifier)).ToArray(), enumerateCollection: true);
    }
}

/// <summary>Unregister-Event: ends subscriptions.</summary>
[Cmdlet(VerbsLifecycle.Unregister, "Event")]
public sealed class UnregisterEventCommand : PSCmdlet
{
    [Parameter(Mandatory = true, Position = 0, ValueFromPipelineByPropertyName = true)]
    [SupportsWildcards]
    public string SourceIdentifier { get; set; } = "";

    protected override void ProcessRecord()
    {
        var pattern = new WildcardPattern(SourceIdentifier, WildcardOptions.IgnoreCase);
        PSEventSubscriber[] found = [.. Events.Subscribers.Where(s => pattern.IsMatch(s.SourceIdentifier))];
        if (found.Length == 0 && !WildcardPattern.ContainsWildcardCharacters(SourceIdentifier))
        {
            WriteError(new ErrorRecord(new ItemNotFoundException($"There is no subscription '{SourceIdentifier}'. Get-EventSubscriber lists those there are."),
                "InvalidSubscriptionIdentifier", ErrorCategory.ObjectNotFound, SourceIdentifier));
        }
        foreach (PSEventSubscriber subscriber in found)
            Events.UnsubscribeEvent(subscriber);
    }
}
