using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Monitors;

/// <summary>
/// Executes one instruction of the guest for the silicon that may not: by the interpreter, on the monitor's record of the guest's processor, whose
/// physical address space has the guest's devices in it.
/// </summary>
internal sealed unsafe class InstructionEmulator(Cpu guest, GuestPaging paging) : IDisposable
{
    private readonly Cpu _guest = guest;
    private readonly GuestPaging _paging = paging;
    private readonly Interpreter _interpreter = new(guest);

    /// <summary>
    /// Executes the instruction at RIP, or raises and delivers its fault; a trap that follows it is delivered, an interrupt is not.
    /// </summary>
    public void Execute()
    {
        Forget();
        EventDelivery.StepWatched(_guest, _interpreter);
        EventDelivery.Settle(_guest);
    }

    /// <summary>Executes the instruction at RIP where the silicon runs none: its exception is left for the boundary behind it.</summary>
    public void Interpret()
    {
        if (_guest.State->Attention == Attention.None)
            _interpreter.Execute();
        else
            EventDelivery.StepWatched(_guest, _interpreter);
    }

    /// <summary>Delivers an event whose delivery the silicon could not complete.</summary>
    public void Deliver(VmcbEvent e)
    {
        Forget();
        CpuState* g = _guest.State;
        EventSource source = e.Type switch
        {
            VmcbEventType.Exception => EventSource.Exception,
            VmcbEventType.Nmi => EventSource.Nmi,
            _ => EventSource.External,
        };
        bool resume = e.Type == VmcbEventType.Exception && (Vector)e.Vector is not (Vector.Debug or Vector.DoubleFault or Vector.MachineCheck);
        // What faults in delivering an exception may come to a double fault.
        if (!InterruptDelivery.Deliver(g, null, new InterruptEvent(e.Vector, source, g->Rip, e.HasErrorCode, e.ErrorCode, resume)))
            g->EventInFlight = e;
        EventDelivery.Settle(_guest);
        g->EventInFlight = default;
    }

    /// <summary>Its TLB knows nothing of what the guest has invalidated.</summary>
    public void Forget()
    {
        if (_paging.ChangesUnseen)
            _guest.FlushTlbs();
    }

    public void Dispose() => _interpreter.Dispose();
}
