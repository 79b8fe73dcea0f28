namespace X86Virt.Engine.Processor;

/// <summary>Takes an event through the interrupt vector table or the IDT to its handler (AMD volume 2, 8.6 to 8.9).</summary>
internal static unsafe class InterruptDelivery
{
    /// <summary>
    /// Enters the handler; false after a fault in doing so, with the state as it was. <paramref name="op"/> is the software interrupt
    /// instruction, or null.
    /// </summary>
    public static bool Deliver(CpuState* s, Op* op, in InterruptEvent e)
    {
        ulong from = s->Rip;
        bool delivered = !s->ProtectedMode ? RealMode(s, op, e)
            : s->LongMode ? LongMode(s, op, e)
            : ProtectedMode(s, op, e);
        if (delivered)
        {
            s->StepArmed = false;
            s->MonitorArmed = false;
            InstructionBoundary.Clear(s);
            if (LastBranches.AreRecorded(s))
            {
                s->LastBranches.KeepForEvent();
                // What an instruction brings about is recorded behind it.
                if (op == null)
                    s->LastBranches.Record(from, s->Rip);
            }
        }
        if (s->GuestMode)
            s->EventInFlight = delivered ? default : VmcbEvent.Of(e);
        return delivered;
    }

    /// <summary>Flags as the handler finds them on its stack.</summary>
    private static ulong PushedFlags(CpuState* s, in InterruptEvent e) => Flags.Rflags(s) | (e.Resume ? Flags.Rf : 0u);

    private static bool RealMode(CpuState* s, Op* op, in InterruptEvent e)
    {
        if (e.Vector * 4u + 3 > s->Idtr.Limit)
        {
            Fault.GeneralProtection(s, op, e.GateError);
            return false;
        }
        if (!LinearMemory.ReadSystem(s, op, s->Idtr.Base + e.Vector * 4u, out uint entry))
            return false;
        var stack = new StackWriter(s, op, *CpuState.Seg(s, Segment.Ss), s->Rsp, 0, false, 0);
        if (!stack.Push(2, PushedFlags(s, e)) || !stack.Push(2, CpuState.Seg(s, Segment.Cs)->Selector) || !stack.Push(2, e.ReturnRip))
            return false;
        stack.Commit();
        SegmentRegister* cs = CpuState.Seg(s, Segment.Cs);
        cs->Selector = (ushort)(entry >> 16);
        cs->Base = (ulong)cs->Selector << 4;
        s->Rip = (ushort)entry;
        FlagsChange.Load(s, 0, Flags.If | Flags.Tf | Flags.Ac);
        ModeChange.Update(Cpu.Of(s));
        return true;
    }

    private static bool ProtectedMode(CpuState* s, Op* op, in InterruptEvent e)
    {
        if (!ReadGate(s, op, e, 8, out Descriptor gate))
            return false;
        if (gate.Type == SystemType.TaskGate)
            return TaskSwitch.ThroughGate(s, op, gate.GateSelector, e);
        int size = gate.Type is SystemType.InterruptGate or SystemType.TrapGate ? 4 : 2;
        if (!ReadHandler(s, op, gate, e, out Descriptor code, out int cpl))
            return false;

        bool fromVirtual8086 = s->Virtual8086;
        ulong offset = size == 4 ? (uint)gate.GateOffset : (ushort)gate.GateOffset;
        SegmentRegister ss = *CpuState.Seg(s, Segment.Ss);
        ulong oldStack = ss.Selector, oldPointer = s->Rsp;
        ulong pointer = s->Rsp;
        uint stackError = e.External;
        if (cpl < s->Cpl)
        {
            if (!TaskState.InnerStack(s, op, cpl, e.External, out ss, out pointer))
                return false;
            stackError = DescriptorTables.ErrorCode(ss.Selector, e.External);
        }
        var stack = new StackWriter(s, op, ss, pointer, cpl, false, stackError);
        if (cpl < s->Cpl)
        {
            if (fromVirtual8086)
            {
                if (!stack.Push(size, CpuState.Seg(s, Segment.Gs)->Selector) || !stack.Push(size, CpuState.Seg(s, Segment.Fs)->Selector)
                    || !stack.Push(size, CpuState.Seg(s, Segment.Ds)->Selector) || !stack.Push(size, CpuState.Seg(s, Segment.Es)->Selector))
                    return false;
            }
            if (!stack.Push(size, oldStack) || !stack.Push(size, oldPointer))
                return false;
        }
        if (!stack.Push(size, PushedFlags(s, e)) || !stack.Push(size, CpuState.Seg(s, Segment.Cs)->Selector) || !stack.Push(size, e.ReturnRip))
            return false;
        if (e.HasErrorCode && !stack.Push(size, e.ErrorCode))
            return false;
        if (offset > code.Limit)
        {
            Fault.GeneralProtection(s, op, e.External);
            return false;
        }
        if (!DescriptorTables.MarkAccessed(s, op, gate.GateSelector, ref code))
            return false;

        *CpuState.Seg(s, Segment.Ss) = ss;
        stack.Commit();
        if (fromVirtual8086)
        {
            *CpuState.Seg(s, Segment.Gs) = default;
            *CpuState.Seg(s, Segment.Fs) = default;
            *CpuState.Seg(s, Segment.Ds) = default;
            *CpuState.Seg(s, Segment.Es) = default;
        }
        Enter(s, gate, code, cpl, offset);
        return true;
    }

