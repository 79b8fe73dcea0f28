using System.Management.Automation;
using System.Management.Automation.Language;
using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>Subscribes to the exits of machines that run on HardwareAssist: an event for each that is wanted.</summary>
/// <remarks>
/// <para>Works as Register-ObjectEvent does: with -Action a script runs for each event, else events wait for Wait-Event and Get-Event. $EventArgs.Exit is the exit, an object as Get-VmExit writes it, $EventArgs.VM the machine, $EventArgs.Missed how many exits could not be looked at. Unregister-Event ends it, and so does removing the machine.</para>
/// <para>The guest never waits for an event. At most 1000 events of a subscription wait to be received, or one to be acted upon; while they do, exits are missed once they are older than the last 4096 (of those that match a user's intercept, 1024). -Requested together with Set-VmcbIntercept is the way to be told of few exits among many.</para>
/// </remarks>
/// <example>
/// <code>Register-VmExitEvent demo -Reason PORT -SourceIdentifier demo-exit; (Wait-Event demo-exit -Timeout 30).SourceEventArgs.Exit; Unregister-Event demo-exit; Remove-Event demo-exit</code>
/// <para>Waits for a guest to access a port.</para>
/// </example>
/// <example>
/// <code>Set-VmcbIntercept demo -Exception GP; Register-VmExitEvent demo -Requested -SourceIdentifier demo-gp -Action { Write-Host $EventArgs.Exit.Disassembly }; Unregister-Event demo-gp</code>
/// <para>Has the instruction of each general protection fault written, as it happens.</para>
/// </example>
[Cmdlet(VerbsLifecycle.Register, "VmExitEvent", DefaultParameterSetName = ByName)]
[OutputType(typeof(PSEventJob))]
public sealed class RegisterVmExitEvent : MachineCmdlet
{
    private const int MostPending = 1000;

    /// <summary>Only exits for these reasons, as Get-VmExit names them.</summary>
    [Parameter(Position = 1)]
    [SupportsWildcards]
    [ValidateNotNullOrEmpty]
    public string[] Reason { get; set; } = ["*"];

    /// <summary>Only exits that match an intercept of Set-VmcbIntercept.</summary>
    [Parameter]
    public SwitchParameter Requested { get; set; }

    /// <summary>A name for the subscription, by which events are received and it is ended. Made up when it is not given.</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    public string? SourceIdentifier { get; set; }

    /// <summary>What to run for each event, with $Event, $EventArgs, $EventSubscriber and $Sender.</summary>
    [Parameter]
    [ValidateNotNull]
    public ScriptBlock? Action { get; set; }

    /// <summary>An object that goes with each event.</summary>
    [Parameter]
    public PSObject? MessageData { get; set; }

    /// <summary>End the subscription after this many events.</summary>
    [Parameter]
    [ValidateRange(1, int.MaxValue)]
    public int? MaxTriggerCount { get; set; }

    /// <inheritdoc/>
    protected override void Process(VirtualMachine machine)
    {
        string identifier = SourceIdentifier ?? Guid.NewGuid().ToString();
        if (Events.GetEventSubscribers(identifier).Any())
            throw new MachineException("SourceIdentifierExists", $"There is a subscription '{identifier}' already. Give another -SourceIdentifier, or end that one with Unregister-Event.");
        WildcardPattern[] wanted = [.. Reason.Select(r => new WildcardPattern(r, WildcardOptions.IgnoreCase))];
        var source = new VmExitSource(machine, machine.FollowExits(0, Requested, DisassemblySyntax.Intel), exit => wanted.Any(w => w.IsMatch(exit.Reason)), RoomIn(Events, identifier));
        if (Action == null)
            ReleaseReceived(Events.ReceivedEvents, source);
        PSEventSubscriber subscriber = Events.SubscribeEvent(source, nameof(source.Exit), identifier, MessageData, Action == null ? null : Releasing(Action),
            supportEvent: false, forwardEvent: false, maxTriggerCount: MaxTriggerCount ?? 0);
        if (subscriber.Action != null)
            WriteObject(subscriber.Action);
    }

    /// <summary>Events without an action wait until they are removed.</summary>
    private Func<bool> RoomIn(PSEventManager events, string identifier)
    {
        if (Action != null)
            return () => true;
        return () =>
        {
            lock (events.ReceivedEvents.SyncRoot)
                return events.ReceivedEvents.Count(e => e.SourceIdentifier == identifier) < MostPending;
        };
    }

    private static void ReleaseReceived(PSEventArgsCollection queue, VmExitSource source)
    {
        queue.PSEventReceived += OnReceived;
        source.Ended += (_, _) => queue.PSEventReceived -= OnReceived;

        void OnReceived(object sender, PSEventArgs e)
        {
            if (e.Sender == source)
                ((VmExitEventArgs)e.SourceEventArgs).Release();
        }
    }

    /// <summary>The action, followed by the release of its event.</summary>
    private static ScriptBlock Releasing(ScriptBlock action)
    {
        var script = (ScriptBlockAst)action.Ast;
        if (script.BeginBlock != null || script.ProcessBlock != null || script.DynamicParamBlock != null || script.EndBlock is { Unnamed: false })
            throw new MachineException("InvalidAction", "The action of an event has no begin, process and end blocks. Give statements, with a param block in front of them if need be.");
        IScriptExtent? body = script.EndBlock?.Extent;
        // The extent of the statements begins with the param block.
        int parameters = script.ParamBlock == null ? 0 : script.ParamBlock.Extent.EndOffset - body!.StartOffset;
        return ScriptBlock.Create($"{body?.Text[..parameters]}\ntry {{\n{body?.Text[parameters..]}\n}} finally {{ $EventArgs.Release() }}");
    }
}
