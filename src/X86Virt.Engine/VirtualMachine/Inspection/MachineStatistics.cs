using X86Virt.Engine.Monitors;
using X86Virt.Engine.Platform;
using X86Virt.Engine.Processor;

namespace X86Virt.Engine;

/// <summary>Kinds of event that a monitor may have to see.</summary>
public enum ExitKind
{
    /// <summary>IN, OUT, INS, OUTS; the number is the port.</summary>
    PortIo,

    /// <summary>A load or store that a device answers.</summary>
    DeviceMemory,

    /// <summary>A byte read from or written to a port that no device claims; also counted as port access. The number is the port.</summary>
    UnclaimedPort,

    /// <summary>A load or store that neither memory nor a device answers.</summary>
    UnclaimedMemory,

    /// <summary>RDMSR; the number is the register.</summary>
    MsrRead,

    /// <summary>WRMSR; the number is the register.</summary>
    MsrWrite,

    /// <summary>RDMSR or WRMSR of a register that there is not, which faults; also counted as a read or write.</summary>
    UnknownMsr,
    ControlRegisterRead,

    /// <summary>The number is the register; CLTS and LMSW write CR0.</summary>
    ControlRegisterWrite,
    DebugRegister,
    Cpuid,

    /// <summary>RDTSC, RDTSCP.</summary>
    TimeStamp,

    /// <summary>INVLPG, INVPCID.</summary>
    PageInvalidation,
    Halt,

    /// <summary>A hardware interrupt was delivered.</summary>
    Interrupt,
    Nmi,

    /// <summary>SYSCALL, SYSENTER.</summary>
    SystemCall,

    /// <summary>INT n, INT3, INTO.</summary>
    SoftwareInterrupt,

    /// <summary>A near return, an indirect jump or an indirect call at privilege levels 0 to 2, which a translator must look up.</summary>
    IndirectBranch,

    /// <summary>An instruction of privilege levels 0 to 2 was translated.</summary>
    Translation,

    /// <summary>A fault or trap was delivered; the number is the vector.</summary>
    Exception,

    /// <summary>
    /// A TLB miss that shadow paging answered without the guest: by a refill from the shadow, by the first refill from an entry that a store to the guest's
    /// table had put there, or after a walk of the guest's tables.
    /// </summary>
    HiddenPageFault,

    /// <summary>A page fault under shadow paging that the guest had to see; delivered, it is among the exceptions too.</summary>
    TruePageFault,

    /// <summary>A store to a page table that has a shadow; the entry is present or not present behind it.</summary>
    TraceWrite,

    /// <summary>A shadow page table was made, evicted for another, or dropped because its page is no page table any more.</summary>
    ShadowTable,

    /// <summary>The guest changed to another address space: its shadow was found, or is new.</summary>
    AddressSpaceSwitch,

    /// <summary>VMRUN: the machine's monitor, or if it has none a hypervisor that runs in the machine (SVM), entered its guest, or was refused to.</summary>
    GuestEntry,

    /// <summary>#VMEXIT: its guest left; the number is the exit code.</summary>
    GuestExit,

    /// <summary>Nested paging of such a guest: walks of nested tables, table entries read by walks in both dimensions, pages that the nested TLB had.</summary>
    NestedPaging,

    /// <summary>Translated code left an instruction to the interpreter's handler.</summary>
    Callout,
}

/// <summary>How often one kind of exit happened.</summary>
/// <param name="Kind">The kind.</param>
/// <param name="Number">The port, register or vector, for kinds that have one.</param>
/// <param name="Detail">The number in words: "port 0x3f8", "#PF page fault"; for some kinds which of its sorts.</param>
/// <param name="Count">How often.</param>
public sealed record ExitCount(ExitKind Kind, long? Number, string Detail, long Count);

/// <summary>Everything counted about a machine, at one moment.</summary>
/// <param name="InstructionsRetired">Over the same time.</param>
/// <param name="Exits">The exits that happened, by kind and number.</param>
public sealed record MachineStatistics(long InstructionsRetired, IReadOnlyList<ExitCount> Exits)
{
    /// <summary>The detail of callouts of branches.</summary>
    internal const string BranchCallout = "branch: address not found, or slow access";

    /// <summary>Details of hidden page faults, traces and nested paging that tell one sort from the others.</summary>
    internal const string RefillDetail = "refill", LargeRefillDetail = "refill of a piece of a large page", NotPresentDetail = "not present", ReferenceDetail = "reference";

    internal static readonly MachineStatistics Zero = new(0, []);

    /// <summary>With -Engine HardwareAssist, what exits cost, by reason; empty with every other engine.</summary>
    public IReadOnlyList<VmExitStatistics> Reasons => VmExitStatistics.Of(ReasonCounts, InstructionsRetired, NanosecondsPerTick);

    internal IReadOnlyList<ReasonCounts> ReasonCounts { get; init; } = [];

    /// <summary>What their times are in.</summary>
    internal double NanosecondsPerTick { get; init; }

    /// <summary>What was counted after an earlier snapshot.</summary>
    public MachineStatistics Since(MachineStatistics earlier)
    {
        Dictionary<(ExitKind, long?, string), long> before = earlier.Exits.ToDictionary(e => (e.Kind, e.Number, e.Detail), e => e.Count);
        return new MachineStatistics(InstructionsRetired - earlier.InstructionsRetired,
            [.. Exits.Select(e => e with { Count = e.Count - before.GetValueOrDefault((e.Kind, e.Number, e.Detail)) }).Where(e => e.Count > 0)])
        {
            ReasonCounts = [.. ReasonCounts.Select(r => r.Since(earlier.ReasonCounts.FirstOrDefault(b => b.Code == r.Code))).Where(r => r.Count > 0)],
            NanosecondsPerTick = NanosecondsPerTick,
        };
    }

