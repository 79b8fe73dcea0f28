namespace X86Virt.Engine.Processor;

/// <summary>RETF and IRET: returns to the same or an outer privilege level, to virtual-8086 mode and to a nested task's caller.</summary>
internal static unsafe class FarReturn
{
    /// <summary>RETF; <paramref name="release"/> is the immediate. Always null: the block ends.</summary>
    public static Op* Return(CpuState* s, Op* op, int size, int release)
    {
        if (!FarTransfer.Peek(s, op, size, 0, out ulong offset) || !FarTransfer.Peek(s, op, size, size, out ulong cs))
            return null;
        if (!s->ProtectedMode || s->Virtual8086)
        {
            if (!GoReal(s, op, (ushort)cs, offset))
                return null;
            Stack.Release(s, 2 * size + release);
            return null;
        }
        Leave(s, op, size, (ushort)cs, offset, 2 * size + release, release, alwaysStack: false, null);
        return null;
    }

    /// <summary>IRET. Always null.</summary>
    public static Op* Interrupt(CpuState* s, Op* op, int size)
    {
        if (s->Virtual8086 && s->Iopl < 3)
            return Virtual8086Extensions.InterruptReturn(s, op, size);
        if (s->ProtectedMode && !s->Virtual8086 && (s->SystemFlags & Flags.Nt) != 0)
        {
            if (s->LongMode)
                return Fault.GeneralProtection(s, op);
            if (TaskSwitch.Return(s, op))
                UnblockNmi(s);
            return null;
        }
        ulong* frame = size == 8 && s->Code64 ? (ulong*)LinearMemory.Direct(s, s->AccessMode, s->Rsp, 5 * sizeof(ulong), write: false) : null;
        if (!Peek(s, op, size, 0, frame, out ulong offset) || !Peek(s, op, size, 1, frame, out ulong cs) || !Peek(s, op, size, 2, frame, out ulong flags))
            return null;

        // What may be loaded depends on the level that IRET runs at, not on the one it returns to.
        uint mask = FlagsChange.Writable(s, size);
        if (!s->ProtectedMode || s->Virtual8086)
        {
            if (!GoReal(s, op, (ushort)cs, offset))
                return null;
            Stack.Release(s, 3 * size);
        }
        else if (!s->LongMode && size == 4 && s->Cpl == 0 && (flags & Flags.Vm) != 0)
        {
            if (!ToVirtual8086(s, op, (ushort)cs, offset, flags))
                return null;
        }
        else
        {
            bool wide = size > 2;
            if (!Leave(s, op, size, (ushort)cs, offset, 3 * size, 0, alwaysStack: s->Code64, frame))
                return null;
            if (wide && (mask & Flags.IoplMask) != 0)
                mask |= Flags.Vif | Flags.Vip;
        }
        InstructionBoundary.SetResume(s, op, size > 2 && (flags & Flags.Rf) != 0);
        FlagsChange.Load(s, flags, mask);
        UnblockNmi(s);
        return null;
    }

    /// <summary>Item <paramref name="index"/> of the stack.</summary>
    private static bool Peek(CpuState* s, Op* op, int size, int index, ulong* frame, out ulong value)
    {
        if (frame == null)
            return FarTransfer.Peek(s, op, size, index * size, out value);
        value = frame[index];
        return true;
    }

    private static void UnblockNmi(CpuState* s)
    {
        if (!s->NmiBlocked)
            return;
        s->NmiBlocked = false;
        if (s->NmiPending)
            Cpu.Of(s).RequestAttention(Attention.Interrupt);
    }

    private static bool GoReal(CpuState* s, Op* op, ushort selector, ulong offset)
    {
        SegmentRegister* cs = CpuState.Seg(s, Segment.Cs);
        if (offset > cs->Limit)
        {
            Fault.GeneralProtection(s, op);
            return false;
        }
        cs->Selector = selector;
        cs->Base = (uint)selector << 4;
        s->Rip = offset;
        ModeChange.Update(Cpu.Of(s));
        return true;
    }

