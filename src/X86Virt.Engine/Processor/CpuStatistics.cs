namespace X86Virt.Engine.Processor;

/// <summary>Events counted where they happen; plain fields, read through a snapshot.</summary>
public sealed class CpuStatistics
{
    public long DeviceAccesses;
    public long PortReads;
    public long PortWrites;
    public long ControlRegisterReads;
    public long DebugRegisterAccesses;
    public long Cpuids;
    public long Halts;
    public long Interrupts;
    public long SoftwareInterrupts;
    public long Nmis;
    public long TimeStampReads;
    public long PageInvalidations;
    public long Syscalls;

    /// <summary>Near returns, indirect jumps and indirect calls executed at privilege levels 0 to 2: where they go is known when they get there.</summary>
    public long IndirectBranches;

    /// <summary>Instructions of privilege levels 0 to 2 that were translated; again each time that they were translated anew.</summary>
    public long TranslatedInstructions;

    /// <summary>What came of shadow paging; all 0 without it.</summary>
    public PagingCounts Paging;

    public readonly MsrCounts MsrReads = new();
    public readonly MsrCounts MsrWrites = new();

    /// <summary>Registers that the guest asked for in vain; they are among the reads and writes too.</summary>
    public readonly MsrCounts UnknownMsrs = new();

    /// <summary>Exceptions delivered, by vector.</summary>
    public readonly long[] Exceptions = new long[32];

    /// <summary>Instructions that translated code left to the interpreter's handlers, by <see cref="TranslationKind"/>.</summary>
    public readonly long[] Callouts = new long[(int)TranslationKind.Simulate + 1];

    /// <summary>By register number; CLTS and LMSW are writes of CR0.</summary>
    public readonly long[] ControlRegisterWrites = new long[9];

    /// <summary>Port accesses by port number.</summary>
    public readonly long[] Ports = new long[0x10000];
}
