using System.Diagnostics;
using System.Text;
using System.Text.RegularExpressions;

namespace X86Virt.Engine;

/// <summary>
/// Everything the guest has written to its first serial port, as text (UTF-8, malformed bytes replaced). Written by the machine's
/// thread, read by any.
/// </summary>
public sealed class ConsoleTranscript
{
    private const int PausesPerSearch = 10;
    private static readonly TimeSpan s_briefSearch = TimeSpan.FromMicroseconds(100);

    private readonly object _lock = new();
    private readonly StringBuilder _text = new();
    private readonly Decoder _decoder = Encoding.UTF8.GetDecoder();
    private bool _ended;

    /// <summary>Raised after each piece of output, on the machine's thread.</summary>
    public event EventHandler? Written;

    /// <summary>Characters so far; a position for <see cref="Read"/>.</summary>
    public int Length
    {
        get
        {
            lock (_lock)
                return _text.Length;
        }
    }

    /// <summary>How much there is; <see cref="Read"/> gives it.</summary>
    public override string ToString() => $"{Length} characters";

    /// <summary>What was written from a position on.</summary>
    public string Read(int from)
    {
        lock (_lock)
            return from >= _text.Length ? "" : _text.ToString(from, _text.Length - from);
    }

    /// <summary>Waits until something stands behind a position, the machine is no longer running, or the time is up.</summary>
    public bool WaitBeyond(int position, TimeSpan timeout)
    {
        lock (_lock)
        {
            if (_text.Length > position || _ended)
                return _text.Length > position;
            Monitor.Wait(_lock, timeout);
            return _text.Length > position;
        }
    }

    /// <summary>
    /// Waits until a pattern matches what was written from a position on. Null if the time is up, the machine ended, or the wait was cancelled.
    /// </summary>
    public Match? WaitFor(Regex pattern, int from, TimeSpan timeout, CancellationToken cancel)
    {
        long end = timeout == Timeout.InfiniteTimeSpan ? long.MaxValue : Environment.TickCount64 + (long)timeout.TotalMilliseconds;
        int seen = -1;
        while (true)
        {
            bool ended;
            string text;
            long started;
            lock (_lock)
            {
                long left = end - Environment.TickCount64;
                if (_text.Length == seen && !_ended && left > 0 && !cancel.IsCancellationRequested)
                    Monitor.Wait(_lock, (int)Math.Min(left, 50));
                ended = _ended;
                if (_text.Length == seen && !ended && Environment.TickCount64 < end && !cancel.IsCancellationRequested)
                    continue;
                seen = _text.Length;
                started = Stopwatch.GetTimestamp();
                text = _text.ToString(from, Math.Max(0, seen - from));
            }
            Match match = pattern.Match(text);
            if (match.Success)
                return match;
            if (ended || Environment.TickCount64 >= end || cancel.IsCancellationRequested)
                return null;
            // All of a long transcript is searched for every character that comes: one that takes long is searched less often, so that the machine has the time and the lock.
            TimeSpan took = Stopwatch.GetElapsedTime(started);
            if (took > s_briefSearch)
                cancel.WaitHandle.WaitOne((int)Math.Min(PausesPerSearch * took.TotalMilliseconds, Math.Max(0, end - Environment.TickCount64)));
        }
    }

    internal void Append(ReadOnlySpan<byte> bytes)
    {
        Span<char> characters = stackalloc char[Encoding.UTF8.GetMaxCharCount(Math.Min(bytes.Length, 256))];
        lock (_lock)
        {
            for (int done = 0; done < bytes.Length; done += 256)
            {
                ReadOnlySpan<byte> part = bytes.Slice(done, Math.Min(256, bytes.Length - done));
                int count = _decoder.GetChars(part, characters, flush: false);
                _text.Append(characters[..count]);
            }
            Monitor.PulseAll(_lock);
        }
        Written?.Invoke(this, EventArgs.Empty);
    }

    /// <summary>Wakes waiting readers for good once the machine has stopped, and lets them wait again when it starts.</summary>
    internal void SetEnded(bool ended)
    {
        lock (_lock)
        {
            _ended = ended;
            Monitor.PulseAll(_lock);
        }
    }
}
