using static X86Virt.Engine.Costs.MonitorModel;

namespace X86Virt.Engine.Costs;

/// <summary>The profiles of processors that figures were published for.</summary>
public static class CostProfiles
{
    private const string Table = "Adams and Agesen, ASPLOS 2006, nanobenchmarks on a Pentium 4 672";
    private const string HardwareTable = "Adams and Agesen, ASPLOS 2006, costs of VM entry, exit and VMCB accesses";
    private const string RoundTrips = "Agesen et al., USENIX ATC 2012, round trips by generation";

    public static CostProfile Pentium4 { get; } = MakePentium4();
    public static CostProfile Core2 { get; } = MakeCore2();
    public static IReadOnlyList<CostProfile> All { get; } = [Pentium4, Core2];

    private static CostProfile MakePentium4()
    {
        CostConstant[] constants =
        [
            Row(Instruction, "An instruction that is no part of another event", 1, "instruction", "ptesame", CostTechnique.Native, CostBasis.Published),
            Row(IndirectBranch, "A return with its call, beyond the call's one cycle", 11 - 1, "branch", "callret", CostTechnique.Native, CostBasis.Published),
            Row(SystemCall, "SYSCALL and SYSRET", 242, "call", "syscall", CostTechnique.Native, CostBasis.Published),
            Row(PortAccess, "An access to port 80h", 3209, "access", "in", CostTechnique.Native, CostBasis.Published),
            Row(Privileged, "A write of CR8; taken for every privileged or serializing instruction, and for accesses to device memory, most of which are to the local APIC, as CR8 is", 150, "instruction", "cr8wr", CostTechnique.Native, CostBasis.Published),
            Row(Delivery, "An exception delivered, and IRET", 889, "exception", "divzero", CostTechnique.Native, CostBasis.Published),
            Row(PageFaultDelivery, "A page fault delivered, and IRET", 1093, "fault", "pgfault", CostTechnique.Native, CostBasis.Published),
            new(TlbMiss, "A walk of four levels: what a page fault takes longer than a divide error", 1093 - 889, "miss", CostBasis.Published, Table + ": native, pgfault - divzero"),
            new(WalkReference, "A page table entry read by a walk: a quarter of one of four levels", (1093 - 889) / 4.0, "reference", CostBasis.Published, Table + ": native, (pgfault - divzero) / 4"),

            new(Callout, "Leaving translated code and coming back", 1254 - 216, "callout", CostBasis.Published, "Adams and Agesen, ASPLOS 2006: RDTSC by callout less RDTSC in translated code"),
            new(Trap, "A trap into the monitor and back, from code that runs as it is", 2030 - 216, "trap", CostBasis.Published, "Adams and Agesen, ASPLOS 2006: RDTSC by trap and emulation less RDTSC in translated code"),
            new(Emulation, "An instruction emulated in translated code", 216, "instruction", CostBasis.Published, "Adams and Agesen, ASPLOS 2006: RDTSC in translated code"),
            Row(Sequence, "A short sequence on the virtual processor's state", 35, "instruction", "cr8wr", CostTechnique.SoftwareVmm, CostBasis.Calibrated),
            Row(BranchLookup, "Finding the translation that a return or an indirect branch goes to", 51 - 11, "branch", "callret", CostTechnique.SoftwareVmm, CostBasis.Calibrated),
            Row(TraceStore, "A store to a traced page that is translated as one, beyond its one cycle", 17 - 1, "store", "pteclear", CostTechnique.SoftwareVmm, CostBasis.Calibrated),
            Row(EntryValidation, "Making a shadow entry of a guest's entry that is present", 391 - 17, "entry", "ptesame", CostTechnique.SoftwareVmm, CostBasis.Calibrated),
            new(Translation, "Translating", 2300, "instruction", CostBasis.Published, "Adams and Agesen, ASPLOS 2006: about 2300 cycles an instruction"),

            new(VmEntry, "VM entry", 2409, "entry", CostBasis.Published, HardwareTable),
            new(PageFaultExit, "An exit for a page fault", 1931, "exit", CostBasis.Published, HardwareTable),
            new(OtherExit, "An exit for anything else", 3963 - 2409, "exit", CostBasis.Published, RoundTrips + ": Prescott, less its entry"),
            new(VmcbRead, "Reading a field of the VMCB", 178, "read", CostBasis.Published, HardwareTable),
            Row(ExitHandler, "What the monitor does for an exit: finds out what is to be done, and does it", 11242 - 1096 - (1931 + 2409 + 10 * 178), "exit", "pgfault", CostTechnique.HardwareVmm, CostBasis.Calibrated),
            Row(PortHandler, "What it does for an access to a device", 15826 - (3963 + 10 * 178), "exit", "in", CostTechnique.HardwareVmm, CostBasis.Calibrated),
        ];
        return new CostProfile("Pentium4-672", "Pentium 4 672, 3.8 GHz", 3.8e9, constants, Prices(constants));
    }

    private static CostConstant Row(string name, string meaning, double cycles, string unit, string row, CostTechnique technique, CostBasis basis)
        => new(name, meaning, cycles, unit, basis, $"{(basis == CostBasis.Calibrated ? "calibrated on " : "")}{Table}: {row}, {technique}") { Row = row, Technique = technique };

    /// <summary>No nanobenchmarks were published for it: what is not its own is the Pentium 4's, fewer cycles by one factor for all.</summary>
    private static CostProfile MakeCore2()
    {
        const double Frequency = 2.66e9, Factor = 2.62 * Frequency / (6.02 * 3.8e9);
        const string Scaled = "Pentium4-672's times 0.305, calibrated on forkwait, native: 2.62 s at 2.66 GHz for 6.02 s at 3.8 GHz (Adams and Agesen, ASPLOS 2006)";
        var own = new Dictionary<string, (double Cycles, string Source)>
        {
            [VmEntry] = (937, HardwareTable),
            [PageFaultExit] = (1186, HardwareTable),
            [OtherExit] = (1579 - 937, RoundTrips + ": Merom, less its entry"),
            [VmcbRead] = (52, HardwareTable),
        };
        CostConstant[] constants = [.. Pentium4.Constants.Select(c => own.TryGetValue(c.Name, out (double Cycles, string Source) of)
            ? c with { Cycles = of.Cycles, Source = of.Source }
            : c with { Cycles = c.Cycles * Factor, Basis = CostBasis.Calibrated, Source = Scaled, Row = null })];
        return new CostProfile("Core2", "Core 2 Duo, 2.66 GHz", Frequency, constants, Prices(constants));
    }
}
