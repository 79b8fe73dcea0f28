namespace X86Virt.Engine.Processor;

/// <summary>
/// Why guest mode was left (AMD volume 2, appendix C). Up to 0xBF a code is also the number of its intercept's bit, counted from the start of the VMCB.
/// </summary>
public enum SvmExitCode : ulong
{
    Cr0Read = 0x00, Cr0Write = 0x10,
    Dr0Read = 0x20, Dr0Write = 0x30,

    /// <summary>Exception 0; the others follow it.</summary>
    Exception0 = 0x40,
    Intr = 0x60, Nmi, Smi, Init, VirtualIntr, Cr0SelectiveWrite, IdtrRead, GdtrRead, LdtrRead, TrRead, IdtrWrite, GdtrWrite, LdtrWrite, TrWrite,
    Rdtsc, Rdpmc, Pushf, Popf, Cpuid, Rsm, Iret, SoftwareInterrupt, Invd, Pause, Hlt, Invlpg, Invlpga, Port, Msr, TaskSwitch, FerrFreeze, Shutdown,
    Vmrun = 0x80, Vmmcall, Vmload, Vmsave, Stgi, Clgi, Skinit, Rdtscp, Icebp, Wbinvd, Monitor, Mwait, MwaitArmed, Xsetbv,
    Invpcid = 0xA2,
    NestedPageFault = 0x400,

    /// <summary>No #VMEXIT: the monitor executed the guest, which was in a mode that the silicon cannot run.</summary>
    Emulation = 0xF000_0000,

    /// <summary>VMRUN refused the VMCB.</summary>
    Invalid = ulong.MaxValue,
}
