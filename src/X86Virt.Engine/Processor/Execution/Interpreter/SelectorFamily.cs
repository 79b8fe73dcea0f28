using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>LAR, LSL, VERR, VERW, ARPL: what a selector would allow, told without a fault (AMD volume 3).</summary>
internal static unsafe class SelectorFamily
{
    public static Handler Bind(in Instruction instruction, bool memory)
    {
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Lar:
                return OperandShape.Size(instruction, 0) switch { 2 => Pick<AccessRights, ushort>(memory), 4 => Pick<AccessRights, uint>(memory), _ => Pick<AccessRights, ulong>(memory) };
            case Mnemonic.Lsl:
                return OperandShape.Size(instruction, 0) switch { 2 => Pick<SegmentLimit, ushort>(memory), 4 => Pick<SegmentLimit, uint>(memory), _ => Pick<SegmentLimit, ulong>(memory) };
            case Mnemonic.Verr:
                return memory ? &VerifyReadMemory : &VerifyRead;
            case Mnemonic.Verw:
                return memory ? &VerifyWriteMemory : &VerifyWrite;
            case Mnemonic.Arpl:
                return memory ? &AdjustMemory : &Adjust;
            default:
                return null;
        }
    }

    private interface IQuery
    {
        /// <summary>Whether a system descriptor of that type has what is asked for.</summary>
        static abstract bool Knows(CpuState* s, int systemType);

        static abstract ulong Answer(in Descriptor d);
    }

    private readonly struct AccessRights : IQuery
    {
        public static bool Knows(CpuState* s, int type) => s->LongMode
            ? type is SystemType.Ldt or SystemType.AvailableTss or SystemType.BusyTss or SystemType.CallGate
            : type is SystemType.AvailableTss16 or SystemType.Ldt or SystemType.BusyTss16 or SystemType.CallGate16 or SystemType.TaskGate
                or SystemType.AvailableTss or SystemType.BusyTss or SystemType.CallGate;

        public static ulong Answer(in Descriptor d) => (d.Low >> 32) & 0x00FF_FF00;
    }

    private readonly struct SegmentLimit : IQuery
    {
        public static bool Knows(CpuState* s, int type) => s->LongMode
            ? type is SystemType.Ldt or SystemType.AvailableTss or SystemType.BusyTss
            : type is SystemType.AvailableTss16 or SystemType.Ldt or SystemType.BusyTss16 or SystemType.AvailableTss or SystemType.BusyTss;

        public static ulong Answer(in Descriptor d) => d.Limit;
    }

    private static Handler Pick<TQuery, T>(bool memory) where TQuery : struct, IQuery where T : unmanaged
        => memory ? &QueryMemory<TQuery, T> : &QueryRegister<TQuery, T>;

    private static Op* QueryRegister<TQuery, T>(CpuState* s, Op* op) where TQuery : struct, IQuery where T : unmanaged
        => IsAvailable(s, op) ? Query<TQuery, T>(s, op, (ushort)Operand.Register<ushort>(s, op->Source)) : null;

    private static Op* QueryMemory<TQuery, T>(CpuState* s, Op* op) where TQuery : struct, IQuery where T : unmanaged
        => IsAvailable(s, op) && Operand.ReadMemory<ushort>(s, op, out ulong selector) ? Query<TQuery, T>(s, op, (ushort)selector) : null;

    private static Op* Query<TQuery, T>(CpuState* s, Op* op, ushort selector) where TQuery : struct, IQuery where T : unmanaged
    {
        if (!Find(s, op, selector, out bool found, out Descriptor d))
            return null;
        found = found && (d.IsSystem ? TQuery.Knows(s, d.Type) : true) && IsVisible(s, selector, d);
        if (found)
            Operand.SetRegister<T>(s, op->Destination, TQuery.Answer(d));
        return Tell(s, op, found);
    }

    private static Op* VerifyRead(CpuState* s, Op* op)
        => IsAvailable(s, op) ? Verify(s, op, (ushort)Operand.Register<ushort>(s, op->Destination), false) : null;

    private static Op* VerifyReadMemory(CpuState* s, Op* op)
        => IsAvailable(s, op) && Operand.ReadMemory<ushort>(s, op, out ulong selector) ? Verify(s, op, (ushort)selector, false) : null;

    private static Op* VerifyWrite(CpuState* s, Op* op)
        => IsAvailable(s, op) ? Verify(s, op, (ushort)Operand.Register<ushort>(s, op->Destination), true) : null;

    private static Op* VerifyWriteMemory(CpuState* s, Op* op)
        => IsAvailable(s, op) && Operand.ReadMemory<ushort>(s, op, out ulong selector) ? Verify(s, op, (ushort)selector, true) : null;

    private static Op* Verify(CpuState* s, Op* op, ushort selector, bool write)
    {
        if (!Find(s, op, selector, out bool found, out Descriptor d))
            return null;
        return Tell(s, op, found && (write ? d.IsWritable : d.IsReadable) && IsVisible(s, selector, d));
    }

    /// <summary>Reads the descriptor if the table holds it; false only after a page fault.</summary>
    private static bool Find(CpuState* s, Op* op, ushort selector, out bool found, out Descriptor d)
    {
        d = default;
        found = !DescriptorTables.IsNull(selector) && DescriptorTables.Locate(s, selector, 8, out ulong linear)
            && LinearMemory.ReadSystem(s, op, linear, out ulong low) && Assign(low, out d);
        return found || (s->Attention & (Attention.Exception | Attention.VmExit)) == 0;
    }

    private static bool Assign(ulong low, out Descriptor d)
    {
        d = new Descriptor(low);
        return true;
    }

    private static bool IsVisible(CpuState* s, ushort selector, in Descriptor d)
        => (!d.IsSystem && d.IsCode && d.IsConforming) || Math.Max(s->Cpl, selector & 3) <= d.Dpl;

    private static Op* Tell(CpuState* s, Op* op, bool yes)
    {
        s->StatusFlags = yes ? s->StatusFlags | Flags.Zf : s->StatusFlags & ~Flags.Zf;
        return op + 1;
    }

    private static bool IsAvailable(CpuState* s, Op* op)
    {
        if (s->ProtectedMode && !s->Virtual8086)
            return true;
        Fault.InvalidOpcode(s, op);
        return false;
    }

    private static Op* Adjust(CpuState* s, Op* op)
    {
        if (!IsAvailable(s, op))
            return null;
        ushort destination = (ushort)Operand.Register<ushort>(s, op->Destination), source = (ushort)Operand.Register<ushort>(s, op->Source);
        bool raise = (destination & 3) < (source & 3);
        if (raise)
            Operand.SetRegister<ushort>(s, op->Destination, (ulong)((destination & ~3) | (source & 3)));
        return Tell(s, op, raise);
    }

    private static Op* AdjustMemory(CpuState* s, Op* op)
    {
        if (!IsAvailable(s, op))
            return null;
        ushort* operand = Operand.ModifyMemory<ushort>(s, op);
        if (operand == null)
            return null;
        int rpl = (int)Operand.Register<ushort>(s, op->Destination) & 3;
        bool raise = (*operand & 3) < rpl;
        if (raise)
            *operand = (ushort)((*operand & ~3) | rpl);
        LinearMemory.Commit(s, op, operand);
        return Tell(s, op, raise);
    }
}
