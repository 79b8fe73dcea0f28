namespace X86Virt.Engine.Platform;

/// <summary>
/// The 64 Ki I/O ports. Each port leads to a slot with its device; an access that is wider than the device takes, or that runs
/// past its ports, is split into halves at consecutive ports, low half first, as the ISA bridge does it.
/// </summary>
public sealed class PortBus
{
    private const int PortCount = 0x10000;

    private readonly record struct Slot(IPortDevice Device, int Width);

    private readonly ushort[] _slotOf = new ushort[PortCount];
    private readonly long[] _unclaimed = new long[PortCount];
    private readonly List<PortRange> _claims = [];
    private Slot[] _slots = new Slot[64];

    /// <summary>Reads of ports that no device claims: they give all ones.</summary>
    public long UnclaimedReads { get; private set; }

    /// <summary>Writes to ports that no device claims: they vanish.</summary>
    public long UnclaimedWrites { get; private set; }

    /// <summary>Byte accesses that nothing answered, by port.</summary>
    public ReadOnlySpan<long> Unclaimed => _unclaimed;

    /// <summary>Gives ports to a device; throws <see cref="InvalidOperationException"/> where another has them.</summary>
    public void Claim(PortRange range, IPortDevice device)
    {
        if (range.Count < 1 || range.Last >= PortCount || range.Width is not (1 or 2 or 4))
            throw new ArgumentOutOfRangeException(nameof(range), range, $"Ports {range} of width {range.Width}: give 1 or more ports up to 0xffff and a width of 1, 2 or 4.");
        for (int port = range.First; port <= range.Last; port++)
        {
            if (_slotOf[port] != 0)
                throw new InvalidOperationException($"Port 0x{port:x} is claimed twice: by {Describe(_slots[_slotOf[port]].Device)} and by {Describe(device)}. Move one of them.");
        }
        ushort slot = FreeSlot();
        _slots[slot] = new Slot(device, range.Width);
        Array.Fill(_slotOf, slot, range.First, range.Count);
        _claims.Add(range);
    }

    /// <summary>Takes back a range that was claimed.</summary>
    public void Release(PortRange range)
    {
        if (!_claims.Remove(range))
            throw new InvalidOperationException($"Ports {range} were not claimed as one range.");
        _slots[_slotOf[range.First]] = default;
        Array.Clear(_slotOf, range.First, range.Count);
    }

    /// <summary>Whether no device answers at any of the ports.</summary>
    public bool IsFree(PortRange range) => range.Last < PortCount && _slotOf.AsSpan(range.First, range.Count).IndexOfAnyExcept((ushort)0) < 0;

    /// <summary>The device at a port, if any.</summary>
    public IPortDevice? this[ushort port] => _slots[_slotOf[port]].Device;

    public uint Read(ushort port, int size)
    {
        int slot = _slotOf[port];
        ref readonly Slot target = ref _slots[slot];
        if (size == 1 || (size <= target.Width && port + size <= PortCount && _slotOf[port + size - 1] == slot))
        {
            if (slot != 0)
                return target.Device.ReadPort(port, size);
            UnclaimedReads++;
            _unclaimed[port]++;
            return 0xFF;
        }
        int half = size / 2;
        return Read(port, half) | Read((ushort)(port + half), half) << (half * 8);
    }

    public void Write(ushort port, int size, uint value)
    {
        int slot = _slotOf[port];
        ref readonly Slot target = ref _slots[slot];
        if (size == 1 || (size <= target.Width && port + size <= PortCount && _slotOf[port + size - 1] == slot))
        {
            value &= uint.MaxValue >> (32 - size * 8);
            if (slot != 0)
            {
                target.Device.WritePort(port, size, value);
                return;
            }
            UnclaimedWrites++;
            _unclaimed[port]++;
            return;
        }
        int half = size / 2;
        Write(port, half, value);
        Write((ushort)(port + half), half, value >> (half * 8));
    }

    /// <summary>Slot 0 means "nobody".</summary>
    private ushort FreeSlot()
    {
        for (int i = 1; i < _slots.Length; i++)
        {
            if (_slots[i].Device == null)
                return (ushort)i;
        }
        int free = _slots.Length;
        Array.Resize(ref _slots, free * 2);
        return (ushort)free;
    }

    private static string Describe(IPortDevice device) => (device as Device)?.Name ?? device.GetType().Name;
}
