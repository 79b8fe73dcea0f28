using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Monitors;

/// <summary>Going on behind an exit with what would exit next (<see cref="ExitClusters"/>).</summary>
internal sealed unsafe partial class HardwareAssist
{
    private const int LongestInstruction = 15;

    private ExitClusters? _clusters;
    private Func<bool>? _staysInCluster;

    // One instruction was asked for.
    private bool _steps;

    /// <summary>Handles exits in clusters. The guest cannot tell.</summary>
    public bool ClustersExits
    {
        init
        {
            if (!value)
                return;
            _clusters = new ExitClusters(Cpu, _maps);
            _staysInCluster = StaysInCluster;
        }
    }

    /// <summary>The exit has been seen to; whoever wants to see each instruction or exit gets to see it.</summary>
    private void FinishCluster(ExitClusters clusters)
    {
        ref ExitEntry e = ref Exits.All.Next;
        Vmcb* v = _vmcb;
        // An instruction that went on to the next one, and nothing to be delivered.
        if (e.IsNested || Cpu.State->GuestMode || !BeginsCluster(e) || v->Rip - e.Rip is 0 or > LongestInstruction || v->EventInjection.IsValid || v->ExitIntInfo.IsValid
            || _steps || IsWatched || Intercepts.All.Count > 0 || Cpu.Breakpoints.Any || !StaysInCluster())
            return;
        ulong linear = e.CodeBase + e.Rip;
        if (e.Bitness != 64)
            linear = (uint)linear;
        if (!clusters.Promises(linear))
            return;
        byte* code = Exits.FindCode(linear, e.Cpl);
        if (code == null)
            return;
        _context.Save();
        _emulator.Forget();
        int avoided = clusters.Execute(linear, e.Rip, code, 0x1000 - (int)(linear & 0xFFF), _staysInCluster!, out int executed);
        EventDelivery.Settle(Cpu);
        Exits.CountEmulated(executed);
        Exits.CountAvoided(avoided);
        _context.Load();
    }

    /// <summary>Behind an access to a device the guest's code is where it was; behind others it may be found elsewhere.</summary>
    private bool BeginsCluster(in ExitEntry e) => e.Code == _paging.Own.FaultExit
        || e.Code is SvmExitCode.Port or SvmExitCode.Cpuid || (e.Code == SvmExitCode.Msr && (uint)e.Rcx != ModelSpecificRegisters.EferIndex);

    /// <summary>What would come first if the guest were entered now: the deadline, a stop, an interrupt, a trap, what a device wants.</summary>
    private bool StaysInCluster()
    {
        CpuState* g = Cpu.State;
        if ((g->Attention & Attention.Patched) != 0)
            Control.RestorePatched(g);
        return g->Budget > 0 && (g->Attention & ~Attention.Interrupt) == Attention.None && !_bus.InterruptPending && !g->Halted && !g->ShutDown;
    }
}
