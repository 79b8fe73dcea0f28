namespace X86Virt.Engine.Processor;

/// <summary>Hardware breakpoints (AMD volume 2, 13.1): which accesses and instructions DR7 watches, and what hit.</summary>
public sealed unsafe class DebugRegisters(Cpu cpu)
{
    private readonly Cpu _cpu = cpu;

    /// <summary>A data breakpoint lies in the page, so its accesses must take the slow path.</summary>
    public bool WatchesPage(ulong linear)
    {
        CpuState* s = _cpu.State;
        if ((s->Dr[7] & 0xFF) == 0)
            return false;
        for (int i = 0; i < 4; i++)
        {
            if (IsData(i) && ((s->Dr[i] ^ linear) & ~0xFFFUL) == 0)
                return true;
        }
        return false;
    }

    public void OnRead(ulong linear, int size) => Match(linear, size, write: false);

    public void OnWrite(ulong linear, int size) => Match(linear, size, write: true);

    private bool IsData(int i) => ((_cpu.State->Dr[7] >> (i * 2)) & 3) != 0 && ((_cpu.State->Dr[7] >> (16 + i * 4)) & 1) != 0;

    private void Match(ulong linear, int size, bool write)
    {
        CpuState* s = _cpu.State;
        if ((s->Dr[7] & 0xFF) == 0)
            return;
        for (int i = 0; i < 4; i++)
        {
            int control = (int)(s->Dr[7] >> (16 + i * 4)) & 0xF;
            if (!IsData(i) || (!write && (control & 3) == 1))
                continue;
            int length = ((control >> 2) & 3) switch { 0 => 1, 1 => 2, 3 => 4, _ => 8 };
            ulong start = s->Dr[i] & ~(ulong)(length - 1);
            if (linear < start + (ulong)length && start < linear + (ulong)size)
                Hits |= 1u << i;
        }
    }

    /// <summary>Breakpoints hit by the instruction being executed; becomes a #DB trap behind it.</summary>
    public uint Hits { get; set; }
}
