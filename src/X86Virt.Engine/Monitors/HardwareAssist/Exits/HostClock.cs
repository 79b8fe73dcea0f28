using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using X86Virt.Engine.Memory;

namespace X86Virt.Engine.Monitors;

/// <summary>
/// Host time for what takes some hundred nanoseconds: the host's time-stamp counter, which is read in a third of the time that the performance counter takes, where
/// it counts at one rate; else the performance counter.
/// </summary>
internal sealed unsafe class HostClock
{
    private const int PowerManagementLeaf = unchecked((int)0x8000_0007), InvariantTimeStamp = 1 << 8;

    /// <summary>rdtsc; shl rdx, 32; or rax, rdx; ret.</summary>
    private static ReadOnlySpan<byte> Code => [0x0F, 0x31, 0x48, 0xC1, 0xE2, 0x20, 0x48, 0x09, 0xD0, 0xC3];

    // Made once for the process and never freed: whoever reads exits may do so while their machine is removed.
    private static readonly delegate* unmanaged[SuppressGCTransition]<long> s_read = CountsEvenly ? Make() : null;

    private readonly long _firstTicks, _firstCount;

    public HostClock() => (_firstTicks, _firstCount) = (Now, Stopwatch.GetTimestamp());

    /// <summary>In ticks of a length that <see cref="NanosecondsPerTick"/> tells.</summary>
    public long Now => s_read != null ? s_read() : Stopwatch.GetTimestamp();

    /// <summary>From what both counters have counted since the clock was made.</summary>
    public double NanosecondsPerTick
    {
        get
        {
            const double Second = 1e9;
            long count = Stopwatch.GetTimestamp() - _firstCount, ticks = Now - _firstTicks;
            return s_read == null || count <= 0 || ticks <= 0 ? Second / Stopwatch.Frequency : count * (Second / Stopwatch.Frequency) / ticks;
        }
    }

    private static bool CountsEvenly
        => RuntimeInformation.ProcessArchitecture == Architecture.X64 && X86Base.IsSupported && X86Base.CpuId(PowerManagementLeaf, 0) is { Edx: var edx } && (edx & InvariantTimeStamp) != 0;

    private static delegate* unmanaged[SuppressGCTransition]<long> Make()
    {
        try
        {
            var memory = new ExecutableMemory(Code.Length);
            Code.CopyTo(new Span<byte>(memory.WriteView, Code.Length));
            return (delegate* unmanaged[SuppressGCTransition]<long>)memory.ExecuteView;
        }
        catch (InsufficientMemoryException)
        {
            return null;
        }
    }
}
