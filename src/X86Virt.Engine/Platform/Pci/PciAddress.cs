namespace X86Virt.Engine.Platform;

/// <summary>Where a function is on PCI bus 0, the only one: device 0 to 31, function 0 to 7.</summary>
public readonly record struct PciAddress(int Device, int Function)
{
    /// <summary>Both in one byte, as configuration addresses have them.</summary>
    public int Index => Device << 3 | Function;

    public override string ToString() => $"00:{Device:x2}.{Function}";
}

/// <summary>What a function says it is (PCI Local Bus 3.0, 6.2.1).</summary>
/// <param name="Vendor">Vendor ID.</param>
/// <param name="Device">Device ID.</param>
/// <param name="ClassCode">Base class, subclass and programming interface, from the highest byte of 24 bits on.</param>
/// <param name="Revision">Revision ID.</param>
public readonly record struct PciIdentity(ushort Vendor, ushort Device, uint ClassCode, byte Revision = 0);

/// <summary>Offsets in configuration space (PCI Local Bus 3.0, figure 6-1).</summary>
public static class PciRegister
{
    public const int VendorId = 0x00, DeviceId = 0x02, Command = 0x04, Status = 0x06, RevisionId = 0x08, ClassCode = 0x09, CacheLineSize = 0x0C, LatencyTimer = 0x0D;
    public const int HeaderType = 0x0E, BaseAddress = 0x10, SubsystemVendorId = 0x2C, SubsystemId = 0x2E, InterruptLine = 0x3C, InterruptPin = 0x3D;
}

/// <summary>Bits of the command register.</summary>
[Flags]
public enum PciCommand : ushort
{
    None = 0,
    IoSpace = 1 << 0,
    MemorySpace = 1 << 1,
    BusMaster = 1 << 2,
    ParityErrorResponse = 1 << 6,
    SystemErrorEnable = 1 << 8,
    InterruptDisable = 1 << 10,
}