    private static bool LongMode(CpuState* s, Op* op, in InterruptEvent e)
    {
        if (!ReadGate(s, op, e, 16, out Descriptor gate) || !ReadHandler(s, op, gate, e, out Descriptor code, out int cpl))
            return false;
        ulong offset = gate.GateOffset;
        if (!Canonical.Is(s, offset))
        {
            Fault.GeneralProtection(s, op, e.External);
            return false;
        }
        ulong pointer = s->Rsp;
        bool inner = cpl < s->Cpl;
        if (gate.GateStack != 0)
        {
            if (!TaskState.InterruptStack(s, op, gate.GateStack, e.External, out pointer))
                return false;
        }
        else if (inner && !TaskState.InnerPointer(s, op, cpl, e.External, out pointer))
        {
            return false;
        }
        SegmentRegister ss = inner ? new SegmentRegister { Selector = (ushort)cpl } : *CpuState.Seg(s, Segment.Ss);
        pointer &= ~0xFUL;
        int size = (e.HasErrorCode ? 6 : 5) * sizeof(ulong);
        ulong bottom = pointer - (ulong)size;
        byte* frame = LinearMemory.Direct(s, ModeChange.AccessModeOf(s, cpl), bottom, size, write: true);
        if (frame != null)
            WriteFrame(s, e, (ulong*)(frame + size));
        else if (!PushFrame(s, op, e, ss, pointer, cpl))
            return false;
        if (!DescriptorTables.MarkAccessed(s, op, gate.GateSelector, ref code))
            return false;
        *CpuState.Seg(s, Segment.Ss) = ss;
        s->Rsp = bottom;
        Enter(s, gate, code, cpl, offset);
        return true;
    }

    /// <summary>Writes the frame of 64-bit mode below a place in host memory.</summary>
    private static void WriteFrame(CpuState* s, in InterruptEvent e, ulong* top)
    {
        top[-1] = CpuState.Seg(s, Segment.Ss)->Selector;
        top[-2] = s->Rsp;
        top[-3] = PushedFlags(s, e);
        top[-4] = CpuState.Seg(s, Segment.Cs)->Selector;
        top[-5] = e.ReturnRip;
        if (e.HasErrorCode)
            top[-6] = e.ErrorCode;
    }

    /// <summary>The same, each access checked; false after a fault.</summary>
    private static bool PushFrame(CpuState* s, Op* op, in InterruptEvent e, in SegmentRegister ss, ulong pointer, int cpl)
    {
        var stack = new StackWriter(s, op, ss, pointer, cpl, true, e.External);
        return stack.Push(8, CpuState.Seg(s, Segment.Ss)->Selector) && stack.Push(8, s->Rsp)
            && stack.Push(8, PushedFlags(s, e)) && stack.Push(8, CpuState.Seg(s, Segment.Cs)->Selector) && stack.Push(8, e.ReturnRip)
            && (!e.HasErrorCode || stack.Push(8, e.ErrorCode));
    }

    private static void Enter(CpuState* s, in Descriptor gate, in Descriptor code, int cpl, ulong offset)
    {
        *CpuState.Seg(s, Segment.Cs) = code.ToRegister((ushort)((gate.GateSelector & ~3) | cpl));
        s->Cpl = (byte)cpl;
        s->Rip = offset;
        bool interrupt = gate.Type is SystemType.InterruptGate or SystemType.InterruptGate16;
        FlagsChange.Load(s, 0, Flags.Tf | Flags.Nt | Flags.Vm | (interrupt ? Flags.If : 0));
        ModeChange.CodeLoaded(Cpu.Of(s));
    }

    /// <summary>Reads and checks the gate of an event.</summary>
    private static bool ReadGate(CpuState* s, Op* op, in InterruptEvent e, int size, out Descriptor gate)
    {
        gate = default;
        uint offset = (uint)(e.Vector * size);
        if (offset + (uint)size - 1 > s->Idtr.Limit)
        {
            Fault.GeneralProtection(s, op, e.GateError);
            return false;
        }
        ulong high = 0;
        if (!LinearMemory.ReadSystem(s, op, s->Idtr.Base + offset, out ulong low)
            || (size == 16 && !LinearMemory.ReadSystem(s, op, s->Idtr.Base + offset + 8, out high)))
            return false;
        gate = new Descriptor(low, high);
        bool known = gate.IsSystem && (gate.Type is SystemType.InterruptGate or SystemType.TrapGate
            || (size == 8 && gate.Type is SystemType.InterruptGate16 or SystemType.TrapGate16 or SystemType.TaskGate));
        if (!known || (e.IsSoftware && gate.Dpl < s->Cpl))
        {
            Fault.GeneralProtection(s, op, e.GateError);
            return false;
        }
        if (!gate.Present)
        {
            Fault.Raise(s, op, Vector.SegmentNotPresent, e.GateError);
            return false;
        }
        return true;
    }

    /// <summary>Reads and checks the code segment of a gate and gives the privilege level that the handler runs at.</summary>
    private static bool ReadHandler(CpuState* s, Op* op, in Descriptor gate, in InterruptEvent e, out Descriptor code, out int cpl)
    {
        code = default;
        cpl = 0;
        ushort selector = gate.GateSelector;
        if (DescriptorTables.IsNull(selector))
        {
            Fault.GeneralProtection(s, op, e.External);
            return false;
        }
        if (!DescriptorTables.Read(s, op, selector, Vector.GeneralProtection, e.External, out code))
            return false;
        cpl = code.IsConforming ? s->Cpl : code.Dpl;
        bool allowed = code.IsCode && code.Dpl <= s->Cpl
            && (!s->LongMode || (code.Long && !code.Big))
            && (!s->Virtual8086 || cpl == 0);
        if (!allowed)
        {
            Fault.GeneralProtection(s, op, DescriptorTables.ErrorCode(selector, e.External));
            return false;
        }
        if (!code.Present)
        {
            Fault.Raise(s, op, Vector.SegmentNotPresent, DescriptorTables.ErrorCode(selector, e.External));
            return false;
        }
        return true;
    }
}
