using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>LGDT, LIDT, SGDT, SIDT, LLDT, LTR, SLDT, STR (AMD volume 3).</summary>
internal static unsafe class DescriptorTableFamily
{
    public static Handler Bind(in Instruction instruction, bool memory)
    {
        switch (instruction.Code)
        {
            case Code.Lgdt_m1632_16:
                return &LoadTable<GdtRegister, ushort>;
            case Code.Lgdt_m1632:
                return &LoadTable<GdtRegister, uint>;
            case Code.Lgdt_m1664:
                return &LoadTable<GdtRegister, ulong>;
            case Code.Lidt_m1632_16:
                return &LoadTable<IdtRegister, ushort>;
            case Code.Lidt_m1632:
                return &LoadTable<IdtRegister, uint>;
            case Code.Lidt_m1664:
                return &LoadTable<IdtRegister, ulong>;
            case Code.Sgdt_m1632_16 or Code.Sgdt_m1632:
                return &StoreTable<GdtRegister, uint>;
            case Code.Sgdt_m1664:
                return &StoreTable<GdtRegister, ulong>;
            case Code.Sidt_m1632_16 or Code.Sidt_m1632:
                return &StoreTable<IdtRegister, uint>;
            case Code.Sidt_m1664:
                return &StoreTable<IdtRegister, ulong>;
        }
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Lldt:
                return memory ? &LoadLdtMemory : &LoadLdt;
            case Mnemonic.Ltr:
                return memory ? &LoadTaskMemory : &LoadTask;
            case Mnemonic.Sldt:
                if (memory)
                    return &StoreMemory<LdtrName>;
                return OperandShape.Size(instruction, 0) switch { 2 => &Store<LdtrName, ushort>, 4 => &Store<LdtrName, uint>, _ => &Store<LdtrName, ulong> };
            case Mnemonic.Str:
                if (memory)
                    return &StoreMemory<TrName>;
                return OperandShape.Size(instruction, 0) switch { 2 => &Store<TrName, ushort>, 4 => &Store<TrName, uint>, _ => &Store<TrName, ulong> };
            default:
                return null;
        }
    }

    private interface ITableRegister
    {
        static abstract DescriptorTableRegister* Of(CpuState* s);
        static abstract SvmExitCode Read { get; }
        static abstract SvmExitCode Write { get; }
    }

    private readonly struct GdtRegister : ITableRegister
    {
        public static DescriptorTableRegister* Of(CpuState* s) => &s->Gdtr;
        public static SvmExitCode Read => SvmExitCode.GdtrRead;
        public static SvmExitCode Write => SvmExitCode.GdtrWrite;
    }

    private readonly struct IdtRegister : ITableRegister
    {
        public static DescriptorTableRegister* Of(CpuState* s) => &s->Idtr;
        public static SvmExitCode Read => SvmExitCode.IdtrRead;
        public static SvmExitCode Write => SvmExitCode.IdtrWrite;
    }

    private interface ISystemSegment
    {
        static abstract Segment Segment { get; }
        static abstract SvmExitCode Read { get; }
    }

    private readonly struct LdtrName : ISystemSegment
    {
        public static Segment Segment => Segment.Ldtr;
        public static SvmExitCode Read => SvmExitCode.LdtrRead;
    }

    private readonly struct TrName : ISystemSegment
    {
        public static Segment Segment => Segment.Tr;
        public static SvmExitCode Read => SvmExitCode.TrRead;
    }

    /// <summary>T is the operand size; a 16-bit one loads 24 bits of base.</summary>
    private static Op* LoadTable<TRegister, T>(CpuState* s, Op* op) where TRegister : struct, ITableRegister where T : unmanaged
    {
        if (s->Cpl != 0)
            return Fault.GeneralProtection(s, op);
        if (Intercept.Takes(s, op, TRegister.Write))
            return null;
        ulong address = Operand.EffectiveAddress(s, op);
        if (!Operand.Linear(s, op, op->Segment, address, 2, false, out ulong linear)
            || !Operand.Linear(s, op, op->Segment, Operand.WrapAddress(op, address + 2), sizeof(T) == 8 ? 8 : 4, false, out ulong linear2)
            || !LinearMemory.Read(s, op, linear, out ushort limit))
            return null;
        ulong start;
        if (sizeof(T) == 8)
        {
            if (!LinearMemory.Read(s, op, linear2, out start))
                return null;
            if (!Canonical.Is(s, start))
                return Fault.GeneralProtection(s, op);
        }
        else
        {
            if (!LinearMemory.Read(s, op, linear2, out uint low))
                return null;
            start = sizeof(T) == 2 ? low & 0xFF_FFFF : low;
        }
        *TRegister.Of(s) = new DescriptorTableRegister { Base = start, Limit = limit };
        return Control.Complete(s, op);
    }

    private static Op* StoreTable<TRegister, T>(CpuState* s, Op* op) where TRegister : struct, ITableRegister where T : unmanaged
    {
        if (UserMode.Prevents(s))
            return Fault.GeneralProtection(s, op);
        if (Intercept.Takes(s, op, TRegister.Read))
            return null;
        DescriptorTableRegister r = *TRegister.Of(s);
        ulong address = Operand.EffectiveAddress(s, op);
        if (!Operand.Linear(s, op, op->Segment, address, 2, true, out ulong linear)
            || !Operand.Linear(s, op, op->Segment, Operand.WrapAddress(op, address + 2), sizeof(T), true, out ulong linear2)
            || !LinearMemory.ProbeWrite(s, op, linear2, sizeof(T)) || !LinearMemory.Write(s, op, linear, (ushort)r.Limit))
            return null;
        T raw;
        Operand.Store<T>(&raw, r.Base);
        return LinearMemory.Write(s, op, linear2, raw) ? op + 1 : null;
    }

    private static bool OpenSystem(CpuState* s, Op* op, SvmExitCode intercept)
    {
        if (!s->ProtectedMode || s->Virtual8086)
            Fault.InvalidOpcode(s, op);
        else if (s->Cpl != 0)
            Fault.GeneralProtection(s, op);
        else
            return !Intercept.Takes(s, op, intercept);
        return false;
    }

    private static Op* LoadLdt(CpuState* s, Op* op)
        => OpenSystem(s, op, SvmExitCode.LdtrWrite) ? SetLdt(s, op, (ushort)Operand.Register<ushort>(s, op->Destination)) : null;

    private static Op* LoadLdtMemory(CpuState* s, Op* op)
        => OpenSystem(s, op, SvmExitCode.LdtrWrite) && Operand.ReadMemory<ushort>(s, op, out ulong selector) ? SetLdt(s, op, (ushort)selector) : null;

    private static Op* SetLdt(CpuState* s, Op* op, ushort selector)
    {
        SegmentRegister* ldtr = CpuState.Seg(s, Segment.Ldtr);
        if (DescriptorTables.IsNull(selector))
        {
            *ldtr = new SegmentRegister { Selector = selector };
            return Control.Complete(s, op);
        }
        if (!ReadSystem(s, op, selector, out Descriptor d))
            return null;
        if (d.Type != SystemType.Ldt)
            return Fault.GeneralProtection(s, op, DescriptorTables.ErrorCode(selector));
        if (!d.Present)
            return Fault.Raise(s, op, Vector.SegmentNotPresent, DescriptorTables.ErrorCode(selector));
        if (!Canonical.Is(s, d.Base))
            return Fault.GeneralProtection(s, op, DescriptorTables.ErrorCode(selector));
        *ldtr = d.ToRegister(selector);
        return Control.Complete(s, op);
    }

    private static Op* LoadTask(CpuState* s, Op* op)
        => OpenSystem(s, op, SvmExitCode.TrWrite) ? SetTask(s, op, (ushort)Operand.Register<ushort>(s, op->Destination)) : null;

    private static Op* LoadTaskMemory(CpuState* s, Op* op)
        => OpenSystem(s, op, SvmExitCode.TrWrite) && Operand.ReadMemory<ushort>(s, op, out ulong selector) ? SetTask(s, op, (ushort)selector) : null;

    private static Op* SetTask(CpuState* s, Op* op, ushort selector)
    {
        if (DescriptorTables.IsNull(selector))
            return Fault.GeneralProtection(s, op);
        if (!ReadSystem(s, op, selector, out Descriptor d))
            return null;
        if (d.Type != SystemType.AvailableTss && (s->LongMode || d.Type != SystemType.AvailableTss16))
            return Fault.GeneralProtection(s, op, DescriptorTables.ErrorCode(selector));
        if (!d.Present)
            return Fault.Raise(s, op, Vector.SegmentNotPresent, DescriptorTables.ErrorCode(selector));
        if (!Canonical.Is(s, d.Base))
            return Fault.GeneralProtection(s, op, DescriptorTables.ErrorCode(selector));
        if (!DescriptorTables.MarkBusy(s, op, selector, true))
            return null;
        SegmentRegister loaded = d.ToRegister(selector);
        loaded.Attributes |= (SegmentAttributes)SystemType.Busy;
        *CpuState.Seg(s, Segment.Tr) = loaded;
        return Control.Complete(s, op);
    }

    /// <summary>A system descriptor in the GDT.</summary>
    private static bool ReadSystem(CpuState* s, Op* op, ushort selector, out Descriptor d)
    {
        d = default;
        if ((selector & 4) == 0)
        {
            if (!DescriptorTables.Read(s, op, selector, out d))
                return false;
            if (d.IsSystem)
                return true;
        }
        Fault.GeneralProtection(s, op, DescriptorTables.ErrorCode(selector));
        return false;
    }

    private static Op* Store<TName, T>(CpuState* s, Op* op) where TName : struct, ISystemSegment where T : unmanaged
    {
        if (!MayStore(s, op, TName.Read))
            return null;
        Operand.SetRegister<T>(s, op->Destination, CpuState.Seg(s, TName.Segment)->Selector);
        return op + 1;
    }

    private static Op* StoreMemory<TName>(CpuState* s, Op* op) where TName : struct, ISystemSegment
        => MayStore(s, op, TName.Read) && Operand.WriteMemory<ushort>(s, op, CpuState.Seg(s, TName.Segment)->Selector) ? op + 1 : null;

    private static bool MayStore(CpuState* s, Op* op, SvmExitCode intercept)
    {
        if (!s->ProtectedMode || s->Virtual8086)
            Fault.InvalidOpcode(s, op);
        else if (UserMode.Prevents(s))
            Fault.GeneralProtection(s, op);
        else
            return !Intercept.Takes(s, op, intercept);
        return false;
    }
}
