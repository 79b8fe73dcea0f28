namespace X86Virt.Engine.Processor;

/// <summary>INIT and SMI, which wait for GIF and may be intercepted (AMD volume 2, 15.13 and 15.28).</summary>
internal sealed unsafe partial class SvmUnit
{
    /// <summary>The error code of #SX for an INIT that was redirected.</summary>
    private const uint InitRedirected = 1;

    /// <summary>Sees to those that wait, GIF being set. False if a #VMEXIT, an exception or a reset comes first.</summary>
    public bool AcceptSignals()
    {
        CpuState* s = _cpu.State;
        if (s->InitPending)
            return AcceptInit(s);
        // An intercepted one goes on waiting: it is the host's once that sets GIF.
        if (Intercept.Takes(s, null, SvmExitCode.Smi))
            return false;
        // The handler that firmware has left in SMRAM, which nothing but system management mode can see, has nothing to do.
        s->SmiPending = false;
        return true;
    }

    private bool AcceptInit(CpuState* s)
    {
        if (Intercept.Takes(s, null, SvmExitCode.Init))
            return false;
        s->InitPending = false;
        if (!SvmRegisters.RedirectsInit(this))
        {
            _cpu.Bus.ProcessorShutdown();
            return false;
        }
        s->Halted = false;
        s->Attended(Attention.Halt);
        Fault.Raise(s, null, Vector.Security, InitRedirected);
        return false;
    }
}
