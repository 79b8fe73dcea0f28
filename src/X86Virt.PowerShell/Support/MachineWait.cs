using System.Globalization;
using System.Management.Automation;
using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>Waiting for a machine, with progress once it takes a while, until the time is up or the user stops the pipeline.</summary>
internal sealed class MachineWait(Cmdlet cmdlet, VirtualMachine machine, TimeSpan? timeout, CancellationToken stopping)
{
    private const int LookMilliseconds = 250;
    private const int QuietMilliseconds = 1000;

    private readonly long _start = Environment.TickCount64;
    private bool _progressShown;

    private bool TimeIsUp => timeout is { } t && Environment.TickCount64 - _start >= t.TotalMilliseconds;

    /// <summary>How long to sleep before the next look.</summary>
    private TimeSpan Slice
        => TimeSpan.FromMilliseconds(timeout is { } t ? Math.Clamp(t.TotalMilliseconds - (Environment.TickCount64 - _start), 0, LookMilliseconds) : LookMilliseconds);

    /// <summary>Waits for a condition on the machine's state. False if the time is up or the wait was stopped.</summary>
    public bool Until(Func<bool> condition)
    {
        using var changed = new AutoResetEvent(false);
        void OnChanged(object? sender, EventArgs e) => changed.Set();
        machine.StateChanged += OnChanged;
        try
        {
            return Poll(_ =>
            {
                if (!condition())
                    WaitHandle.WaitAny([changed, stopping.WaitHandle], Slice);
                return condition();
            });
        }
        finally
        {
            machine.StateChanged -= OnChanged;
        }
    }

    /// <summary>Looks again and again, each time for a <see cref="Slice"/> at most. False if the time is up or the wait was stopped.</summary>
    public bool Poll(Func<TimeSpan, bool> look)
    {
        try
        {
            while (!look(Slice))
            {
                if (stopping.IsCancellationRequested || TimeIsUp)
                    return false;
                if (Environment.TickCount64 - _start >= QuietMilliseconds)
                    ShowProgress(ProgressRecordType.Processing);
            }
            return true;
        }
        finally
        {
            if (_progressShown && !stopping.IsCancellationRequested)
                ShowProgress(ProgressRecordType.Completed);
        }
    }

    private void ShowProgress(ProgressRecordType type)
    {
        _progressShown = true;
        string status = string.Create(CultureInfo.InvariantCulture,
            $"{machine.State}, {machine.InstructionsRetired / 1e6:n0} million instructions, {machine.Mips:n0} MIPS, guest time {machine.Uptime:hh\\:mm\\:ss\\.f}");
        cmdlet.WriteProgress(new ProgressRecord(1, $"Machine {machine.Name}", status) { RecordType = type, CurrentOperation = ConsoleText.LastLine(machine.Console) });
    }
}
