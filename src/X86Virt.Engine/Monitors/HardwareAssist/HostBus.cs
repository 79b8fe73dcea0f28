using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Monitors;

/// <summary>
/// What the silicon sits on under a monitor. The guest's devices are the monitor's to emulate: no port, register or device memory of theirs is
/// within the silicon's reach; all that is, is the monitor's own interrupt, which tells that the guest's board has an interrupt for it.
/// </summary>
internal sealed unsafe class HostBus(Cpu guest) : IProcessorBus
{
    private readonly Cpu _guest = guest;

    /// <summary>The processor on this bus.</summary>
    public Cpu Silicon { get; set; } = null!;

    /// <summary>The monitor knows already, and waits until the guest can take it.</summary>
    public bool Known { get; set; }

    public bool InterruptPending
    {
        get
        {
            CpuState* g = _guest.State;
            if (g->GlobalInterruptsOff)
                return false;
            if ((g->NmiPending && !g->NmiBlocked) || g->InitPending || g->SmiPending)
                return true;
            return !Known && _guest.Bus.InterruptPending && (!g->GuestMode || !_guest.Svm!.MasksPhysicalInterrupts || _guest.Svm.HostAllowsInterrupts);
        }
    }

    /// <summary>The monitor's handler is not in the silicon's memory: it is called, and acknowledges on its own.</summary>
    public byte AcknowledgeInterrupt() => 0;

    public uint ReadPort(ushort port, int size) => uint.MaxValue;

    public void WritePort(ushort port, int size, uint value)
    {
    }

    public ulong TaskPriority { get; set; }

    public bool TryReadMsr(uint index, out ulong value, out bool fault)
    {
        value = 0;
        fault = false;
        return false;
    }

    public bool TryWriteMsr(uint index, ulong value, out bool fault)
    {
        fault = false;
        return false;
    }

    public ulong TimeStamp
    {
        get
        {
            // The board tells the time by the instructions of the processor that it knows.
            ShareTime();
            return _guest.Bus.TimeStamp;
        }
    }

    public bool TimeStampCountsInstructions => _guest.Bus.TimeStampCountsInstructions;

    public void ProcessorShutdown() => _guest.Bus.ProcessorShutdown();

    /// <summary>Gives the guest's processor the silicon's count of retired instructions.</summary>
    public void ShareTime() => (_guest.State->Deadline, _guest.State->Budget) = (Silicon.State->Deadline, Silicon.State->Budget);

    /// <summary>Gives the silicon the count of the guest's processor, for which the monitor has emulated instructions or moved the deadline.</summary>
    public void TakeTime() => (Silicon.State->Deadline, Silicon.State->Budget) = (_guest.State->Deadline, _guest.State->Budget);
}