    /// <summary>Pops everything that delivery from virtual-8086 mode pushed.</summary>
    private static bool ToVirtual8086(CpuState* s, Op* op, ushort cs, ulong offset, ulong flags)
    {
        ulong* rest = stackalloc ulong[6];
        for (int i = 0; i < 6; i++)
        {
            if (!FarTransfer.Peek(s, op, 4, (3 + i) * 4, out rest[i]))
                return false;
        }
        if (offset > 0xFFFF)
        {
            Fault.GeneralProtection(s, op);
            return false;
        }
        FlagsChange.Load(s, flags, Flags.Vm | Flags.Vif | Flags.Vip);
        s->Cpl = 3;
        SegmentLoad.LoadVirtual8086(s, Segment.Cs, cs);
        s->Rsp = (uint)rest[0];
        SegmentLoad.LoadVirtual8086(s, Segment.Ss, (ushort)rest[1]);
        SegmentLoad.LoadVirtual8086(s, Segment.Es, (ushort)rest[2]);
        SegmentLoad.LoadVirtual8086(s, Segment.Ds, (ushort)rest[3]);
        SegmentLoad.LoadVirtual8086(s, Segment.Fs, (ushort)rest[4]);
        SegmentLoad.LoadVirtual8086(s, Segment.Gs, (ushort)rest[5]);
        s->Rip = offset;
        ModeChange.Update(Cpu.Of(s));
        return true;
    }

    /// <summary>
    /// The protected-mode part that RETF and IRET share: checks CS, and SS where the level changes, then loads both. False after a fault.
    /// </summary>
    /// <param name="s">The processor.</param>
    /// <param name="op">The instruction.</param>
    /// <param name="size">Operand size in bytes.</param>
    /// <param name="selector">The CS to return to.</param>
    /// <param name="offset">The offset to return to.</param>
    /// <param name="popped">Bytes in front of the outer stack pointer.</param>
    /// <param name="release">Bytes released from the outer stack as well.</param>
    /// <param name="alwaysStack">SS and the stack pointer are popped even if the level stays (IRET in 64-bit mode).</param>
    /// <param name="frame">Where the stack is in host memory, if five items of eight bytes may be read there.</param>
    private static bool Leave(CpuState* s, Op* op, int size, ushort selector, ulong offset, int popped, int release, bool alwaysStack, ulong* frame)
    {
        if (DescriptorTables.IsNull(selector))
        {
            Fault.GeneralProtection(s, op);
            return false;
        }
        if (!DescriptorTables.Read(s, op, selector, out Descriptor code))
            return false;
        int rpl = selector & 3;
        if (!code.IsCode || rpl < s->Cpl || (code.IsConforming ? code.Dpl > rpl : code.Dpl != rpl) || FarTransfer.IsAmbiguous(s, code))
        {
            Fault.GeneralProtection(s, op, DescriptorTables.ErrorCode(selector));
            return false;
        }
        if (!code.Present)
        {
            Fault.Raise(s, op, Vector.SegmentNotPresent, DescriptorTables.ErrorCode(selector));
            return false;
        }

        bool outer = rpl > s->Cpl;
        SegmentRegister ss = default;
        ulong pointer = 0;
        if (outer || alwaysStack)
        {
            ulong stackSelector;
            if (frame != null)
                (pointer, stackSelector) = (frame[3], frame[4]);
            else if (!FarTransfer.Peek(s, op, size, popped, out pointer) || !FarTransfer.Peek(s, op, size, popped + size, out stackSelector))
                return false;
            if (!FetchOuterStack(s, op, (ushort)stackSelector, code, rpl, out ss))
                return false;
        }
        if (!FarTransfer.CheckOffset(s, op, code, ref offset) || !DescriptorTables.MarkAccessed(s, op, selector, ref code))
            return false;

        if (outer || alwaysStack)
        {
            *CpuState.Seg(s, Segment.Ss) = ss;
            FarTransfer.Enter(s, selector, code, rpl, offset);
            // The width of the new stack decides how much of the pointer is loaded.
            Stack.SetPointer(s, pointer + (ulong)release);
            if (outer)
                SegmentLoad.DropInner(s);
            return true;
        }
        Stack.Release(s, popped);
        FarTransfer.Enter(s, selector, code, rpl, offset);
        return true;
    }

    private static bool FetchOuterStack(CpuState* s, Op* op, ushort selector, in Descriptor code, int cpl, out SegmentRegister ss)
    {
        ss = new SegmentRegister { Selector = selector };
        // A null SS is good for 64-bit code below level 3.
        if (DescriptorTables.IsNull(selector) && s->LongMode && code.Long && cpl != 3 && (selector & 3) == cpl)
            return true;
        if (!DescriptorTables.IsNull(selector))
            return SegmentLoad.FetchStack(s, op, selector, cpl, Vector.GeneralProtection, 0, out ss);
        Fault.GeneralProtection(s, op);
        return false;
    }
}