    internal static unsafe MachineStatistics Of(Cpu cpu, PortBus bus, ExitLog? log)
    {
        cpu.CollectCounts();
        CpuStatistics c = cpu.Statistics;
        var exits = new List<ExitCount>();
        for (int port = 0; port < c.Ports.Length; port++)
            Add(ExitKind.PortIo, c.Ports[port], port, $"port 0x{port:x}");
        Add(ExitKind.DeviceMemory, c.DeviceAccesses);
        for (int port = 0; port < bus.Unclaimed.Length; port++)
            Add(ExitKind.UnclaimedPort, bus.Unclaimed[port], port, $"port 0x{port:x}");
        Add(ExitKind.UnclaimedMemory, cpu.Memory.UnclaimedAccesses);
        AddMsrs(ExitKind.MsrRead, c.MsrReads);
        AddMsrs(ExitKind.MsrWrite, c.MsrWrites);
        AddMsrs(ExitKind.UnknownMsr, c.UnknownMsrs);
        Add(ExitKind.ControlRegisterRead, c.ControlRegisterReads);
        for (int register = 0; register < c.ControlRegisterWrites.Length; register++)
            Add(ExitKind.ControlRegisterWrite, c.ControlRegisterWrites[register], register, $"CR{register}");
        Add(ExitKind.DebugRegister, c.DebugRegisterAccesses);
        Add(ExitKind.Cpuid, c.Cpuids);
        Add(ExitKind.TimeStamp, c.TimeStampReads);
        Add(ExitKind.PageInvalidation, c.PageInvalidations);
        Add(ExitKind.Halt, c.Halts);
        Add(ExitKind.Interrupt, c.Interrupts);
        Add(ExitKind.Nmi, c.Nmis);
        Add(ExitKind.SystemCall, c.Syscalls);
        Add(ExitKind.SoftwareInterrupt, c.SoftwareInterrupts);
        Add(ExitKind.IndirectBranch, c.IndirectBranches);
        Add(ExitKind.Translation, c.TranslatedInstructions);
        for (int vector = 0; vector < c.Exceptions.Length; vector++)
            Add(ExitKind.Exception, c.Exceptions[vector], vector, ExceptionName.Of(vector));
        AddPaging(in c.Paging);
        // Those of a monitor, or of a hypervisor that has none above it.
        if ((cpu.Silicon ?? cpu).Svm is { } svm)
            AddSvm(svm.Counts);
        foreach (TranslationKind kind in Enum.GetValues<TranslationKind>())
            Add(ExitKind.Callout, c.Callouts[(int)kind], null, CalloutName(kind));
        return new MachineStatistics(cpu.State->Retired, exits) { ReasonCounts = log?.Snapshot() ?? [], NanosecondsPerTick = log?.NanosecondsPerTick ?? 0 };

        void AddMsrs(ExitKind kind, MsrCounts counts)
        {
            foreach ((uint index, long count) in counts.Snapshot())
                Add(kind, count, index, $"MSR 0x{index:x}");
        }

        void AddPaging(in PagingCounts p)
        {
            Add(ExitKind.HiddenPageFault, p.Refills - p.FirstUses - p.LargeRefills, null, RefillDetail);
            Add(ExitKind.HiddenPageFault, p.LargeRefills, null, LargeRefillDetail);
            Add(ExitKind.HiddenPageFault, p.FirstUses, null, "first use");
            Add(ExitKind.HiddenPageFault, p.Walks, null, "walk");
            Add(ExitKind.TruePageFault, p.TrueFaults);
            Add(ExitKind.TraceWrite, p.TraceWrites - p.TraceClears, null, "present");
            Add(ExitKind.TraceWrite, p.TraceClears, null, NotPresentDetail);
            Add(ExitKind.ShadowTable, p.TablesMade, null, "made");
            Add(ExitKind.ShadowTable, p.TablesEvicted, null, "evicted");
            Add(ExitKind.ShadowTable, p.TablesDropped, null, "dropped");
            Add(ExitKind.ShadowTable, p.TablesRested, null, "rested");
            Add(ExitKind.AddressSpaceSwitch, p.SpacesFound, null, "found");
            Add(ExitKind.AddressSpaceSwitch, p.SpacesNew, null, "new");
        }

        void AddSvm(SvmCounts counts)
        {
            Add(ExitKind.GuestEntry, counts.Entries);
            foreach ((SvmExitCode code, long count) in counts.Snapshot())
                Add(ExitKind.GuestExit, count, (long)code, SvmExitName.Of(code));
            Add(ExitKind.NestedPaging, counts.NestedWalks, null, "walk");
            Add(ExitKind.NestedPaging, counts.NestedReferences - counts.SparedReferences, null, ReferenceDetail);
            Add(ExitKind.NestedPaging, counts.SparedReferences, null, "reference for a piece of a large page");
            Add(ExitKind.NestedPaging, counts.GuestWalks - counts.SparedGuestWalks, null, "guest walk");
            Add(ExitKind.NestedPaging, counts.SparedGuestWalks, null, "guest walk for a piece of a large page");
            Add(ExitKind.NestedPaging, counts.NestedTlbHits, null, "hit");
        }

        void Add(ExitKind kind, long count, long? number = null, string detail = "")
        {
            if (count > 0)
                exits.Add(new ExitCount(kind, number, detail, count));
        }
    }

    private static string CalloutName(TranslationKind kind) => kind switch
    {
        TranslationKind.Callout => "no host code",
        TranslationKind.Simulate => "simulated",
        TranslationKind.Branch => BranchCallout,
        TranslationKind.InTc => "sequence: slow access or special case",
        _ => "slow access",
    };
}
