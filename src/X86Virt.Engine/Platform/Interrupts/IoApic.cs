using X86Virt.Engine.Memory;

namespace X86Virt.Engine.Platform;

/// <summary>The 82093AA I/O APIC: 24 pins, each with a redirection entry that says which local APIC gets which vector.</summary>
public sealed class IoApic : Device, IMmioDevice
{
    public const int PinCount = 24;
    public const ulong DefaultAddress = 0xFEC0_0000;
    public const byte DefaultId = 0;

    private const ulong SelectOffset = 0x00, WindowOffset = 0x10, EoiOffset = 0x40;
    private const uint IdIndex = 0, VersionIndex = 1, ArbitrationIndex = 2, FirstEntryIndex = 0x10;

    /// <summary>Version 0x20 has the EOI register.</summary>
    private const uint Version = 0x20 | (PinCount - 1) << 16;

    private const ulong DeliveryStatus = 1 << 12, RemoteIrr = 1 << 14, LevelTriggered = 1 << 15, Masked = 1 << 16;
    private const ulong Writable = 0xFF00_0000_0001_AFFF;

    private readonly LocalApic _apic;
    private readonly ulong[] _entries = new ulong[PinCount];
    private uint _select, _id, _pins, _request;

    public IoApic(LocalApic apic)
    {
        _apic = apic;
        apic.EndOfInterrupt += EndOfInterrupt;
    }

    public override string Name => "IOAPIC";
    public override IReadOnlyList<AddressRange> Addresses { get; } = [new(DefaultAddress, 0x1000)];

    public override IReadOnlyList<DeviceRegister> Registers =>
    [
        new("ID", _id),
        new("Pins", _pins),
        new("IRR", _request),
        .. _entries.Select((e, i) => new DeviceRegister($"RTE{i}", e)),
    ];

    public override void Reset()
    {
        (_select, _id, _request) = (0, DefaultId, 0);
        Array.Fill(_entries, Masked);
    }

    /// <summary>A pin changed. Edges on a masked pin are lost; a level is remembered.</summary>
    public void SetPin(int pin, bool level)
    {
        uint bit = 1u << pin;
        bool rose = level && (_pins & bit) == 0;
        _pins = level ? _pins | bit : _pins & ~bit;
        ulong entry = _entries[pin];
        if ((entry & LevelTriggered) != 0)
        {
            _request = level ? _request | bit : _request & ~bit;
            Deliver(pin);
        }
        else if (rose && (entry & Masked) == 0)
        {
            _request |= bit;
            Deliver(pin);
        }
    }

    private void Deliver(int pin)
    {
        ulong entry = _entries[pin];
        uint bit = 1u << pin;
        if ((_request & bit) == 0 || (entry & Masked) != 0)
            return;
        bool level = (entry & LevelTriggered) != 0;
        if (level)
        {
            if ((entry & RemoteIrr) != 0)
                return;
        }
        else
        {
            _request &= ~bit;
        }
        bool accepted = _apic.Receive(Message(entry));
        if (level && accepted)
            _entries[pin] |= RemoteIrr;
    }

    private static ApicMessage Message(ulong entry) => new()
    {
        Vector = (byte)entry,
        Delivery = (ApicDelivery)((entry >> 8) & 7),
        Logical = (entry & (1 << 11)) != 0,
        Destination = (uint)(entry >> 56),
        Level = (entry & LevelTriggered) != 0,
    };

    /// <summary>A local APIC broadcast the end of a level-triggered interrupt: pins still asserted are delivered again.</summary>
    private void EndOfInterrupt(byte vector)
    {
        for (int pin = 0; pin < PinCount; pin++)
        {
            ulong entry = _entries[pin];
            if ((byte)entry != vector || (entry & RemoteIrr) == 0)
                continue;
            _entries[pin] &= ~RemoteIrr;
            Deliver(pin);
        }
    }

    public ulong ReadMemory(ulong offset, int size)
    {
        switch (offset)
        {
            case SelectOffset:
                return _select;
            case WindowOffset when size == 4:
                return ReadRegister();
            default:
                return 0;
        }
    }

    public void WriteMemory(ulong offset, int size, ulong value)
    {
        switch (offset)
        {
            case SelectOffset:
                _select = (byte)value;
                break;
            case WindowOffset when size == 4:
                WriteRegister((uint)value);
                break;
            case EoiOffset:
                EndOfInterrupt((byte)value);
                break;
        }
    }

    private uint ReadRegister()
    {
        if (_select is IdIndex or ArbitrationIndex)
            return _id << 24;
        if (_select == VersionIndex)
            return Version;
        uint index = _select - FirstEntryIndex;
        if (index >= PinCount * 2)
            return 0;
        ulong entry = _entries[index / 2];
        return (uint)(index % 2 == 0 ? entry : entry >> 32);
    }

    private void WriteRegister(uint value)
    {
        if (_select == IdIndex)
        {
            _id = (value >> 24) & 0xF;
            return;
        }
        uint index = _select - FirstEntryIndex;
        if (_select < FirstEntryIndex || index >= PinCount * 2)
            return;
        int pin = (int)index / 2;
        ulong old = _entries[pin];
        ulong written = index % 2 == 0 ? old & ~0xFFFF_FFFFUL | value : (uint)old | (ulong)value << 32;
        ulong entry = written & Writable | old & (RemoteIrr | DeliveryStatus);
        // An edge-triggered entry has no remote IRR: switching a stuck pin to edge and back clears it.
        if ((entry & LevelTriggered) == 0)
            entry &= ~RemoteIrr;
        _entries[pin] = entry;
        uint bit = 1u << pin;
        if ((entry & LevelTriggered) != 0)
            _request = (_pins & bit) != 0 ? _request | bit : _request & ~bit;
        else if ((old & LevelTriggered) != 0)
            _request &= ~bit;
        Deliver(pin);
    }
}
