using X86Virt.Engine.Memory;
using X86Virt.Engine.Platform;
using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Tests.Platform;

/// <summary>A board whose processor executes nothing: time passes when a test says so, ports and memory are driven by hand.</summary>
internal sealed unsafe class TestBoard : IDisposable
{
    public const ulong Apic = LocalApic.DefaultAddress;

    public TestBoard(ulong memory = 2 << 20, BoardOptions? options = null)
    {
        Memory = new PhysicalMemory(memory);
        Board = new Board(Memory, options ?? new BoardOptions());
        Cpu = new Cpu(Memory, Board, new ProcessorModel());
        Board.Attach(Cpu);
    }

    public PhysicalMemory Memory { get; }
    public Board Board { get; }
    public Cpu Cpu { get; }

    public byte In(ushort port) => (byte)Board.ReadPort(port, 1);

    public uint In(ushort port, int size) => Board.ReadPort(port, size);

    public void Out(ushort port, uint value, int size = 1) => Board.WritePort(port, size, value);

    public uint Read(ulong address) => (uint)Memory.Read(address, 4);

    public void Write(ulong address, uint value) => Memory.Write(address, 4, value);

    /// <summary>Retires instructions, and with them time: one a nanosecond at the default rate. Timers run when they are due.</summary>
    public void Advance(long instructions)
    {
        long end = Cpu.State->Retired + instructions;
        while (true)
        {
            Board.RunDueEvents();
            long now = Cpu.State->Retired;
            long next = Math.Min(end, Math.Max(now + 1, Board.NextEventAt));
            if (now >= end)
                return;
            Cpu.State->Budget -= next - now;
        }
    }

    /// <summary>Takes the pending interrupt; -1 if there is none.</summary>
    public int Acknowledge() => Board.InterruptPending ? Board.AcknowledgeInterrupt() : -1;

    /// <summary>Initialises both PICs as a PC's firmware does, with nothing masked.</summary>
    public void SetUpPics(byte master = 0x20, byte slave = 0x28)
    {
        Out(0x20, 0x11);
        Out(0x21, master);
        Out(0x21, 4);
        Out(0x21, 1);
        Out(0xA0, 0x11);
        Out(0xA1, slave);
        Out(0xA1, 2);
        Out(0xA1, 1);
    }

    public void Dispose()
    {
        Cpu.Dispose();
        Board.Dispose();
        Memory.Dispose();
    }
}
