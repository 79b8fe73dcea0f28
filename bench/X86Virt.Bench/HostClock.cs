using System.Diagnostics;
using System.Runtime.InteropServices;

namespace X86Virt.Bench;

/// <summary>
/// Processor time in nanoseconds, which other people's load on the host does not add to. On hosts without such a clock: time of day.
/// </summary>
internal static partial class HostClock
{
    private const int ThreadCpuTime = 3;

    /// <summary>Low bits of the id of a process's clock: time scheduled.</summary>
    private const int Scheduled = 2;

    private struct TimeSpec
    {
        public long Seconds;
        public long Nanoseconds;
    }

    [LibraryImport("libc", EntryPoint = "clock_gettime")]
    private static partial int GetTime(int clock, out TimeSpec time);

    /// <summary>Time that the calling thread has run.</summary>
    public static long OfThread() => Read(ThreadCpuTime) ?? WallClock;

    /// <summary>Time that all threads of a process have run, exact to a clock tick of the host (4 ms); null if it has ended.</summary>
    public static long? OfProcess(int id) => OperatingSystem.IsLinux() ? Read(~id << 3 | Scheduled) : WallClock;

    private static long WallClock => (long)(Stopwatch.GetTimestamp() * (1e9 / Stopwatch.Frequency));

    private static long? Read(int clock)
        => OperatingSystem.IsLinux() && GetTime(clock, out TimeSpec time) == 0 ? time.Seconds * 1_000_000_000 + time.Nanoseconds : null;
}
