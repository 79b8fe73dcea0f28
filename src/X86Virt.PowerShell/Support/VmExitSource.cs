using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>What an event about an exit tells.</summary>
public sealed class VmExitEventArgs : EventArgs
{
    private readonly Action _release;

    internal VmExitEventArgs(VirtualMachine machine, VmExit exit, long missed, Action release)
    {
        VM = machine;
        Exit = exit;
        Missed = missed;
        _release = release;
    }

    /// <summary>The machine.</summary>
    public VirtualMachine VM { get; }

    /// <summary>The exit.</summary>
    public VmExit Exit { get; }

    /// <summary>Exits since the subscription that could not be looked at: they were too many at a time.</summary>
    public long Missed { get; }

    /// <summary>Lets another event follow this one, which has reached its queue, or whose action has ended.</summary>
    public void Release() => _release();
}

/// <summary>
/// Raises an event for each exit that is wanted, on a thread of its own, for as long as anybody subscribes and the machine is there. PowerShell keeps no order among events;
/// so the next is raised when the one before has been released, and waits in the machine's record of exits until then.
/// </summary>
public sealed class VmExitSource
{
    private const int MostRead = 64;
    private static readonly TimeSpan s_look = TimeSpan.FromMilliseconds(20);

    private readonly VirtualMachine _machine;
    private readonly VmExitFollower _follower;
    private readonly Func<VmExit, bool> _wanted;
    private readonly Func<bool> _hasRoom;
    private readonly object _lock = new();
    private EventHandler<VmExitEventArgs>? _subscribers;
    private bool _pending;

    /// <param name="machine">The machine.</param>
    /// <param name="follower">Its exits.</param>
    /// <param name="wanted">Which of them.</param>
    /// <param name="hasRoom">Whether another event may be raised now.</param>
    internal VmExitSource(VirtualMachine machine, VmExitFollower follower, Func<VmExit, bool> wanted, Func<bool> hasRoom)
    {
        _machine = machine;
        _follower = follower;
        _wanted = wanted;
        _hasRoom = hasRoom;
    }

    /// <summary>Nobody subscribes any more, or the machine is no more.</summary>
    internal event EventHandler? Ended;

    /// <summary>The guest has been left, and has gone on since.</summary>
    public event EventHandler<VmExitEventArgs> Exit
    {
        add
        {
            lock (_lock)
            {
                bool first = _subscribers == null;
                _subscribers += value;
                if (first)
                    new Thread(Run) { IsBackground = true, Name = $"exits of {_machine.Name}" }.Start();
            }
        }
        remove
        {
            lock (_lock)
            {
                _subscribers -= value;
                Monitor.PulseAll(_lock);
            }
        }
    }

    private bool IsWanted => _subscribers != null && !_machine.IsRemoved;

    private void Run()
    {
        while (IsWanted)
        {
            IReadOnlyList<VmExit> exits = _follower.Read(MostRead);
            foreach (VmExit exit in exits.Where(_wanted))
                Raise(exit);
            if (exits.Count == 0)
                WaitAWhile();
        }
        Ended?.Invoke(this, EventArgs.Empty);
    }

    private void Raise(VmExit exit)
    {
        while (IsWanted && (_pending || !_hasRoom()))
            WaitAWhile();
        _pending = true;
        _subscribers?.Invoke(this, new VmExitEventArgs(_machine, exit, _follower.Missed, Release));
    }

    private void Release()
    {
        lock (_lock)
        {
            _pending = false;
            Monitor.PulseAll(_lock);
        }
    }

    private void WaitAWhile()
    {
        lock (_lock)
            Monitor.Wait(_lock, s_look);
    }
}
