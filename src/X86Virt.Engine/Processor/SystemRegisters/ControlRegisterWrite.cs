namespace X86Virt.Engine.Processor;

/// <summary>
/// Writes of control registers with their checks and what follows from them (AMD volume 2, 3.1 and 14.6). Each returns false after
/// raising #GP, with nothing changed; the privilege level is the caller's business.
/// </summary>
internal static unsafe class ControlRegisterWrite
{
    private const ulong Cr0Defined = Cr0.Pe | Cr0.Mp | Cr0.Em | Cr0.Ts | Cr0.Et | Cr0.Ne | Cr0.Wp | Cr0.Am | Cr0.Nw | Cr0.Cd | Cr0.Pg;
    private const ulong Cr3NoFlush = 1UL << 63;

    public static bool SetCr0(CpuState* s, Op* op, ulong value)
    {
        Cpu cpu = Cpu.Of(s);
        if (value >> 32 != 0 || (value & (Cr0.Pg | Cr0.Pe)) == Cr0.Pg || (value & (Cr0.Nw | Cr0.Cd)) == Cr0.Nw)
            return Refuse(s, op);
        ulong now = (value & Cr0Defined) | Cr0.Et;
        ulong changed = now ^ s->Cr0;
        if ((changed & Cr0.Pg) != 0)
        {
            bool on = (now & Cr0.Pg) != 0;
            SegmentRegister* cs = CpuState.Seg(s, Segment.Cs);
            if (on && (s->Efer & Efer.Lme) != 0)
            {
                if ((s->Cr4 & Cr4.Pae) == 0 || cs->Long)
                    return Refuse(s, op);
                s->Efer |= Efer.Lma;
            }
            else if (!on)
            {
                if (s->Code64 || (s->Cr4 & Cr4.Pcide) != 0)
                    return Refuse(s, op);
                s->Efer &= ~Efer.Lma;
            }
        }
        if ((changed & (Cr0.Pg | Cr0.Nw | Cr0.Cd)) != 0 && UsesDirectoryPointers(cpu, now, s->Cr4) && !DirectoryPointers.Load(cpu, s->Cr3))
            return Refuse(s, op);
        s->Cr0 = now;
        s->ForgetDerived();
        if ((changed & (Cr0.Pg | Cr0.Pe | Cr0.Wp)) != 0)
            cpu.FlushTlb(keepGlobal: false);
        ModeChange.Update(cpu);
        return true;
    }

    public static bool SetCr3(CpuState* s, Op* op, ulong value)
    {
        Cpu cpu = Cpu.Of(s);
        if (s->LongMode)
        {
            ulong reserved = ~((1UL << cpu.PhysicalAddressBits) - 1);
            if ((s->Cr4 & Cr4.Pcide) != 0)
                reserved &= ~Cr3NoFlush;
            if ((value & reserved) != 0)
                return Refuse(s, op);
        }
        else if (UsesDirectoryPointers(cpu, s->Cr0, s->Cr4) && !DirectoryPointers.Load(cpu, value))
        {
            return Refuse(s, op);
        }
        // Entries carry no tag of their process-context identifier, so those of the old one go even where they might stay.
        s->Cr3 = value & ~Cr3NoFlush;
        cpu.FlushTlb(keepGlobal: (s->Cr4 & Cr4.Pge) != 0);
        return true;
    }

    public static bool SetCr4(CpuState* s, Op* op, ulong value)
    {
        Cpu cpu = Cpu.Of(s);
        ulong changed = value ^ s->Cr4;
        if ((value & ~cpu.Model.Cr4Bits) != 0
            || (s->LongMode && ((value & Cr4.Pae) == 0 || (changed & Cr4.La57) != 0))
            || ((value & ~s->Cr4 & Cr4.Pcide) != 0 && (!s->LongMode || (s->Cr3 & 0xFFF) != 0)))
            return Refuse(s, op);
        if ((changed & (Cr4.Pae | Cr4.Pge | Cr4.Pse | Cr4.Smep)) != 0 && UsesDirectoryPointers(cpu, s->Cr0, value) && !DirectoryPointers.Load(cpu, s->Cr3))
            return Refuse(s, op);
        s->Cr4 = value;
        s->ForgetDerived();
        if ((changed & (Cr4.Pse | Cr4.Pae | Cr4.Pge | Cr4.Pcide | Cr4.Smep | Cr4.Smap | Cr4.La57)) != 0)
            cpu.FlushTlb(keepGlobal: false);
        ModeChange.Update(cpu);
        FlagsChange.Watch(s);
        return true;
    }

    public static bool SetCr8(CpuState* s, Op* op, ulong value)
    {
        if (value > 0xF)
            return Refuse(s, op);
        Cpu.Of(s).TaskPriority = value;
        return true;
    }

    /// <summary>
    /// PAE paging outside long mode; paging is on in long mode whenever it is enabled, so EFER.LME tells. Nested paging reads them in every walk.
    /// </summary>
    private static bool UsesDirectoryPointers(Cpu cpu, ulong cr0, ulong cr4)
        => (cr0 & Cr0.Pg) != 0 && (cr4 & Cr4.Pae) != 0 && (cpu.State->Efer & Efer.Lme) == 0 && cpu.Nested == null;

    private static bool Refuse(CpuState* s, Op* op)
    {
        Fault.GeneralProtection(s, op);
        return false;
    }
}
