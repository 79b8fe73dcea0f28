using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Platform;

/// <summary>
/// A device's appointment with guest time. Made once by <see cref="EventQueue.CreateTimer"/>; setting and cancelling allocate
/// nothing.
/// </summary>
public sealed class GuestTimer
{
    private readonly EventQueue _queue;

    internal GuestTimer(EventQueue queue, string name, Action callback)
    {
        _queue = queue;
        Name = name;
        Callback = callback;
    }

    public string Name { get; }

    /// <summary>Guest time in nanoseconds at which it is due; <see cref="long.MaxValue"/> while it is not set.</summary>
    public long Deadline { get; internal set; } = long.MaxValue;

    public bool IsSet => Deadline != long.MaxValue;

    internal Action Callback { get; }
    internal GuestTimer? Next { get; set; }

    /// <summary>Due at <paramref name="deadline"/> nanoseconds of guest time, in place of any earlier appointment; <see cref="long.MaxValue"/> cancels.</summary>
    public void Set(long deadline) => _queue.Set(this, deadline);

    public void Cancel() => _queue.Set(this, long.MaxValue);
}

/// <summary>
/// Timers by deadline. One is due at the first instruction boundary at which guest time has reached its deadline; those with
/// equal deadlines run in the order in which they were set. A timer that becomes the earliest brings the processor's deadline
/// forward; the run loop alone puts it back.
/// </summary>
public sealed unsafe class EventQueue(Cpu cpu, GuestClock clock)
{
    // Sorted and linked through the timers: a board has about twenty, most of them not set.
    private GuestTimer? _first;

    /// <summary>Guest time of the earliest timer; <see cref="long.MaxValue"/> if none is set.</summary>
    public long NextDeadline => _first?.Deadline ?? long.MaxValue;

    /// <summary>The timers that are set, earliest first.</summary>
    public IEnumerable<GuestTimer> Pending
    {
        get
        {
            for (GuestTimer? t = _first; t != null; t = t.Next)
                yield return t;
        }
    }

    /// <summary>The retired-instruction count at which the run loop is to call <see cref="RunDue"/>.</summary>
    public long NextRetired => clock.RetiredAt(NextDeadline);

    /// <param name="name">Shown to a person.</param>
    /// <param name="callback">Runs on the machine's thread between two instructions.</param>
    public GuestTimer CreateTimer(string name, Action callback) => new(this, name, callback);

    /// <summary>Runs every timer that is due.</summary>
    public void RunDue()
    {
        while (_first is { } timer && timer.Deadline <= clock.Now)
        {
            _first = timer.Next;
            timer.Next = null;
            timer.Deadline = long.MaxValue;
            timer.Callback();
        }
    }

    /// <summary>
    /// For a halted processor under the virtual clock: lets time pass to the earliest timer and runs what is due.
    /// False if no timer is set, so that only the outside world can wake the guest.
    /// </summary>
    public bool SkipToNext()
    {
        if (_first == null)
            return false;
        clock.SkipTo(_first.Deadline);
        RunDue();
        return true;
    }

    internal void Set(GuestTimer timer, long deadline)
    {
        if (timer.IsSet)
            Remove(timer);
        timer.Deadline = deadline;
        if (deadline == long.MaxValue)
            return;
        Insert(timer);
        if (timer == _first)
            cpu.BringDeadlineForward(NextRetired);
    }

    private void Insert(GuestTimer timer)
    {
        GuestTimer? before = null;
        GuestTimer? after = _first;
        while (after != null && after.Deadline <= timer.Deadline)
            (before, after) = (after, after.Next);
        timer.Next = after;
        if (before == null)
            _first = timer;
        else
            before.Next = timer;
    }

    private void Remove(GuestTimer timer)
    {
        if (_first == timer)
        {
            _first = timer.Next;
        }
        else
        {
            GuestTimer before = _first!;
            while (before.Next != timer)
                before = before.Next!;
            before.Next = timer.Next;
        }
        timer.Next = null;
    }
}
