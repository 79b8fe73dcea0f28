namespace X86Virt.Engine;

/// <summary>Whose an intercept is.</summary>
[Flags]
public enum InterceptOwner
{
    /// <summary>The monitor cannot do without it.</summary>
    Monitor = 1,

    /// <summary>Set-VmcbIntercept added it.</summary>
    User = 2,

    /// <summary>The guest is a hypervisor whose own guest runs, and wants to see it.</summary>
    Guest = 4,
}

/// <summary>One thing that the guest is left for.</summary>
/// <param name="VMName">The machine.</param>
/// <param name="Name">What it is, in the words of the exit's reason; ports and registers by number.</param>
/// <param name="Owner">Whose it is; an exit that a user wants, too, is recorded as requested and handled as ever.</param>
public sealed record VmcbIntercept(string VMName, string Name, InterceptOwner Owner);

/// <summary>Which accesses of a register are meant.</summary>
[Flags]
public enum InterceptAccess
{
    Read = 1,
    Write = 2,
    ReadWrite = Read | Write,
}

/// <summary>Instructions that have an intercept of their own (AMD volume 2, 15.9).</summary>
public enum InterceptedInstruction
{
    Sidt = 0x66, Sgdt, Sldt, Str, Lidt, Lgdt, Lldt, Ltr,
    Rdtsc, Rdpmc, Pushf, Popf, Cpuid, Rsm, Iret,

    /// <summary>INT n.</summary>
    Int, Invd, Pause, Hlt, Invlpg,
    Vmmcall = 0x81,
    Rdtscp = 0x87,

    /// <summary>INT1.</summary>
    Icebp, Wbinvd,

    /// <summary>Together with MWAIT: what arms the one is the other's.</summary>
    Monitor,
    Mwait,
    Xsetbv = 0x8D,
    Invpcid = 0xA2,
}

/// <summary>Intercepts that a user wants or wants no longer.</summary>
public sealed record InterceptSelection
{
    /// <summary>Vectors of exceptions, 0 to 31 but for 2.</summary>
    public IReadOnlyList<byte> Exceptions { get; init; } = [];

    /// <summary>Numbers of model-specific registers.</summary>
    public IReadOnlyList<uint> Msrs { get; init; } = [];
    public IReadOnlyList<ushort> Ports { get; init; } = [];

    /// <summary>0, 2, 3, 4, 8.</summary>
    public IReadOnlyList<byte> ControlRegisters { get; init; } = [];

    /// <summary>0 to 7.</summary>
    public IReadOnlyList<byte> DebugRegisters { get; init; } = [];
    public IReadOnlyList<InterceptedInstruction> Instructions { get; init; } = [];

    /// <summary>Accesses of all registers named.</summary>
    public InterceptAccess Access { get; init; } = InterceptAccess.ReadWrite;
}
