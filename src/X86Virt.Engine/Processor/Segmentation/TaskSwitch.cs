namespace X86Virt.Engine.Processor;

/// <summary>How a task switch comes about, which decides on busy bits, NT and the back link.</summary>
internal enum TaskSwitchKind
{
    Jump,

    /// <summary>CALL and events: the new task is nested in the old one.</summary>
    Nested,

    /// <summary>IRET with NT set.</summary>
    Return,
}

/// <summary>Hardware task switches through 16- and 32-bit task-state segments (AMD volume 2, 12.3).</summary>
internal static unsafe class TaskSwitch
{
    // EXITINFO2 of an intercepted switch (AMD volume 2, 15.14.1).
    private const ulong ExitIret = 1UL << 36, ExitJump = 1UL << 38, ExitHasErrorCode = 1UL << 44, ExitResume = 1UL << 48;

    /// <summary>Delivers an event through a task gate of the IDT.</summary>
    public static bool ThroughGate(CpuState* s, Op* op, ushort selector, in InterruptEvent e)
    {
        if (!ReadAvailable(s, op, selector, e.External, out Descriptor tss)
            || !Switch(s, op, selector, tss, TaskSwitchKind.Nested, e.ReturnRip, e.External, e.Resume, e.HasErrorCode ? ExitHasErrorCode | e.ErrorCode : 0))
            return false;
        if (!e.HasErrorCode)
            return true;
        bool wide = (CpuState.Seg(s, Segment.Tr)->Type & 8) != 0;
        var stack = new StackWriter(s, null, *CpuState.Seg(s, Segment.Ss), s->Rsp, s->Cpl, false, e.External);
        if (!stack.Push(wide ? 4 : 2, e.ErrorCode))
            return false;
        stack.Commit();
        return true;
    }

    /// <summary>Reads the descriptor that a task gate names: an available TSS in the GDT.</summary>
    public static bool ReadAvailable(CpuState* s, Op* op, ushort selector, uint external, out Descriptor tss)
    {
        tss = default;
        bool local = (selector & 4) != 0;
        if (local || DescriptorTables.IsNull(selector))
        {
            Fault.GeneralProtection(s, op, DescriptorTables.ErrorCode(selector, external));
            return false;
        }
        if (!DescriptorTables.Read(s, op, selector, Vector.GeneralProtection, external, out tss))
            return false;
        if (!tss.IsSystem || tss.Type is not (SystemType.AvailableTss or SystemType.AvailableTss16))
        {
            Fault.GeneralProtection(s, op, DescriptorTables.ErrorCode(selector, external));
            return false;
        }
        if (tss.Present)
            return true;
        Fault.Raise(s, op, Vector.SegmentNotPresent, DescriptorTables.ErrorCode(selector, external));
        return false;
    }

    /// <summary>IRET with NT set: back to the task that the current TSS links to.</summary>
    public static bool Return(CpuState* s, Op* op)
    {
        if (!LinearMemory.ReadSystem(s, op, CpuState.Seg(s, Segment.Tr)->Base, out ushort link))
            return false;
        if ((link & 4) != 0)
        {
            Fault.Raise(s, op, Vector.InvalidTss, DescriptorTables.ErrorCode(link));
            return false;
        }
        if (!DescriptorTables.Read(s, op, link, Vector.InvalidTss, 0, out Descriptor tss))
            return false;
        if (!tss.IsSystem || tss.Type is not (SystemType.BusyTss or SystemType.BusyTss16))
        {
            Fault.Raise(s, op, Vector.InvalidTss, DescriptorTables.ErrorCode(link));
            return false;
        }
        if (!tss.Present)
        {
            Fault.Raise(s, op, Vector.SegmentNotPresent, DescriptorTables.ErrorCode(link));
            return false;
        }
        return Switch(s, op, link, tss, TaskSwitchKind.Return, Control.NextRip(s, op), 0);
    }

