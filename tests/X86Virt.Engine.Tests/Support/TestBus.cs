using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Tests;

/// <summary>A board without devices: ports answer as told, and everything that reaches the bus is written down.</summary>
internal sealed class TestBus : IProcessorBus
{
    public bool Shutdown { get; set; }

    /// <summary>An interrupt controller has an interrupt of vector 20h, once.</summary>
    public bool InterruptPending { get; set; }
    public ulong TaskPriority { get; set; }
    public ulong TimeStamp { get => Ticks?.Invoke() ?? field; set; }

    /// <summary>Where time comes from if instructions make it pass; null if it stands still.</summary>
    public Func<ulong>? Ticks { get; set; }
    public bool TimeStampCountsInstructions => Ticks != null;

    /// <summary>What a read returns, before it is cut to size; all ones if none is set.</summary>
    public Func<ushort, uint>? PortValue { get; set; }

    /// <summary>"in 1 60 = ff": direction, size, port, value.</summary>
    public List<string> PortAccesses { get; } = [];

    /// <summary>Registers that the platform has.</summary>
    public Dictionary<uint, ulong> Msrs { get; } = [];

    public uint ReadPort(ushort port, int size)
    {
        uint value = (PortValue?.Invoke(port) ?? uint.MaxValue) & (uint.MaxValue >> (32 - size * 8));
        PortAccesses.Add($"in {size} {port:x} = {value:x}");
        return value;
    }

    /// <summary>Gets what is written, by port, in place of <see cref="PortAccesses"/>.</summary>
    public Action<ushort, uint>? Written { get; set; }

    public void WritePort(ushort port, int size, uint value)
    {
        if (Written != null)
            Written(port, value);
        else
            PortAccesses.Add($"out {size} {port:x} = {value:x}");
    }

    public byte AcknowledgeInterrupt()
    {
        InterruptPending = false;
        return 0x20;
    }

    public void ProcessorShutdown() => Shutdown = true;

    public bool TryReadMsr(uint index, out ulong value, out bool fault)
    {
        fault = false;
        return Msrs.TryGetValue(index, out value);
    }

    public bool TryWriteMsr(uint index, ulong value, out bool fault)
    {
        fault = false;
        if (!Msrs.ContainsKey(index))
            return false;
        Msrs[index] = value;
        return true;
    }
}
