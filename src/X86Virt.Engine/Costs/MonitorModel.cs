namespace X86Virt.Engine.Costs;

/// <summary>
/// What events cost the monitors of Adams and Agesen (ASPLOS 2006), put together from a profile's constants: what such a monitor does for an
/// event, step by step.
/// </summary>
internal static class MonitorModel
{
    /// <summary>"A typical exit needs about ten": the same paper.</summary>
    private const int VmcbReadsPerExit = 10;

    /// <summary>Names of the constants that a profile must have.</summary>
    public const string
        Instruction = "Instruction", IndirectBranch = "IndirectBranch", SystemCall = "SystemCall", PortAccess = "PortAccess", Privileged = "PrivilegedInstruction",
        Delivery = "ExceptionDelivery", PageFaultDelivery = "PageFaultDelivery", WalkReference = "WalkReference", TlbMiss = "TlbMiss",
        Callout = "Callout", Trap = "Trap", Emulation = "Emulation", Sequence = "Sequence", BranchLookup = "BranchLookup", TraceStore = "TraceStore",
        EntryValidation = "EntryValidation", Translation = "Translation",
        VmEntry = "VmEntry", PageFaultExit = "PageFaultExit", OtherExit = "OtherExit", VmcbRead = "VmcbRead", ExitHandler = "ExitHandler", PortHandler = "PortHandler";

    public static Dictionary<(CostTechnique, CostEvent), CostTerm[]> Prices(IReadOnlyList<CostConstant> constants)
    {
        Dictionary<string, CostConstant> byName = constants.ToDictionary(c => c.Name);
        var prices = new Dictionary<(CostTechnique, CostEvent), CostTerm[]>();
        AddNative();
        AddSoftware();
        AddHardware();
        return prices;

        CostTerm Of(string name, double times = 1) => new(byName[name], times);

        void Add(CostTechnique technique, CostEvent e, params CostTerm[] terms) => prices[(technique, e)] = terms;

        void AddNative()
        {
            foreach (CostTechnique technique in Enum.GetValues<CostTechnique>())
            {
                Add(technique, CostEvent.Instruction, Of(Instruction));
                Add(technique, CostEvent.IndirectBranch, Of(IndirectBranch));
                Add(technique, CostEvent.SystemCall, Of(SystemCall));
                Add(technique, CostEvent.SoftwareInterrupt, Of(Delivery));
                Add(technique, CostEvent.Interrupt, Of(Delivery));
                Add(technique, CostEvent.Exception, Of(Delivery));
                Add(technique, CostEvent.PageFault, Of(PageFaultDelivery));
                Add(technique, CostEvent.PortAccess, Of(PortAccess));
                Add(technique, CostEvent.DeviceAccess, Of(Privileged));
                Add(technique, CostEvent.TlbMiss, Of(TlbMiss));
                Add(technique, CostEvent.HiddenPageFault, Of(TlbMiss));
                for (CostEvent e = CostEvent.TaskPriorityWrite; e <= CostEvent.Halt; e++)
                    Add(technique, e, Of(Privileged));
            }
        }

        void AddSoftware()
        {
            const CostTechnique Software = CostTechnique.SoftwareVmm;
            Add(Software, CostEvent.IndirectBranch, Of(IndirectBranch), Of(BranchLookup));

            // Into translated code where the kernel is entered, out of it where it is left.
            Add(Software, CostEvent.SystemCall, Of(SystemCall), Of(Callout, 2));
            Add(Software, CostEvent.SoftwareInterrupt, Of(Delivery), Of(Callout, 2));
            Add(Software, CostEvent.Interrupt, Of(Delivery), Of(Callout, 2));
            Add(Software, CostEvent.Exception, Of(Delivery), Of(Callout, 2));
            Add(Software, CostEvent.PageFault, Of(PageFaultDelivery), Of(Callout, 2), Of(EntryValidation));
            Add(Software, CostEvent.HiddenPageFault, Of(Trap), Of(EntryValidation));
            Add(Software, CostEvent.TraceOfNotPresent, Of(TraceStore));
            Add(Software, CostEvent.TraceOfPresent, Of(TraceStore), Of(EntryValidation));
            Add(Software, CostEvent.Translation, Of(Translation));

            foreach (CostEvent e in (CostEvent[])[CostEvent.PortAccess, CostEvent.DeviceAccess, CostEvent.TimeStamp])
                Add(Software, e, Of(Emulation));
            foreach (CostEvent e in (CostEvent[])[CostEvent.TaskPriorityWrite, CostEvent.ControlRegisterRead])
                Add(Software, e, Of(Sequence));
            foreach (CostEvent e in (CostEvent[])[CostEvent.AddressSpaceWrite, CostEvent.ControlRegisterWrite, CostEvent.DebugRegister, CostEvent.ModelSpecificRegister, CostEvent.Cpuid, CostEvent.PageInvalidation, CostEvent.Halt])
                Add(Software, e, Of(Callout), Of(Emulation));
        }

        // Shadow page tables; CR8, the time stamp, control register reads, system calls and exceptions other than page faults do not exit.
        void AddHardware()
        {
            const CostTechnique Hardware = CostTechnique.HardwareVmm;
            CostTerm[] pageFault = Exit(PageFaultExit, ExitHandler), port = Exit(OtherExit, PortHandler), other = Exit(OtherExit, ExitHandler);
            CostTerm[] Part(CostTerm[] exit) => [.. exit.Select(t => t with { AtExit = true })];

            Add(Hardware, CostEvent.PageFault, [Of(PageFaultDelivery), .. Part(pageFault)]);
            Add(Hardware, CostEvent.Interrupt, [Of(Delivery), .. Part(other)]);
            Add(Hardware, CostEvent.HiddenPageFault, Part(pageFault));
            Add(Hardware, CostEvent.TraceOfPresent, Part([.. pageFault, Of(EntryValidation)]));
            Add(Hardware, CostEvent.TraceOfNotPresent, Part(pageFault));
            Add(Hardware, CostEvent.PortAccess, Part(port));
            Add(Hardware, CostEvent.DeviceAccess, Part(pageFault));
            foreach (CostEvent e in (CostEvent[])[CostEvent.AddressSpaceWrite, CostEvent.ControlRegisterWrite, CostEvent.DebugRegister, CostEvent.ModelSpecificRegister, CostEvent.Cpuid, CostEvent.PageInvalidation, CostEvent.Halt])
                Add(Hardware, e, Part(other));
            Add(Hardware, CostEvent.PageFaultExit, pageFault);
            Add(Hardware, CostEvent.PortExit, port);
            Add(Hardware, CostEvent.OtherExit, other);
            Add(Hardware, CostEvent.WalkReference, Of(WalkReference));
        }

        CostTerm[] Exit(string exit, string handler) => [Of(exit), Of(VmcbRead, VmcbReadsPerExit), Of(handler), Of(VmEntry)];
    }
}
