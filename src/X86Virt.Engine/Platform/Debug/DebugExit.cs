namespace X86Virt.Engine.Platform;

/// <summary>QEMU's isa-debug-exit (port 0xF4): writing v ends the machine with exit code (v &lt;&lt; 1) | 1.</summary>
public sealed class DebugExit(Action<int> exit) : Device, IPortDevice
{
    private const ushort Port = 0xF4;

    public override string Name => "Debug exit";
    public override IReadOnlyList<PortRange> Ports { get; } = [new(Port, 4, 4)];

    public override void Reset()
    {
    }

    public uint ReadPort(ushort port, int size) => 0;

    public void WritePort(ushort port, int size, uint value) => exit((int)(value << 1 | 1));
}
