using X86Virt.Engine.Memory;

namespace X86Virt.Engine.Platform;

/// <summary>
/// A PC's firmware in ROM: it ends at 4 GiB, where the processor starts 16 bytes before, and its last 128 KiB are seen below 1 MiB as well
/// wherever the host bridge shows no RAM.
/// </summary>
public sealed class FirmwareRom
{
    private const ulong MiB = 1 << 20, LegacyLength = 0x2_0000;
    public const int MaximumLength = 2 << 20;

    private readonly ulong _offset, _length;

    /// <summary>Puts an image into the machine.</summary>
    /// <param name="memory">Guest-physical memory.</param>
    /// <param name="image">64 KiB to 2 MiB, whole multiples of 64 KiB.</param>
    public FirmwareRom(PhysicalMemory memory, ReadOnlySpan<byte> image)
    {
        if (!IsImageLength(image.Length))
            throw new ArgumentException($"A firmware image of {image.Length} bytes: give 64 KiB to {MaximumLength >> 20} MiB in multiples of 64 KiB.", nameof(image));
        _length = (ulong)image.Length;
        _offset = memory.AddRom(image);
        memory.MapRom(BoardMemory.FourGiB - _length, _length, _offset);
    }

    public static bool IsImageLength(int length) => length is > 0 and <= MaximumLength && length % 0x1_0000 == 0;

    /// <summary>Where in the memory block the ROM is that answers at an address below 1 MiB; null if it does not reach down there.</summary>
    public ulong? OffsetOf(ulong address)
    {
        ulong below = MiB - address;
        return below <= Math.Min(_length, LegacyLength) ? _offset + _length - below : null;
    }
}
