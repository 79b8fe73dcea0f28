namespace X86Virt.Engine.Platform;

/// <summary>What a board is made with beyond its memory.</summary>
public sealed record BoardOptions
{
    /// <summary>Instructions a second of guest time under the virtual clock, and the rate of the time-stamp counter, in Hz.</summary>
    public long ClockRate { get; init; } = 1_000_000_000;

    /// <summary>Guest time is the host's, not that of retired instructions.</summary>
    public bool RealTime { get; init; }

    /// <summary>What the real-time clock shows at power-on; the same for every machine unless told, so that runs can be repeated.</summary>
    public DateTime StartTime { get; init; } = new(2026, 1, 1, 0, 0, 0, DateTimeKind.Utc);

    /// <summary>An image of firmware, which the processor then starts in; empty to start kernels directly.</summary>
    public ReadOnlyMemory<byte> Firmware { get; init; }

    /// <summary>Files that the firmware configuration device has besides the board's own; by custom their names begin with "opt/".</summary>
    public IReadOnlyDictionary<string, ReadOnlyMemory<byte>> FirmwareItems { get; init; } = new Dictionary<string, ReadOnlyMemory<byte>>();
}