    /// <summary>
    /// Saves the current task and becomes the one of <paramref name="tss"/>. Faults before the new state is loaded belong to the old task
    /// and change nothing; those in loading its segments belong to the new one.
    /// </summary>
    /// <param name="s">The processor.</param>
    /// <param name="op">The instruction that switches; null for events.</param>
    /// <param name="selector">Selector of the new TSS.</param>
    /// <param name="tss">Its descriptor, type and presence checked.</param>
    /// <param name="kind">What causes the switch.</param>
    /// <param name="rip">Where the old task goes on.</param>
    /// <param name="external">EXT bit of error codes.</param>
    /// <param name="resume">RF is set in the flags saved.</param>
    /// <param name="exitInformation">What EXITINFO2 of an intercepted switch tells beside its kind.</param>
    public static bool Switch(CpuState* s, Op* op, ushort selector, in Descriptor tss, TaskSwitchKind kind, ulong rip, uint external, bool resume = false, ulong exitInformation = 0)
    {
        bool wide = (tss.Type & 8) != 0;
        SegmentRegister* tr = CpuState.Seg(s, Segment.Tr);
        ushort oldSelector = tr->Selector;
        ulong oldBase = tr->Base;
        bool oldWide = (tr->Type & 8) != 0;
        if (tss.Limit < (wide ? TaskState.Limit32 : TaskState.Limit16))
        {
            Fault.Raise(s, op, Vector.InvalidTss, DescriptorTables.ErrorCode(selector, external));
            return false;
        }

        if (Intercept.Has(s, SvmExitCode.TaskSwitch))
        {
            ulong information = exitInformation | (kind == TaskSwitchKind.Return ? ExitIret : kind == TaskSwitchKind.Jump ? ExitJump : 0) | (resume ? ExitResume : 0);
            Intercept.Exit(s, op, SvmExitCode.TaskSwitch, selector, information);
            return false;
        }

        AccessMode mode = LinearMemory.SystemMode(s);
        TaskImage next;
        if (!TaskImage.Read(s, op, mode, tss.Base, wide, &next))
            return false;
        if (!SlowMemory.Probe(s, op, mode, oldBase + TaskImage.SaveOffset(oldWide), TaskImage.SaveSize(oldWide), PagePermissions.Write)
            || (kind == TaskSwitchKind.Nested && !SlowMemory.Probe(s, op, mode, tss.Base, 2, PagePermissions.Write))
            || !ProbeBusy(s, op, mode, selector) || !ProbeBusy(s, op, mode, oldSelector))
            return false;

        // Nothing below this line faults before the old task is saved.
        TaskImage.Save(s, mode, oldBase, oldWide, rip, kind == TaskSwitchKind.Return, resume);
        if (kind != TaskSwitchKind.Nested)
            DescriptorTables.MarkBusy(s, null, oldSelector, busy: false);
        else
            LinearMemory.WriteSystem(s, null, tss.Base, oldSelector);
        if (kind != TaskSwitchKind.Return)
            DescriptorTables.MarkBusy(s, null, selector, busy: true);
        if (op != null)
            Control.Complete(s, op);
        *tr = tss.ToRegister(selector);
        tr->Attributes |= (SegmentAttributes)SystemType.Busy;
        s->Cr0 |= Cr0.Ts;
        Cpu cpu = Cpu.Of(s);
        bool mapped = true;
        if (wide && (s->Cr0 & Cr0.Pg) != 0)
        {
            s->Cr3 = next.Cr3;
            mapped = (s->Cr4 & Cr4.Pae) == 0 || DirectoryPointers.Load(cpu, next.Cr3);
            cpu.FlushTlb(keepGlobal: true);
        }
        if (kind == TaskSwitchKind.Nested)
            next.Flags |= Flags.Nt;
        bool loaded = Load(s, next, external);
        if (!mapped)
        {
            Fault.Raise(s, null, Vector.InvalidTss, DescriptorTables.ErrorCode(selector, external));
            loaded = false;
        }
        ModeChange.Update(cpu);
        const ulong localEnables = 0x155;
        s->Dr[7] &= ~localEnables;
        DebugRegisters.Changed(s);
        if (next.Trap)
            DebugRegisters.Trap(s, DebugRegisters.TaskSwitch);
        return loaded;
    }

