namespace X86Virt.Engine.Processor;

/// <summary>Far JMP and CALL: code segments, call gates, task gates and TSSs (AMD volume 2, 4.11).</summary>
internal static unsafe class FarTransfer
{
    /// <summary>JMP or CALL far; <paramref name="size"/> is the operand size in bytes. Always null: the block ends.</summary>
    public static Op* Go(CpuState* s, Op* op, ushort selector, ulong offset, int size, bool call)
    {
        if (!s->ProtectedMode || s->Virtual8086)
            return Real(s, op, selector, offset, size, call);
        if (DescriptorTables.IsNull(selector))
            return Fault.GeneralProtection(s, op);
        if (!DescriptorTables.Read(s, op, selector, out Descriptor d))
            return null;
        if (d.IsCode)
            return Direct(s, op, selector, d, offset, size, call);
        if (!d.IsSystem)
            return Fault.GeneralProtection(s, op, DescriptorTables.ErrorCode(selector));
        switch (d.Type)
        {
            case SystemType.CallGate:
            case SystemType.CallGate16 when !s->LongMode:
                return Gate(s, op, selector, d, call);
            case SystemType.TaskGate when !s->LongMode:
                if (!CheckSystem(s, op, selector, d) || !TaskSwitch.ReadAvailable(s, op, d.GateSelector, 0, out Descriptor tss))
                    return null;
                TaskSwitch.Switch(s, op, d.GateSelector, tss, call ? TaskSwitchKind.Nested : TaskSwitchKind.Jump, Control.NextRip(s, op), 0);
                return null;
            case SystemType.AvailableTss or SystemType.AvailableTss16 when !s->LongMode && (selector & 4) == 0:
                if (CheckSystem(s, op, selector, d))
                    TaskSwitch.Switch(s, op, selector, d, call ? TaskSwitchKind.Nested : TaskSwitchKind.Jump, Control.NextRip(s, op), 0);
                return null;
            default:
                return Fault.GeneralProtection(s, op, DescriptorTables.ErrorCode(selector));
        }
    }

    private static Op* Real(CpuState* s, Op* op, ushort selector, ulong offset, int size, bool call)
    {
        SegmentRegister* cs = CpuState.Seg(s, Segment.Cs);
        if (size == 2)
            offset = (ushort)offset;
        if (offset > cs->Limit)
            return Fault.GeneralProtection(s, op);
        if (call && !PushReturn(s, op, size))
            return null;
        cs->Selector = selector;
        cs->Base = (uint)selector << 4;
        s->Rip = offset;
        ModeChange.Update(Cpu.Of(s));
        return null;
    }

    private static bool PushReturn(CpuState* s, Op* op, int size)
    {
        var stack = new StackWriter(s, op, *CpuState.Seg(s, Segment.Ss), s->Rsp, s->Cpl, s->Code64, 0);
        if (!stack.Push(size, CpuState.Seg(s, Segment.Cs)->Selector) || !stack.Push(size, Control.NextRip(s, op)))
            return false;
        stack.Commit();
        return true;
    }

    private static Op* Direct(CpuState* s, Op* op, ushort selector, Descriptor d, ulong offset, int size, bool call)
    {
        int rpl = selector & 3;
        bool allowed = d.IsConforming ? d.Dpl <= s->Cpl : d.Dpl == s->Cpl && rpl <= s->Cpl;
        if (!allowed || IsAmbiguous(s, d))
            return Fault.GeneralProtection(s, op, DescriptorTables.ErrorCode(selector));
        if (!d.Present)
            return Fault.Raise(s, op, Vector.SegmentNotPresent, DescriptorTables.ErrorCode(selector));
        if (size == 2)
            offset = (ushort)offset;
        if (!CheckOffset(s, op, d, ref offset) || !DescriptorTables.MarkAccessed(s, op, selector, ref d) || (call && !PushReturn(s, op, size)))
            return null;
        Enter(s, selector, d, s->Cpl, offset);
        return null;
    }

    /// <summary>L and D both set, which long mode reserves.</summary>
    public static bool IsAmbiguous(CpuState* s, in Descriptor code) => s->LongMode && code.Long && code.Big;

    /// <summary>Checks a target offset against the limit of its code segment, or for canonical form.</summary>
    public static bool CheckOffset(CpuState* s, Op* op, in Descriptor code, ref ulong offset)
    {
        bool good;
        if (s->LongMode && code.Long)
        {
            good = Canonical.Is(s, offset);
        }
        else
        {
            offset = (uint)offset;
            good = offset <= code.Limit;
        }
        if (!good)
            Fault.GeneralProtection(s, op);
        return good;
    }

    /// <summary>Loads CS and goes to the offset.</summary>
    public static void Enter(CpuState* s, ushort selector, in Descriptor code, int cpl, ulong offset)
    {
        *CpuState.Seg(s, Segment.Cs) = code.ToRegister((ushort)((selector & ~3) | cpl));
        s->Cpl = (byte)cpl;
        s->Rip = offset;
        ModeChange.CodeLoaded(Cpu.Of(s));
    }

