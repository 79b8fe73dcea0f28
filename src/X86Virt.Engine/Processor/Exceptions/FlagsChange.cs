namespace X86Virt.Engine.Processor;

/// <summary>Loads RFLAGS and sees to what follows from IF, TF and AC.</summary>
internal static unsafe class FlagsChange
{
    /// <summary>What POPF and IRET may change at any privilege level, the status bits included; wider than 16 bits.</summary>
    public const uint Unprivileged = Flags.RflagsStatus | Flags.Tf | Flags.Df | Flags.Nt | Flags.Ac | Flags.Id;

    /// <summary>The bits that POPF and IRET load at the current privilege level and the given operand size.</summary>
    public static uint Writable(CpuState* s, int size)
    {
        uint mask = Unprivileged;
        if (s->Cpl <= s->Iopl)
            mask |= Flags.If;
        if (s->Cpl == 0)
            mask |= Flags.IoplMask;
        return size == 2 ? mask & 0xFFFF : mask;
    }

    /// <summary>
    /// Sets the bits in <paramref name="mask"/>. VM is loaded like any other; the caller updates the mode then. Attention is raised
    /// where IF lets a waiting interrupt through or TF asks for single steps.
    /// </summary>
    public static void Load(CpuState* s, ulong value, uint mask)
    {
        if ((mask & Flags.RflagsStatus) != 0)
            s->StatusFlags = Flags.FromRflags(value);
        uint before = s->SystemFlags;
        uint system = mask & ~Flags.RflagsStatus;
        s->SystemFlags = (before & ~system) | ((uint)value & system) | 2;
        uint changed = before ^ s->SystemFlags;
        if ((changed & (Flags.If | Flags.Tf | Flags.Ac)) != 0)
            Follow(s, changed);
    }

    private static void Follow(CpuState* s, uint changed)
    {
        if ((changed & Flags.If) != 0)
            AllowInterrupts(s);
        if ((changed & Flags.Tf) != 0)
            Watch(s);
        if ((changed & Flags.Ac) != 0)
            ModeChange.UpdateAccessMode(Cpu.Of(s));
    }

    /// <summary>Has interrupts looked at again if one was held off.</summary>
    public static void AllowInterrupts(CpuState* s)
    {
        if (s->InterruptDeferred && (s->SystemFlags & Flags.If) != 0)
            Cpu.Of(s).RequestAttention(Attention.Interrupt);
    }

    /// <summary>Turns single stepping on or off, as TF, execution breakpoints and the recording of branches want it.</summary>
    public static void Watch(CpuState* s)
    {
        if ((s->SystemFlags & Flags.Tf) != 0 || DebugRegisters.WatchesExecution(s) || LastBranches.AreRecorded(s))
            s->Attend(Attention.Step);
        else
            s->Attended(Attention.Step);
    }

    /// <summary>Whether handlers that changed flags may go on to the next entry of their block.</summary>
    public static Op* Next(CpuState* s, Op* op) => s->Attention == Attention.None ? op + 1 : Control.Complete(s, op);
}
