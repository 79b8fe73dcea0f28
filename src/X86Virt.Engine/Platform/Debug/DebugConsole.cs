namespace X86Virt.Engine.Platform;

/// <summary>The Bochs debug port (0xE9): every byte written is output; reading gives 0xE9, which tells a guest that it is there.</summary>
public sealed class DebugConsole : Device, IPortDevice
{
    private const ushort Port = 0xE9;

    public override string Name => "Debug console";
    public override IReadOnlyList<PortRange> Ports { get; } = [new(Port, 1)];

    /// <summary>What the guest sends. Runs on the machine's thread.</summary>
    public event ByteSink? Output;

    public long BytesSent { get; private set; }

    public override void Reset()
    {
    }

    public uint ReadPort(ushort port, int size) => Port;

    public void WritePort(ushort port, int size, uint value)
    {
        byte b = (byte)value;
        BytesSent++;
        Output?.Invoke(new ReadOnlySpan<byte>(in b));
    }
}
