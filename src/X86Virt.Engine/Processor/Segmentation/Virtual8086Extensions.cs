namespace X86Virt.Engine.Processor;

/// <summary>
/// What instructions sensitive to IOPL do in virtual-8086 mode below IOPL 3: #GP, or with CR4.VME their work on VIF in place of IF
/// (AMD volume 2, 8.12). Also CLI and STI at level 3 under CR4.PVI.
/// </summary>
internal static unsafe class Virtual8086Extensions
{
    private const int RedirectionBytes = 32;

    private static bool Enabled(CpuState* s) => (s->Cr4 & Cr4.Vme) != 0;

    /// <summary>CLI or STI acts on VIF.</summary>
    public static bool TakesInterruptFlag(CpuState* s)
        => s->Virtual8086 ? Enabled(s) : s->ProtectedMode && s->Cpl == 3 && (s->Cr4 & Cr4.Pvi) != 0;

    public static Op* Cli(CpuState* s, Op* op)
    {
        s->SystemFlags &= ~Flags.Vif;
        return op + 1;
    }

    public static Op* Sti(CpuState* s, Op* op)
    {
        if ((s->SystemFlags & Flags.Vip) != 0)
            return Fault.GeneralProtection(s, op);
        s->SystemFlags |= Flags.Vif;
        return op + 1;
    }

    /// <summary>FLAGS as a virtual-8086 task sees them: IF is VIF, IOPL is 3.</summary>
    private static ulong Image(CpuState* s)
    {
        ulong flags = Flags.Rflags(s) & ~(ulong)Flags.If;
        return flags | Flags.IoplMask | ((s->SystemFlags & Flags.Vif) != 0 ? Flags.If : 0u);
    }

    public static Op* PushFlags(CpuState* s, Op* op, int size)
    {
        if (!Enabled(s) || size != 2)
            return Fault.GeneralProtection(s, op);
        return Stack.Push<ushort>(s, op, Image(s)) ? op + 1 : null;
    }

    public static Op* PopFlags(CpuState* s, Op* op, int size)
    {
        if (!Enabled(s) || size != 2)
            return Fault.GeneralProtection(s, op);
        if (!Stack.Peek<ushort>(s, op, 0, out ulong flags))
            return null;
        if (!Accepts(s, op, flags))
            return null;
        Stack.Release(s, 2);
        LoadFlags(s, flags);
        return FlagsChange.Next(s, op);
    }

    private static bool Accepts(CpuState* s, Op* op, ulong flags)
    {
        if ((flags & Flags.Tf) == 0 && ((flags & Flags.If) == 0 || (s->SystemFlags & Flags.Vip) == 0))
            return true;
        Fault.GeneralProtection(s, op);
        return false;
    }

    private static void LoadFlags(CpuState* s, ulong flags)
    {
        FlagsChange.Load(s, flags, FlagsChange.Unprivileged & 0xFFFF);
        FlagsChange.Load(s, (flags & Flags.If) != 0 ? Flags.Vif : 0, Flags.Vif);
    }

    public static Op* InterruptReturn(CpuState* s, Op* op, int size)
    {
        if (!Enabled(s) || size != 2)
            return Fault.GeneralProtection(s, op);
        if (!Stack.Peek<ushort>(s, op, 0, out ulong ip) || !Stack.Peek<ushort>(s, op, 2, out ulong cs) || !Stack.Peek<ushort>(s, op, 4, out ulong flags)
            || !Accepts(s, op, flags))
            return null;
        Stack.Release(s, 6);
        SegmentLoad.LoadVirtual8086(s, Segment.Cs, (ushort)cs);
        s->Rip = ip;
        LoadFlags(s, flags);
        ModeChange.Update(Cpu.Of(s));
        return null;
    }

    /// <summary>
    /// INT n in virtual-8086 mode: true if it was seen to here, by a redirection to the task's own vector table or by a fault; false if it
    /// goes through the IDT.
    /// </summary>
    public static bool Redirect(CpuState* s, Op* op, byte vector)
    {
        if (!Enabled(s))
        {
            if (s->Iopl == 3)
                return false;
            Fault.GeneralProtection(s, op);
            return true;
        }
        if (!ReadRedirection(s, op, vector, out bool intercepted))
            return true;
        if (intercepted)
        {
            if (s->Iopl == 3)
                return false;
            Fault.GeneralProtection(s, op);
            return true;
        }
        bool virtualFlag = s->Iopl < 3;
        if (!LinearMemory.Read(s, op, vector * 4u, out uint entry))
            return true;
        var stack = new StackWriter(s, op, *CpuState.Seg(s, Segment.Ss), s->Rsp, 3, false, 0);
        if (!stack.Push(2, virtualFlag ? Image(s) : Flags.Rflags(s)) || !stack.Push(2, CpuState.Seg(s, Segment.Cs)->Selector)
            || !stack.Push(2, Control.NextRip(s, op)))
            return true;
        stack.Commit();
        FlagsChange.Load(s, 0, Flags.Tf | Flags.Ac | (virtualFlag ? Flags.Vif : Flags.If));
        SegmentLoad.LoadVirtual8086(s, Segment.Cs, (ushort)(entry >> 16));
        s->Rip = (ushort)entry;
        s->StepArmed = false;
        ModeChange.Update(Cpu.Of(s));
        return true;
    }

    /// <summary>The bit of a vector in the bitmap below the I/O permission bitmap: clear sends it to the task.</summary>
    private static bool ReadRedirection(CpuState* s, Op* op, byte vector, out bool intercepted)
    {
        intercepted = true;
        SegmentRegister* tr = CpuState.Seg(s, Segment.Tr);
        if ((tr->Type & 8) == 0 || tr->Limit < TaskState.Limit32)
        {
            Fault.GeneralProtection(s, op);
            return false;
        }
        if (!LinearMemory.ReadSystem(s, op, tr->Base + TaskState.IoMapBase, out ushort map))
            return false;
        uint offset = (uint)(map - RedirectionBytes + vector / 8);
        if (offset > tr->Limit)
        {
            Fault.GeneralProtection(s, op);
            return false;
        }
        if (!LinearMemory.ReadSystem(s, op, tr->Base + offset, out byte bits))
            return false;
        intercepted = (bits & (1 << (vector & 7))) != 0;
        return true;
    }
}
