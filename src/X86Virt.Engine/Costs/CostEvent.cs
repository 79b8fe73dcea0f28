namespace X86Virt.Engine.Costs;

/// <summary>How a guest is run, as far as it matters to what events cost.</summary>
public enum CostTechnique
{
    /// <summary>On the bare processor.</summary>
    Native,

    /// <summary>By a monitor that translates the kernel's code, runs user code directly and has shadow page tables.</summary>
    SoftwareVmm,

    /// <summary>By a monitor that uses the processor's virtualization, with shadow page tables unless exits were counted with other paging.</summary>
    HardwareVmm,
}

/// <summary>Events that have a price.</summary>
public enum CostEvent
{
    /// <summary>An instruction that is no part of the other events.</summary>
    Instruction,

    /// <summary>A near return, indirect jump or indirect call of the kernel.</summary>
    IndirectBranch,

    /// <summary>SYSCALL or SYSENTER, with its return.</summary>
    SystemCall,

    /// <summary>INT n, with its IRET.</summary>
    SoftwareInterrupt,

    /// <summary>A hardware interrupt, with its IRET.</summary>
    Interrupt,

    /// <summary>A fault or trap other than a page fault, with its IRET.</summary>
    Exception,

    /// <summary>A page fault that the guest sees, with its IRET.</summary>
    PageFault,
    PortAccess,
    DeviceAccess,

    /// <summary>A write of CR8.</summary>
    TaskPriorityWrite,

    /// <summary>A write of CR3.</summary>
    AddressSpaceWrite,

    /// <summary>A write of CR0, CR2 or CR4.</summary>
    ControlRegisterWrite,
    ControlRegisterRead,
    DebugRegister,
    ModelSpecificRegister,
    Cpuid,
    TimeStamp,
    PageInvalidation,
    Halt,

    /// <summary>A TLB miss that needs no monitor.</summary>
    TlbMiss,

    /// <summary>A TLB miss that a monitor with shadow page tables must see to: the first through a page table entry.</summary>
    HiddenPageFault,

    /// <summary>A store that leaves an entry of a shadowed page table present.</summary>
    TraceOfPresent,

    /// <summary>A store that leaves one not present.</summary>
    TraceOfNotPresent,

    /// <summary>An instruction of the kernel translated.</summary>
    Translation,

    /// <summary>An exit, counted, for an access to a port.</summary>
    PortExit,

    /// <summary>One for a page fault, of the guest's tables or of nested ones.</summary>
    PageFaultExit,

    /// <summary>One for anything else.</summary>
    OtherExit,

    /// <summary>A table entry that a walk in two dimensions read, where its exits were counted.</summary>
    WalkReference,
}