    private static bool ProbeBusy(CpuState* s, Op* op, AccessMode mode, ushort selector)
        => !DescriptorTables.Locate(s, selector, 8, out ulong linear) || SlowMemory.Probe(s, op, mode, linear + 5, 1, PagePermissions.Write);

    /// <summary>Loads registers, then segments; a fault of the latter leaves those not loaded yet unusable.</summary>
    private static bool Load(CpuState* s, in TaskImage next, uint external)
    {
        const uint AllFlags = Flags.RflagsStatus | Flags.Tf | Flags.If | Flags.Df | Flags.IoplMask | Flags.Nt | Flags.Vm | Flags.Ac | Flags.Vif | Flags.Vip | Flags.Id;
        s->Rip = next.Rip;
        for (int i = 0; i < 8; i++)
            s->Gpr[i] = next.Gpr(i);
        FlagsChange.Load(s, next.Flags, AllFlags);
        InstructionBoundary.SetResume(s, null, (next.Flags & Flags.Rf) != 0);
        for (int i = 0; i < 6; i++)
            *CpuState.Seg(s, (Segment)i) = new SegmentRegister { Selector = next.Selector(i) };
        *CpuState.Seg(s, Segment.Ldtr) = new SegmentRegister { Selector = next.Ldt };

        if ((next.Flags & Flags.Vm) != 0)
        {
            s->Cpl = 3;
            for (int i = 0; i < 6; i++)
                SegmentLoad.LoadVirtual8086(s, (Segment)i, next.Selector(i));
            return LoadLdt(s, next.Ldt, external);
        }
        ushort cs = next.Selector((int)Segment.Cs);
        s->Cpl = (byte)(cs & 3);
        if (!LoadLdt(s, next.Ldt, external) || !LoadCode(s, cs, external)
            || !SegmentLoad.FetchStack(s, null, next.Selector((int)Segment.Ss), s->Cpl, Vector.InvalidTss, external, out *CpuState.Seg(s, Segment.Ss)))
            return false;
        foreach (Segment segment in (ReadOnlySpan<Segment>)[Segment.Ds, Segment.Es, Segment.Fs, Segment.Gs])
        {
            if (!SegmentLoad.FetchData(s, null, next.Selector((int)segment), Vector.InvalidTss, external, out *CpuState.Seg(s, segment)))
                return false;
        }
        if (s->Rip <= CpuState.Seg(s, Segment.Cs)->Limit)
            return true;
        Fault.GeneralProtection(s, null, external);
        return false;
    }

    private static bool LoadLdt(CpuState* s, ushort selector, uint external)
    {
        if (DescriptorTables.IsNull(selector))
            return true;
        bool local = (selector & 4) != 0;
        Descriptor d = default;
        if (!local && !DescriptorTables.Read(s, null, selector, Vector.InvalidTss, external, out d))
            return false;
        if (local || !d.IsSystem || d.Type != SystemType.Ldt || !d.Present)
        {
            Fault.Raise(s, null, Vector.InvalidTss, DescriptorTables.ErrorCode(selector, external));
            return false;
        }
        *CpuState.Seg(s, Segment.Ldtr) = d.ToRegister(selector);
        return true;
    }

    private static bool LoadCode(CpuState* s, ushort selector, uint external)
    {
        Descriptor d = default;
        if (!DescriptorTables.IsNull(selector) && !DescriptorTables.Read(s, null, selector, Vector.InvalidTss, external, out d))
            return false;
        int rpl = selector & 3;
        if (!d.IsCode || (d.IsConforming ? d.Dpl > rpl : d.Dpl != rpl))
        {
            Fault.Raise(s, null, Vector.InvalidTss, DescriptorTables.ErrorCode(selector, external));
            return false;
        }
        if (!d.Present)
        {
            Fault.Raise(s, null, Vector.SegmentNotPresent, DescriptorTables.ErrorCode(selector, external));
            return false;
        }
        if (!DescriptorTables.MarkAccessed(s, null, selector, ref d))
            return false;
        *CpuState.Seg(s, Segment.Cs) = d.ToRegister(selector);
        return true;
    }
}
