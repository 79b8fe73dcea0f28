using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Monitors;

/// <summary>Stretches of the guest that the monitor executes, as the silicon cannot run it; they are logged like an exit.</summary>
internal sealed unsafe partial class ExitLog
{
    /// <summary>The guest is in a mode that the silicon cannot run.</summary>
    public void BeginEmulation(Cpu guest)
    {
        _started = _clock.Now;
        CpuState* g = guest.State;
        SegmentRegister* code = CpuState.Seg(g, Segment.Cs);
        All.Next = new ExitEntry
        {
            Number = All.Count + 1, Code = SvmExitCode.Emulation, CodeBase = code->Base, Rip = g->Rip, Rax = g->Rax, Rcx = g->Rcx, Rdx = g->Rdx,
            Retired = g->Retired, SinceLast = g->Retired - _lastRetired, Bitness = (byte)(code->Big ? 32 : 16), Cpl = g->Cpl, IsNested = g->GuestMode,
        };
    }

    /// <summary>The silicon can go on, or the machine is to hold still. Nothing is logged if there was nothing to execute.</summary>
    public void EndEmulation(Cpu guest)
    {
        ref ExitEntry e = ref All.Next;
        long executed = guest.State->Retired - e.Retired;
        if (executed == 0)
            return;
        e.Info1 = (ulong)executed;
        CountEmulated(executed);
        End();
    }
}
