namespace X86Virt.Engine.Processor;

/// <summary>What a processor with SVM may have besides (CPUID 8000_000A, EDX).</summary>
[Flags]
internal enum SvmFeatures : uint
{
    None = 0,
    NestedPaging = 1 << 0,

    /// <summary>A guest has DebugCtl and the last-branch registers for itself.</summary>
    LbrVirtualization = 1 << 1,
    SvmLock = 1 << 2,

    /// <summary>nRIP: an exit tells where the next instruction is.</summary>
    NextRip = 1 << 3,
    TscRatio = 1 << 4,
    CleanBits = 1 << 5,
    FlushByAsid = 1 << 6,

    /// <summary>An exit tells operands of MOV CR and DR, INVLPG and INT n, and a page fault's the instruction's bytes.</summary>
    DecodeAssists = 1 << 7,
    PauseFilter = 1 << 10,
    PauseFilterThreshold = 1 << 12,

    /// <summary>STGI and CLGI of a guest concern a flag of its own.</summary>
    VirtualGif = 1 << 16,
    All = NestedPaging | LbrVirtualization | SvmLock | NextRip | TscRatio | CleanBits | FlushByAsid | DecodeAssists | PauseFilter | PauseFilterThreshold
        | VirtualGif,
}

/// <summary>What a processor's SVM can do.</summary>
/// <param name="Features">As CPUID reports them.</param>
/// <param name="Asids">How many address-space identifiers there are.</param>
/// <param name="RunsRealMode">A guest may be in real mode, paged or with nested paging (AMD volume 2, 15.19); if not, VMRUN refuses CR0 without PE and PG.</param>
internal sealed record SvmCapabilities(SvmFeatures Features, uint Asids, bool RunsRealMode)
{
    /// <summary>Any number of identifiers would do, as the TLB holds one at a time.</summary>
    private const uint ManyAsids = 0x8000, FewAsids = 64;

    public static SvmCapabilities All { get; } = new(SvmFeatures.All, ManyAsids, RunsRealMode: true);

    public static SvmCapabilities Of(ProcessorGeneration generation) => generation switch
    {
        ProcessorGeneration.FirstGeneration => new(SvmFeatures.None, FewAsids, RunsRealMode: false),
        ProcessorGeneration.NestedPaging => new(SvmFeatures.NestedPaging | SvmFeatures.SvmLock | SvmFeatures.NextRip, FewAsids, RunsRealMode: true),
        _ => All,
    };

    public bool Has(SvmFeatures feature) => (Features & feature) != 0;

    /// <summary>CPUID 8000_000A.</summary>
    public (uint Eax, uint Ebx, uint Ecx, uint Edx) Leaf => (1, Asids, 0, (uint)Features);

    /// <summary>EXITINFO1 as far as it does not come from the decode assists.</summary>
    public ulong ExitInfo1(SvmExitCode code, ulong value) => Has(SvmFeatures.DecodeAssists) || !IsAssisted(code) ? value : 0;

    private static bool IsAssisted(SvmExitCode code)
        => code is < SvmExitCode.Exception0 or SvmExitCode.Cr0SelectiveWrite or SvmExitCode.SoftwareInterrupt or SvmExitCode.Invlpg;
}
