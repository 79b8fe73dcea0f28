namespace X86Virt.Engine.Platform;

/// <summary>Consecutive I/O ports.</summary>
/// <param name="First">The lowest port.</param>
/// <param name="Count">How many there are.</param>
/// <param name="Width">Bytes of the widest access that the device takes in one piece: 1, 2 or 4. Wider ones are split.</param>
public readonly record struct PortRange(ushort First, int Count, int Width = 1)
{
    public int Last => First + Count - 1;

    public override string ToString() => Count == 1 ? $"0x{First:x}" : $"0x{First:x}-0x{Last:x}";
}

/// <summary>Guest-physical addresses that a device answers at; whole pages.</summary>
public readonly record struct AddressRange(ulong Start, ulong Length)
{
    public override string ToString() => $"0x{Start:x}-0x{Start + Length - 1:x}";
}

/// <summary>One register of a device, as shown to a person.</summary>
public readonly record struct DeviceRegister(string Name, ulong Value);

/// <summary>Answers at I/O ports.</summary>
public interface IPortDevice
{
    /// <summary>Reads <paramref name="size"/> bytes (1, 2 or 4, no more than the width it was claimed with).</summary>
    uint ReadPort(ushort port, int size);

    void WritePort(ushort port, int size, uint value);
}

/// <summary>A part of the board: where it answers, its power-on state, and its registers for inspection.</summary>
public abstract class Device
{
    public abstract string Name { get; }

    /// <summary>Ports that are decoded from reset on; a device that moves claims and releases its own.</summary>
    public virtual IReadOnlyList<PortRange> Ports => [];

    /// <summary>Guest-physical addresses that are decoded from reset on.</summary>
    public virtual IReadOnlyList<AddressRange> Addresses => [];

    /// <summary>Interrupt lines that it drives, by global system interrupt.</summary>
    public virtual IReadOnlyList<int> Irqs => [];

    /// <summary>What its registers hold now; reading them changes nothing.</summary>
    public virtual IReadOnlyList<DeviceRegister> Registers => [];

    /// <summary>Back to the power-on state.</summary>
    public abstract void Reset();
}
