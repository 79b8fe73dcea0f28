using System.Runtime.InteropServices;

namespace X86Virt.Engine.Processor;

/// <summary>
/// What SYSCALL and SYSRET do in 64-bit mode, as STAR, SFMASK, EFER and CR4.SMAP have it: derived by a handler, so that translated code can do it
/// without one. Both lead from one 64-bit flat code segment to another, so nothing of the mode changes but the privilege level.
/// </summary>
[StructLayout(LayoutKind.Explicit, Size = 0x88)]
internal unsafe struct SystemCallPath
{
    internal const int ReadyOffset = 0, CountOffset = 0x08, KernelOffset = 0x10, UserOffset = 0x48, KeptSystemOffset = 0x80, KeptStatusOffset = 0x84;

    /// <summary>Whether the rest is right.</summary>
    [FieldOffset(ReadyOffset)] public bool Ready;

    /// <summary>System calls that translated code made by it.</summary>
    [FieldOffset(CountOffset)] public long Count;

    /// <summary>Where SYSCALL leads.</summary>
    [FieldOffset(KernelOffset)] public Level Kernel;

    /// <summary>Where SYSRET leads.</summary>
    [FieldOffset(UserOffset)] public Level User;

    /// <summary>The bits of <see cref="CpuState.SystemFlags"/> and of <see cref="CpuState.StatusFlags"/> that SYSCALL leaves.</summary>
    [FieldOffset(KeptSystemOffset)] public uint KeptSystem;
    [FieldOffset(KeptStatusOffset)] public uint KeptStatus;

    /// <summary>A privilege level, and what follows from it while RFLAGS.AC is clear.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 0x38)]
    internal struct Level
    {
        internal const int CsOffset = 0, SsOffset = 0x10, TlbOffset = 0x20, LookupKeyOffset = 0x28, AccessModeOffset = 0x30;

        [FieldOffset(CsOffset)] public SegmentRegister Cs;
        [FieldOffset(SsOffset)] public SegmentRegister Ss;
        [FieldOffset(TlbOffset)] public TlbEntry* Tlb;

        /// <summary>The bits of <see cref="CpuState.LookupKey"/> below its generation.</summary>
        [FieldOffset(LookupKeyOffset)] public ulong LookupKey;
        [FieldOffset(AccessModeOffset)] public AccessMode AccessMode;
    }

    /// <summary>Derives it, unless SYSCALL would leave AC, on which it may depend what its handler may access.</summary>
    public static void Prepare(CpuState* s)
    {
        Cpu cpu = Cpu.Of(s);
        bool smap = (s->Cr4 & Cr4.Smap) != 0;
        if (!s->LongMode || (smap && (s->SfMask & Flags.Ac) == 0))
            return;
        ref SystemCallPath path = ref s->SystemCalls;
        path.Ready = true;
        path.KeptSystem = ~((uint)s->SfMask | Flags.Rf);
        path.KeptStatus = Flags.FromRflags(~s->SfMask);
        path.Kernel = LevelOf(cpu, SystemCallFamily.KernelSegments(s), smap ? AccessMode.SupervisorSmap : AccessMode.Supervisor);
        path.User = LevelOf(cpu, SystemCallFamily.UserSegments(s), AccessMode.User);
    }

    private static Level LevelOf(Cpu cpu, (SegmentRegister Cs, SegmentRegister Ss) segments, AccessMode mode) => new()
    {
        Cs = segments.Cs,
        Ss = segments.Ss,
        Tlb = cpu.Tlb.Of(mode),
        LookupKey = ModeChange.LookupKeyOf(cpu.State, mode),
        AccessMode = mode,
    };
}