    /// <summary>Privilege and presence of a gate or TSS that an instruction names.</summary>
    private static bool CheckSystem(CpuState* s, Op* op, ushort selector, in Descriptor d)
    {
        if (d.Dpl < s->Cpl || d.Dpl < (selector & 3))
        {
            Fault.GeneralProtection(s, op, DescriptorTables.ErrorCode(selector));
            return false;
        }
        if (d.Present)
            return true;
        Fault.Raise(s, op, Vector.SegmentNotPresent, DescriptorTables.ErrorCode(selector));
        return false;
    }

    private static Op* Gate(CpuState* s, Op* op, ushort gateSelector, in Descriptor gate, bool call)
    {
        // The type field of the second half of a 16-byte gate must be 0.
        if (s->LongMode && ((gate.High >> 40) & 0x1F) != 0)
            return Fault.GeneralProtection(s, op, DescriptorTables.ErrorCode(gateSelector));
        if (!CheckSystem(s, op, gateSelector, gate))
            return null;
        ushort selector = gate.GateSelector;
        if (DescriptorTables.IsNull(selector))
            return Fault.GeneralProtection(s, op);
        if (!DescriptorTables.Read(s, op, selector, out Descriptor code))
            return null;
        bool inner = call && !code.IsConforming && code.Dpl < s->Cpl;
        bool allowed = code.IsCode && (inner || (code.IsConforming ? code.Dpl <= s->Cpl : code.Dpl == s->Cpl))
            && (!s->LongMode || (code.Long && !code.Big));
        if (!allowed)
            return Fault.GeneralProtection(s, op, DescriptorTables.ErrorCode(selector));
        if (!code.Present)
            return Fault.Raise(s, op, Vector.SegmentNotPresent, DescriptorTables.ErrorCode(selector));

        int size = s->LongMode ? 8 : gate.Type == SystemType.CallGate ? 4 : 2;
        ulong offset = size switch { 8 => gate.GateOffset, 4 => (uint)gate.GateOffset, _ => (ushort)gate.GateOffset };
        if (!CheckOffset(s, op, code, ref offset))
            return null;
        if (inner)
            return CallInner(s, op, gate, code, offset, size);
        if (!DescriptorTables.MarkAccessed(s, op, selector, ref code))
            return null;
        if (call)
        {
            var stack = new StackWriter(s, op, *CpuState.Seg(s, Segment.Ss), s->Rsp, s->Cpl, s->LongMode, 0);
            if (!stack.Push(size, CpuState.Seg(s, Segment.Cs)->Selector) || !stack.Push(size, Control.NextRip(s, op)))
                return null;
            stack.Commit();
        }
        Enter(s, selector, code, s->Cpl, offset);
        return null;
    }

    /// <summary>CALL through a gate to an inner level: another stack, to which parameters are copied outside long mode.</summary>
    private static Op* CallInner(CpuState* s, Op* op, in Descriptor gate, Descriptor code, ulong offset, int size)
    {
        int cpl = code.Dpl;
        int parameters = s->LongMode ? 0 : gate.GateParameters;
        SegmentRegister ss;
        ulong pointer;
        uint error = 0;
        if (s->LongMode)
        {
            ss = new SegmentRegister { Selector = (ushort)cpl };
            if (!TaskState.InnerPointer(s, op, cpl, 0, out pointer))
                return null;
        }
        else
        {
            if (!TaskState.InnerStack(s, op, cpl, 0, out ss, out pointer))
                return null;
            error = DescriptorTables.ErrorCode(ss.Selector);
        }
        var stack = new StackWriter(s, op, ss, pointer, cpl, s->LongMode, error);
        if (!stack.Push(size, CpuState.Seg(s, Segment.Ss)->Selector) || !stack.Push(size, s->Rsp))
            return null;
        for (int i = parameters - 1; i >= 0; i--)
        {
            if (!Peek(s, op, size, i * size, out ulong parameter) || !stack.Push(size, parameter))
                return null;
        }
        if (!stack.Push(size, CpuState.Seg(s, Segment.Cs)->Selector) || !stack.Push(size, Control.NextRip(s, op))
            || !DescriptorTables.MarkAccessed(s, op, gate.GateSelector, ref code))
            return null;
        *CpuState.Seg(s, Segment.Ss) = ss;
        stack.Commit();
        Enter(s, gate.GateSelector, code, cpl, offset);
        return null;
    }

    /// <summary>Reads an item of the current stack without moving the pointer.</summary>
    public static bool Peek(CpuState* s, Op* op, int size, int displacement, out ulong value) => size switch
    {
        2 => Stack.Peek<ushort>(s, op, displacement, out value),
        4 => Stack.Peek<uint>(s, op, displacement, out value),
        _ => Stack.Peek<ulong>(s, op, displacement, out value),
    };
}
