namespace X86Virt.Engine.Platform;

/// <summary>The POST code port (0x80) with the DMA page registers behind it, and the delay port 0xED: bytes that are kept, no more.</summary>
public sealed class PostPort : Device, IPortDevice
{
    private const ushort First = 0x80, Delay = 0xED;
    private const int PageRegisters = 16;

    private readonly byte[] _bytes = new byte[PageRegisters];

    public override string Name => "POST port";

    public override IReadOnlyList<PortRange> Ports { get; } = [new(First, PageRegisters), new(Delay, 1)];
    public override IReadOnlyList<DeviceRegister> Registers => [new("PostCode", PostCode)];

    /// <summary>The code that firmware or a kernel wrote last.</summary>
    public byte PostCode => _bytes[0];

    public override void Reset() => Array.Clear(_bytes);

    public uint ReadPort(ushort port, int size) => port == Delay ? 0xFF : (uint)_bytes[port - First];

    public void WritePort(ushort port, int size, uint value)
    {
        if (port != Delay)
            _bytes[port - First] = (byte)value;
    }
}
