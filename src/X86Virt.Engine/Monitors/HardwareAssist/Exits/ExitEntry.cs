using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Monitors;

/// <summary>One #VMEXIT as the VMCB told it, and what it cost.</summary>
internal unsafe struct ExitEntry
{
    public const int MostBytes = 15, RoomForBytes = 16;

    /// <summary>From 1 on, since the machine is there.</summary>
    public long Number;
    public SvmExitCode Code;
    public ulong Info1, Info2;
    public VmcbEvent InFlight;

    /// <summary>CS base, 0 in 64-bit mode.</summary>
    public ulong CodeBase;
    public ulong Rip;

    /// <summary>Registers that the instruction may name an MSR, a leaf or a value by.</summary>
    public ulong Rax, Rcx, Rdx;
    public long Retired, SinceLast;

    /// <summary>From the #VMEXIT until the guest could go on, by a <see cref="HostClock"/>.</summary>
    public long HostTicks;
    public byte Bitness, Cpl;

    /// <summary>The guest was running a guest of its own.</summary>
    public bool IsNested;

    /// <summary>EXITINFO1 tells of operands, by the decode assists.</summary>
    public bool IsAssisted;

    /// <summary>A user's intercept matches.</summary>
    public bool IsRequested;

    /// <summary>Bytes at RIP, none where the TLB did not have the page any more.</summary>
    public byte ByteCount;
    public fixed byte Bytes[RoomForBytes];
}
