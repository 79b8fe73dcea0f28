namespace X86Virt.Engine.Processor;

/// <summary>What the processor reads from the current task-state segment: inner stacks, interrupt stacks, I/O permissions (AMD volume 2, 12.2).</summary>
internal static unsafe class TaskState
{
    public const uint Limit16 = 0x2B, Limit32 = 0x67;

    public const uint IoMapBase = 0x66;

    private const uint FirstInnerPointer = 4, FirstInterruptStack = 0x24;

    /// <summary>The stack of an inner privilege level, all checks done (legacy mode).</summary>
    public static bool InnerStack(CpuState* s, Op* op, int cpl, uint external, out SegmentRegister ss, out ulong pointer)
    {
        ss = default;
        pointer = 0;
        SegmentRegister* tr = CpuState.Seg(s, Segment.Tr);
        ushort selector;
        if ((tr->Type & 8) != 0)
        {
            uint offset = FirstInnerPointer + (uint)cpl * 8;
            if (!Within(s, op, offset + 7, external))
                return false;
            if (!LinearMemory.ReadSystem(s, op, tr->Base + offset, out uint pointer32) || !LinearMemory.ReadSystem(s, op, tr->Base + offset + 4, out selector))
                return false;
            pointer = pointer32;
        }
        else
        {
            uint offset = 2 + (uint)cpl * 4;
            if (!Within(s, op, offset + 3, external))
                return false;
            if (!LinearMemory.ReadSystem(s, op, tr->Base + offset, out ushort pointer16) || !LinearMemory.ReadSystem(s, op, tr->Base + offset + 2, out selector))
                return false;
            pointer = pointer16;
        }
        return SegmentLoad.FetchStack(s, op, selector, cpl, Vector.InvalidTss, external, out ss);
    }

    /// <summary>RSP0 to RSP2 (long mode).</summary>
    public static bool InnerPointer(CpuState* s, Op* op, int cpl, uint external, out ulong pointer)
        => Pointer(s, op, FirstInnerPointer + (uint)cpl * 8, external, out pointer);

    /// <summary>IST1 to IST7 (long mode).</summary>
    public static bool InterruptStack(CpuState* s, Op* op, int index, uint external, out ulong pointer)
        => Pointer(s, op, FirstInterruptStack + (uint)(index - 1) * 8, external, out pointer);

    private static bool Pointer(CpuState* s, Op* op, uint offset, uint external, out ulong pointer)
    {
        pointer = 0;
        return Within(s, op, offset + 7, external) && LinearMemory.ReadSystem(s, op, CpuState.Seg(s, Segment.Tr)->Base + offset, out pointer);
    }

    private static bool Within(CpuState* s, Op* op, uint last, uint external)
    {
        SegmentRegister* tr = CpuState.Seg(s, Segment.Tr);
        if (last <= tr->Limit)
            return true;
        Fault.Raise(s, op, Vector.InvalidTss, DescriptorTables.ErrorCode(tr->Selector, external));
        return false;
    }

    /// <summary>Whether the I/O permission bitmap lets an access through; raises #GP if not (or a page fault).</summary>
    public static bool AllowsPort(CpuState* s, Op* op, ushort port, int size)
    {
        SegmentRegister* tr = CpuState.Seg(s, Segment.Tr);
        bool allowed = false;
        if (tr->Present && (tr->Type & 8) != 0 && tr->Limit >= Limit32)
        {
            if (!LinearMemory.ReadSystem(s, op, tr->Base + IoMapBase, out ushort map))
                return false;
            // Two bytes are read even where the bits are all in the first: the map must end in a byte of ones.
            uint offset = map + (uint)port / 8;
            if (offset + 1 <= tr->Limit)
            {
                if (!LinearMemory.ReadSystem(s, op, tr->Base + offset, out ushort bits))
                    return false;
                allowed = ((bits >> (port & 7)) & ((1 << size) - 1)) == 0;
            }
        }
        if (!allowed)
            Fault.GeneralProtection(s, op);
        return allowed;
    }
}
