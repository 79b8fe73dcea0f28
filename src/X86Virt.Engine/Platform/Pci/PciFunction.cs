using System.Buffers.Binary;
using X86Virt.Engine.Memory;

namespace X86Virt.Engine.Platform;

/// <summary>
/// One function on the PCI bus: 256 bytes of configuration space, of which each bit is read-only, writable, or cleared by writing 1.
/// A device adds base address registers, which lead to it as <see cref="IPortDevice"/> or <see cref="IMmioDevice"/>.
/// </summary>
public abstract class PciFunction : Device
{
    public const int ConfigurationSize = 256;

    /// <summary>Subsystem of everything on this board, as QEMU's devices have it.</summary>
    private const ushort BoardVendor = 0x1AF4, BoardSubsystem = 0x1100;
    private const ushort InterruptStatus = 1 << 3, StatusErrors = 0xF900;

    private readonly byte[] _space = new byte[ConfigurationSize], _initial = new byte[ConfigurationSize];
    private readonly byte[] _writable = new byte[ConfigurationSize], _clearable = new byte[ConfigurationSize];
    private readonly List<PciBar> _bars = [];
    private bool _interrupt;

    protected PciFunction(PciAddress address, PciIdentity identity)
    {
        Address = address;
        Identity = identity;
        Preset16(PciRegister.VendorId, identity.Vendor);
        Preset16(PciRegister.DeviceId, identity.Device);
        Preset(PciRegister.RevisionId, identity.Revision);
        Preset(PciRegister.ClassCode, (byte)identity.ClassCode);
        Preset16(PciRegister.ClassCode + 1, (ushort)(identity.ClassCode >> 8));
        Preset16(PciRegister.SubsystemVendorId, BoardVendor);
        Preset16(PciRegister.SubsystemId, BoardSubsystem);
        Writable16(PciRegister.Command, (ushort)(PciCommand.IoSpace | PciCommand.MemorySpace | PciCommand.BusMaster
            | PciCommand.ParityErrorResponse | PciCommand.SystemErrorEnable | PciCommand.InterruptDisable));
        BinaryPrimitives.WriteUInt16LittleEndian(_clearable.AsSpan(PciRegister.Status), StatusErrors);
        Writable(PciRegister.CacheLineSize, 0xFF);
        Writable(PciRegister.LatencyTimer, 0xFF);
        Writable(PciRegister.InterruptLine, 0xFF);
    }

    public PciAddress Address { get; }
    public PciIdentity Identity { get; }

    /// <summary>The bus that it was put on, by <see cref="PciBus.Attach"/>.</summary>
    protected internal PciBus Bus { get; internal set; } = null!;

    internal IReadOnlyList<PciBar> Bars => _bars;

    /// <summary>INTA is 1; 0 for a function without interrupts.</summary>
    public int InterruptPin => _initial[PciRegister.InterruptPin];

    public PciCommand Command => (PciCommand)Get16(PciRegister.Command);

    public override IReadOnlyList<PortRange> Ports => [.. _bars.Select(b => b.DecodedPorts).OfType<PortRange>()];
    public override IReadOnlyList<AddressRange> Addresses => [.. _bars.Select(b => b.DecodedAddresses).OfType<AddressRange>()];
    public override IReadOnlyList<int> Irqs => InterruptPin == 0 ? [] : [_space[PciRegister.InterruptLine]];

    public override IReadOnlyList<DeviceRegister> Registers =>
    [
        new("PciAddress", (ulong)Address.Index),
        new("Id", (ulong)(Identity.Vendor << 16 | Identity.Device)),
        new("Command", Get16(PciRegister.Command)),
        new("Status", Get16(PciRegister.Status)),
        .. _bars.Select(b => new DeviceRegister($"Bar{(b.Offset - PciRegister.BaseAddress) / 4}", AddressIn(b))),
    ];

    /// <summary>The level of the function's interrupt pin, unless software has disabled it.</summary>
    protected bool Interrupt
    {
        get => _interrupt;
        set
        {
            _interrupt = value;
            Set16(PciRegister.Status, (ushort)(Get16(PciRegister.Status) & ~InterruptStatus | (value ? InterruptStatus : 0)));
            DriveInterrupt();
        }
    }

