using X86Virt.Engine.Memory;

namespace X86Virt.Engine.Platform;

/// <summary>What a base address register leads to.</summary>
public enum PciBarKind
{
    /// <summary>I/O ports.</summary>
    Io,

    /// <summary>Memory below 4 GiB.</summary>
    Memory32,

    /// <summary>Memory anywhere; takes the register after it, too.</summary>
    Memory64,
}

/// <summary>
/// A base address register (PCI Local Bus 3.0, 6.2.5.1). Address bits below the size read zero, which is how software finds the
/// size. What it leads to is decoded while the command register allows it and nothing else is there: an address that a guest
/// puts over RAM or another device gives it nothing.
/// </summary>
internal sealed class PciBar(int index, PciBarKind kind, ulong size, Device target)
{
    private const uint IoFlag = 1, Memory64Flag = 4, PrefetchableFlag = 8;
    private const ulong FourGiB = 1UL << 32, MiB = 1 << 20;

    private ulong? _decoded;

    public int Offset { get; } = PciRegister.BaseAddress + index * 4;
    public PciBarKind Kind { get; } = kind;
    public ulong Size { get; } = size;
    public bool IsWide => Kind == PciBarKind.Memory64;

    /// <summary>The read-only type bits.</summary>
    public uint Flags => Kind switch { PciBarKind.Io => IoFlag, PciBarKind.Memory64 => Memory64Flag | PrefetchableFlag, _ => 0 };

    /// <summary>Address bits that software can set.</summary>
    public ulong Writable => ~(Size - 1) & (IsWide ? ulong.MaxValue : uint.MaxValue);

    /// <summary>Where it is decoded now.</summary>
    public ulong? Decoded => _decoded;

    public PortRange? DecodedPorts => Kind == PciBarKind.Io && _decoded is { } first ? PortsAt(first) : null;

    public AddressRange? DecodedAddresses => Kind != PciBarKind.Io && _decoded is { } start ? new AddressRange(start, Size) : null;

    private PortRange PortsAt(ulong first) => new((ushort)first, (int)Size, 4);

    /// <summary>Decodes at <paramref name="address"/> from now on, or nowhere.</summary>
    public void Decode(ulong? address, PortBus ports, PhysicalMemory memory)
    {
        if (address == _decoded)
            return;
        if (_decoded is { } old)
        {
            if (Kind == PciBarKind.Io)
                ports.Release(PortsAt(old));
            else
                memory.Unmap(old, Size);
        }
        _decoded = address is { } a && IsFree(a, ports, memory) ? a : null;
        if (_decoded is not { } start)
            return;
        if (Kind == PciBarKind.Io)
            ports.Claim(PortsAt(start), (IPortDevice)target);
        else
            memory.MapDevice(start, Size, (IMmioDevice)target);
    }

    private bool IsFree(ulong address, PortBus ports, PhysicalMemory memory)
    {
        // Nobody decodes at 0; the last address is what software writes to find the size.
        if (address == 0)
            return false;
        if (Kind == PciBarKind.Io)
            return address + Size < 0x1_0000 && ports.IsFree(PortsAt(address));
        ulong limit = Kind == PciBarKind.Memory32 ? FourGiB : 1UL << 52;
        return address >= MiB && address < limit - Size && memory.IsUnmapped(address, Size);
    }
}
