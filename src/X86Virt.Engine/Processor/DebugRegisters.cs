namespace X86Virt.Engine.Processor;

/// <summary>Hardware breakpoints (AMD volume 2, 13.1): which accesses and instructions DR7 watches, and what DR6 reports.</summary>
public static unsafe class DebugRegisters
{
    // DR6 bits.
    internal const uint BreakpointMask = 0xF, GeneralDetect = 1 << 13, SingleStep = 1 << 14, TaskSwitch = 1 << 15;

    /// <summary>DebugCtl.LBR: branches are recorded (<see cref="LastBranches"/>).</summary>
    internal const ulong RecordBranches = 1 << 0;

    /// <summary>DebugCtl.BTF: TF traps behind branches only.</summary>
    internal const ulong BranchSingleStep = 1 << 1;

    /// <summary>LBR, BTF and the pin controls of DebugCtl.</summary>
    internal const ulong ControlWritable = 0x3F;

    internal const ulong Dr6Fixed = 0xFFFF_0FF0, Dr6Writable = 0xE00F;
    internal const ulong Dr7Fixed = 0x400, Dr7Writable = 0xFFFF_23FF, Dr7GeneralDetect = 1 << 13;

    private enum Kind
    {
        Execute,
        Write,
        Port,
        ReadWrite,
    }

    private static bool AnyEnabled(CpuState* s) => (s->Dr[7] & 0xFF) != 0;

    private static bool Enabled(CpuState* s, int i) => ((s->Dr[7] >> (i * 2)) & 3) != 0;

    private static Kind KindOf(CpuState* s, int i) => (Kind)((s->Dr[7] >> (16 + i * 4)) & 3);

    private static int LengthOf(CpuState* s, int i) => ((s->Dr[7] >> (18 + i * 4)) & 3) switch { 0 => 1, 1 => 2, 3 => 4, _ => 8 };

    private static bool Overlaps(CpuState* s, int i, ulong address, int size)
    {
        int length = LengthOf(s, i);
        ulong start = s->Dr[i] & ~(ulong)(length - 1);
        return address < start + (ulong)length && start < address + (ulong)size;
    }

    /// <summary>An execution breakpoint is enabled.</summary>
    internal static bool WatchesExecution(CpuState* s)
    {
        for (int i = 0; AnyEnabled(s) && i < 4; i++)
        {
            if (Enabled(s, i) && KindOf(s, i) == Kind.Execute)
                return true;
        }
        return false;
    }

    /// <summary>DR6 bits of the execution breakpoints at the linear address of an instruction.</summary>
    internal static uint MatchExecution(CpuState* s, ulong linear)
    {
        if (!s->Code64)
            linear = (uint)linear;
        uint hits = 0;
        for (int i = 0; i < 4; i++)
        {
            if (Enabled(s, i) && KindOf(s, i) == Kind.Execute && s->Dr[i] == linear)
                hits |= 1u << i;
        }
        return hits;
    }

    /// <summary>A data breakpoint lies in the page, so its accesses must take the slow path.</summary>
    internal static bool WatchesPage(CpuState* s, ulong linear)
    {
        if (!AnyEnabled(s))
            return false;
        for (int i = 0; i < 4; i++)
        {
            if (Enabled(s, i) && KindOf(s, i) is Kind.Write or Kind.ReadWrite && ((s->Dr[i] ^ linear) & ~0xFFFUL) == 0)
                return true;
        }
        return false;
    }

    /// <summary>A data access was made: a breakpoint on it traps behind the instruction.</summary>
    internal static void OnAccess(CpuState* s, Op* op, ulong linear, int size, bool write)
    {
        if (!AnyEnabled(s))
            return;
        for (int i = 0; i < 4; i++)
        {
            if (Enabled(s, i) && (KindOf(s, i) == Kind.ReadWrite || (write && KindOf(s, i) == Kind.Write)) && Overlaps(s, i, linear, size))
                TrapBehind(s, op, 1u << i);
        }
    }

    /// <summary>A port was accessed: with CR4.DE, breakpoints of that kind trap behind the instruction.</summary>
    internal static void OnPort(CpuState* s, Op* op, ushort port, int size)
    {
        if (!AnyEnabled(s) || (s->Cr4 & Cr4.De) == 0)
            return;
        for (int i = 0; i < 4; i++)
        {
            if (Enabled(s, i) && KindOf(s, i) == Kind.Port && Overlaps(s, i, port, size))
                TrapBehind(s, op, 1u << i);
        }
    }

    private static void TrapBehind(CpuState* s, Op* op, uint bits)
    {
        Trap(s, bits);
        if (op != null)
            Control.LeaveAfter(s, op);
    }

    /// <summary>Has a #DB trap taken before the next instruction.</summary>
    internal static void Trap(CpuState* s, uint bits)
    {
        s->PendingDebug |= bits;
        s->Attend(Attention.DebugTrap);
    }

    /// <summary>No trap is pending any more.</summary>
    internal static void ForgetTrap(CpuState* s)
    {
        s->PendingDebug = 0;
        s->Attended(Attention.DebugTrap);
    }

    /// <summary>Shows in DR6 what a #DB is about, lifts the protection of the debug registers and ends single-stepping by branches and their recording.</summary>
    internal static void Report(CpuState* s, uint bits)
    {
        if ((bits & BreakpointMask) != 0)
            s->Dr[6] &= ~(ulong)BreakpointMask;
        s->Dr[6] |= bits;
        s->Dr[7] &= ~Dr7GeneralDetect;
        s->DebugCtl &= ~(BranchSingleStep | RecordBranches);
        FlagsChange.Watch(s);
    }

    /// <summary>DR0 to DR3 or DR7 changed: which pages and instructions are watched did, too.</summary>
    internal static void Changed(CpuState* s)
    {
        Cpu.Of(s).CloseTlbs();
        FlagsChange.Watch(s);
    }
}