    private void DriveInterrupt()
    {
        if (InterruptPin != 0)
            Bus.SetInterrupt(this, _interrupt && (Command & PciCommand.InterruptDisable) == 0);
    }

    // For a device's constructor: what its configuration space is like

    /// <summary>The value of a byte after reset.</summary>
    protected void Preset(int offset, byte value) => _initial[offset] = value;

    protected void Preset16(int offset, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(_initial.AsSpan(offset), value);

    protected void Preset32(int offset, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(_initial.AsSpan(offset), value);

    /// <summary>The bits of a byte that software can write.</summary>
    protected void Writable(int offset, byte mask) => _writable[offset] = mask;

    protected void Writable16(int offset, ushort mask) => BinaryPrimitives.WriteUInt16LittleEndian(_writable.AsSpan(offset), mask);

    protected void Writable32(int offset, uint mask) => BinaryPrimitives.WriteUInt32LittleEndian(_writable.AsSpan(offset), mask);

    /// <summary>
    /// Adds a base address register that leads to the device itself. A <see cref="PciBarKind.Memory64"/> takes the next index as well.
    /// </summary>
    /// <param name="index">0 to 5.</param>
    /// <param name="kind">Ports or memory.</param>
    /// <param name="size">A power of 2; 4 ports or 4 KiB of memory at the least.</param>
    protected void AddBar(int index, PciBarKind kind, ulong size)
    {
        ulong least = kind == PciBarKind.Io ? 4UL : 0x1000UL;
        if (size < least || (size & (size - 1)) != 0)
            throw new ArgumentOutOfRangeException(nameof(size), size, $"A base address register of {size} bytes: give a power of 2, {least} at the least.");
        var bar = new PciBar(index, kind, size, this);
        _bars.Add(bar);
        Preset32(bar.Offset, bar.Flags);
        Writable32(bar.Offset, (uint)bar.Writable);
        if (bar.IsWide)
            Writable32(bar.Offset + 4, (uint)(bar.Writable >> 32));
    }

    // Configuration space

    protected byte Get8(int offset) => _space[offset];

    protected ushort Get16(int offset) => BinaryPrimitives.ReadUInt16LittleEndian(_space.AsSpan(offset));

    protected uint Get32(int offset) => BinaryPrimitives.ReadUInt32LittleEndian(_space.AsSpan(offset));

    /// <summary>Sets bits that only the device changes.</summary>
    protected void Set16(int offset, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(_space.AsSpan(offset), value);

    /// <summary>Reads 1, 2 or 4 bytes; none beyond the end.</summary>
    public uint ReadConfiguration(int offset, int size)
    {
        uint value = 0;
        for (int i = 0; i < size; i++)
            value |= (uint)_space[offset + i] << i * 8;
        return value;
    }

    /// <summary>Writes 1, 2 or 4 bytes as software does.</summary>
    public void WriteConfiguration(int offset, int size, uint value)
    {
        for (int i = offset; i < offset + size; i++, value >>= 8)
        {
            byte written = (byte)value;
            _space[i] = (byte)(_space[i] & ~_writable[i] & ~(_clearable[i] & written) | written & _writable[i]);
        }
        if (offset < PciRegister.Command + 2 && offset + size > PciRegister.Command)
            DriveInterrupt();
        DecodeBars();
        ConfigurationWritten(offset, size);
    }

    /// <summary>Software wrote; the device acts on registers of its own.</summary>
    protected virtual void ConfigurationWritten(int offset, int size)
    {
    }

    public override void Reset()
    {
        _initial.CopyTo(_space, 0);
        Interrupt = false;
        DecodeBars();
    }

    private ulong AddressIn(PciBar bar)
        => (Get32(bar.Offset) | (bar.IsWide ? (ulong)Get32(bar.Offset + 4) << 32 : 0)) & bar.Writable;

    private void DecodeBars()
    {
        foreach (PciBar bar in _bars)
        {
            bool enabled = (Command & (bar.Kind == PciBarKind.Io ? PciCommand.IoSpace : PciCommand.MemorySpace)) != 0;
            bar.Decode(enabled ? AddressIn(bar) : null, Bus.PortBus, Bus.Memory);
        }
    }
}
