namespace X86Virt.Engine.Processor;

/// <summary>Physical and virtual interrupts while a guest runs (AMD volume 2, 15.13 and 15.21).</summary>
internal sealed unsafe partial class SvmUnit
{
    public bool MasksPhysicalInterrupts => _virtualInterrupt.MasksPhysical;

    /// <summary>Whether an NMI or interrupt that would be accepted now leaves guest mode; it goes on waiting then.</summary>
    public bool TakesInterrupt()
    {
        CpuState* s = _cpu.State;
        if (s->NmiPending && !s->NmiBlocked)
            return Intercept.Takes(s, null, SvmExitCode.Nmi);
        if (_cpu.Bus.InterruptPending && _cpu.AllowsInterrupts)
            return Intercept.Takes(s, null, SvmExitCode.Intr);
        return IsVirtualDue(s) && Intercept.Takes(s, null, SvmExitCode.VirtualIntr);
    }

    private bool IsVirtualDue(CpuState* s) => IsVirtualReady && (s->SystemFlags & Flags.If) != 0;

    /// <summary>A virtual interrupt waits for nothing but the guest's RFLAGS.IF.</summary>
    public bool IsVirtualReady => _virtualInterrupt.Requested && _virtualInterrupt.Passes && (!UsesVirtualGif || _virtualInterrupt.GlobalInterrupts);

    private bool UsesVirtualGif => _virtualInterrupt.VirtualizesGif && Capabilities.Has(SvmFeatures.VirtualGif);

    /// <summary>STGI and CLGI: GIF, or a guest's V_GIF.</summary>
    public void SetGlobalInterrupts(bool on)
    {
        CpuState* s = _cpu.State;
        if (s->GuestMode && UsesVirtualGif)
            _virtualInterrupt.GlobalInterrupts = on;
        else
            s->GlobalInterruptsOff = !on;
        if (on)
            _cpu.RequestAttention(Attention.Interrupt);
    }

    /// <summary>Accepts the virtual interrupt if it is due.</summary>
    public bool TryTakeVirtual(out byte vector)
    {
        vector = _virtualInterrupt.Vector;
        if (!IsVirtualDue(_cpu.State))
            return false;
        _virtualInterrupt.Requested = false;
        return true;
    }
}
