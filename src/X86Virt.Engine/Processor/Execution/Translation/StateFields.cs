namespace X86Virt.Engine.Processor;

/// <summary>Names of what translated code addresses from the state's register.</summary>
internal static class StateFields
{
    private static readonly Dictionary<int, string> Names = new()
    {
        [CpuState.RipOffset] = "rip",
        [CpuState.StatusFlagsOffset] = "status_flags",
        [CpuState.StatusFlagsOffset + 1] = "status_flags+1",
        [CpuState.SystemFlagsOffset] = "system_flags",
        [CpuState.BudgetOffset] = "budget",
        [CpuState.DeadlineOffset] = "deadline",
        [CpuState.CplOffset] = "cpl",
        [CpuState.ShadowOffset] = "interrupt_shadow",
        [CpuState.BoundaryRetiredOffset] = "boundary",
        [CpuState.InterruptDeferredOffset] = "interrupt_deferred",
        [CpuState.LookupKeyOffset] = "lookup_key",
        [CpuState.JumpTargetOffset] = "jump_target",
        [CpuState.LiveUnitsOffset] = "live_units",
        [CpuState.ReturnStackBaseOffset] = "return_stack_base",
        [CpuState.ReturnStackLimitOffset] = "return_stack_limit",
        [CpuState.CpuidKeyOffset] = "cpuid_key",
        [CpuState.CpuidKnownOffset] = "cpuid_known",
        [CpuState.CpuidCountOffset] = "cpuid_count",
        [CpuState.CpuidValuesOffset] = "cpuid_eax",
        [CpuState.CpuidValuesOffset + 4] = "cpuid_ebx",
        [CpuState.CpuidValuesOffset + 8] = "cpuid_ecx",
        [CpuState.CpuidValuesOffset + 12] = "cpuid_edx",
        [CpuState.Cr0Offset] = "cr0",
        [CpuState.Cr2Offset] = "cr2",
        [CpuState.Cr3Offset] = "cr3",
        [CpuState.Cr4Offset] = "cr4",
        [CpuState.LStarOffset] = "lstar",
        [CpuState.KernelGsBaseOffset] = "kernel_gs_base",
        [CpuState.TscAuxOffset] = "tsc_aux",
        [CpuState.TlbFieldOffset] = "tlb",
        [CpuState.AccessModeOffset] = "access_mode",
        [CpuState.SystemCallsOffset + SystemCallPath.ReadyOffset] = "syscall_ready",
        [CpuState.SystemCallsOffset + SystemCallPath.CountOffset] = "syscall_count",
        [CpuState.SystemCallsOffset + SystemCallPath.KeptSystemOffset] = "syscall_system_flags",
        [CpuState.SystemCallsOffset + SystemCallPath.KeptStatusOffset] = "syscall_status_flags",
        [CpuState.TimeStampKnownOffset] = "time_stamp_known",
        [CpuState.TimeStampBaseOffset] = "time_stamp_base",
        [CpuState.TimeStampCountOffset] = "time_stamp_count",
        [CpuState.ControlReadCountOffset] = "control_read_count",
        [CpuState.IndirectBranchCountOffset] = "indirect_branch_count",
        [CpuState.ReadableSegmentsOffset] = "readable_segments",
        [CpuState.WritableSegmentsOffset] = "writable_segments",
    };

    private static readonly string[] TlbFields = ["read_tag", "write_tag", "fetch_tag", "addend"];

    /// <summary>What is at an offset from the state; null if it has no name.</summary>
    public static string? NameOf(int offset)
    {
        if (Names.TryGetValue(offset, out string? name))
            return name;
        if (offset is >= 0 and < 16 * 8 && offset % 8 == 0)
            return $"guest_r{offset / 8}";
        if (offset - CpuState.AddressBaseOffset is >= 0 and < 6 * 8)
            return $"base_{((Segment)((offset - CpuState.AddressBaseOffset) / 8)).ToString().ToLowerInvariant()}";
        if (offset - CpuState.AccessGroupsOffset is >= 0 and < CpuState.AccessGroupSlots * sizeof(long))
            return $"access_group_{(offset - CpuState.AccessGroupsOffset) / sizeof(long)}";
        if (offset >= CpuState.TlbOffset && offset < CpuState.LookupOffset)
            return TlbFields[offset % 32 / 8];
        if (offset < CpuState.LookupOffset)
            return null;
        return (offset - CpuState.LookupOffset) % (3 * CodeLookup.Entries * 8) < CodeLookup.Entries * 8 ? "lookup_tags" : "lookup_hosts";
    }
}
