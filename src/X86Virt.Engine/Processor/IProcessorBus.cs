namespace X86Virt.Engine.Processor;

/// <summary>
/// What a processor needs of the board it sits on: I/O ports, interrupts, the platform's model-specific registers, the time.
/// The platform implements it; the processor never names a device.
/// </summary>
public interface IProcessorBus
{
    /// <summary>Reads 1, 2 or 4 bytes from a port; unclaimed ports read as all ones.</summary>
    uint ReadPort(ushort port, int size);

    void WritePort(ushort port, int size, uint value);

    /// <summary>An interrupt of a priority that the controllers let through waits for the processor to accept it.</summary>
    bool InterruptPending { get; }

    /// <summary>The INTA cycle: the vector to deliver (local APIC or PIC).</summary>
    byte AcknowledgeInterrupt();

    /// <summary>The task priority, bits 7-4 of the TPR as CR8 shows them (0-15).</summary>
    ulong TaskPriority { get; set; }

    /// <summary>APIC base, x2APIC and TSC-deadline registers; false if the register is not the platform's. Throws nothing: a #GP is <paramref name="fault"/>.</summary>
    bool TryReadMsr(uint index, out ulong value, out bool fault);

    bool TryWriteMsr(uint index, ulong value, out bool fault);

    /// <summary>The time-stamp counter before the processor's own offset.</summary>
    ulong TimeStamp { get; }

    /// <summary>Whether it advances by one with each retired instruction, for as long as the engine runs.</summary>
    bool TimeStampCountsInstructions { get; }

    /// <summary>A triple fault, or an INIT: the board resets or the machine stops.</summary>
    void ProcessorShutdown();
}
