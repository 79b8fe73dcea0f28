using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Monitors;

/// <summary>Silicon that cannot run a guest in real mode: the monitor executes it, instruction by instruction, on its record, until CR0.PE is set.</summary>
internal sealed unsafe partial class HardwareAssist
{
    /// <summary>Whether the guest is in a mode in which VMRUN would refuse it. The record's CR0 is exact then: without nested paging its writes exit.</summary>
    private bool MustEmulate => !_svm.Capabilities.RunsRealMode && !Cpu.State->ProtectedMode;

    /// <summary>Executes the guest up to where the silicon can; false if it cannot go on for now. The VMCB is to be loaded again.</summary>
    private bool EmulateMode()
    {
        CpuState* g = Cpu.State;
        BeginEmulation();
        bool goOn;
        while ((goOn = EventDelivery.Service(Cpu)) && MustEmulate && g->Budget > 0 && !Cpu.StopsAtBreakpoint())
        {
            do
            {
                _emulator.Interpret();
            }
            while (g->Attention == Attention.None && g->Budget > 0 && MustEmulate && !Cpu.Breakpoints.Any);
        }
        EndEmulation();
        return goOn && !MustEmulate;
    }

    /// <summary>Executes one instruction, and delivers the fault or trap that comes of it.</summary>
    private bool EmulateStep()
    {
        BeginEmulation();
        bool goOn = EventDelivery.Service(Cpu);
        if (goOn)
        {
            _emulator.Interpret();
            EventDelivery.Settle(Cpu);
        }
        EndEmulation();
        return goOn;
    }

    private void BeginEmulation()
    {
        Exits.BeginEmulation(Cpu);
        // The silicon asks the board when the guest is entered.
        if (Cpu.Bus.InterruptPending || Cpu.State->NmiPending || Cpu.State->GuestMode)
            Cpu.RequestAttention(Attention.Interrupt);
    }

    private void EndEmulation()
    {
        _bus.TakeTime();
        Exits.EndEmulation(Cpu);
    }
}
