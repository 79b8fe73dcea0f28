namespace X86Virt.Engine.Processor;

/// <summary>
/// The last-branch registers (AMD volume 2, 13.1.1), in the order in which they stand in a VMCB. With DebugCtl.LBR each control transfer is recorded;
/// instructions are executed one at a time then (<see cref="FlagsChange.Watch"/>), so that translated code need not know.
/// </summary>
internal struct LastBranches
{
    /// <summary>The last transfer, by jump, call, return, interrupt or exception: RIP of what was left, and where control went.</summary>
    public ulong From, To;

    /// <summary>The last transfer before the last interrupt or exception.</summary>
    public ulong EventFrom, EventTo;

    /// <summary>Whether transfers are recorded.</summary>
    public static unsafe bool AreRecorded(CpuState* s) => (s->DebugCtl & DebugRegisters.RecordBranches) != 0;

    public void Record(ulong from, ulong to) => (From, To) = (from, to);

    /// <summary>An interrupt or exception is taken; its own transfer is recorded behind this.</summary>
    public void KeepForEvent() => (EventFrom, EventTo) = (From, To);
}
