using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>
/// SYSCALL, SYSRET, SYSENTER, SYSEXIT, SWAPGS and the FSGSBASE instructions (AMD volume 2, 6.1; volume 3). Where AMD's and Intel's
/// processors differ, the vendor of the model decides.
/// </summary>
internal static unsafe class SystemCallFamily
{
    private const SegmentAttributes FlatData = SegmentAttributes.Present | SegmentAttributes.CodeOrData | SegmentAttributes.Writable
        | SegmentAttributes.Accessed | SegmentAttributes.Big | SegmentAttributes.Granular;
    private const SegmentAttributes FlatCode = FlatData | SegmentAttributes.Code;
    private const SegmentAttributes LongCode = (FlatCode & ~SegmentAttributes.Big) | SegmentAttributes.Long;

    public static Handler Bind(in Instruction instruction) => instruction.Code switch
    {
        Code.Syscall => &SystemCall,
        Code.Sysretd => &SystemReturn32,
        Code.Sysretq => &SystemReturn64,
        Code.Sysenter => &SystemEnter,
        Code.Sysexitd => &SystemExit32,
        Code.Sysexitq => &SystemExit64,
        Code.Swapgs => &SwapGs,
        Code.Rdfsbase_r32 => &ReadBase<FsName, uint>,
        Code.Rdfsbase_r64 => &ReadBase<FsName, ulong>,
        Code.Rdgsbase_r32 => &ReadBase<GsName, uint>,
        Code.Rdgsbase_r64 => &ReadBase<GsName, ulong>,
        Code.Wrfsbase_r32 => &WriteBase<FsName, uint>,
        Code.Wrfsbase_r64 => &WriteBase<FsName, ulong>,
        Code.Wrgsbase_r32 => &WriteBase<GsName, uint>,
        Code.Wrgsbase_r64 => &WriteBase<GsName, ulong>,
        _ => null,
    };

    /// <summary>CS and SS as SYSCALL loads them in long mode.</summary>
    public static (SegmentRegister Cs, SegmentRegister Ss) KernelSegments(CpuState* s)
    {
        int selector = (int)(s->Star >> 32) & 0xFFFC;
        return (Flat(selector, LongCode, 0), Flat(selector + 8, FlatData, 0));
    }

    /// <summary>CS and SS as SYSRET loads them when it returns to 64-bit code.</summary>
    public static (SegmentRegister Cs, SegmentRegister Ss) UserSegments(CpuState* s)
    {
        int selector = (int)(s->Star >> 48) | 3;
        return (Flat(selector + 16, LongCode, 3), Flat(selector + 8, FlatData, 3));
    }

    private static SegmentRegister Flat(int selector, SegmentAttributes attributes, int dpl)
        => new() { Selector = (ushort)selector, Limit = uint.MaxValue, Attributes = attributes | (SegmentAttributes)(dpl << 5) };

    private static void Load(CpuState* s, (SegmentRegister Cs, SegmentRegister Ss) segments)
    {
        *CpuState.Seg(s, Segment.Cs) = segments.Cs;
        *CpuState.Seg(s, Segment.Ss) = segments.Ss;
        s->Cpl = (byte)segments.Cs.Dpl;
        ModeChange.CodeLoaded(Cpu.Of(s));
    }

    private static Op* SystemCall(CpuState* s, Op* op)
    {
        Cpu cpu = Cpu.Of(s);
        if ((s->Efer & Efer.Sce) == 0 || !s->ProtectedMode || (cpu.Model.IsIntel && !s->Code64))
            return Fault.InvalidOpcode(s, op);
        cpu.Statistics.Syscalls++;
        Control.Complete(s, op);
        int selector = (int)(s->Star >> 32) & 0xFFFC;
        if (s->LongMode)
        {
            SystemCallPath.Prepare(s);
            ulong target = s->Code64 ? s->LStar : s->CStar;
            s->Rcx = s->Rip;
            s->Gpr[11] = Flags.Rflags(s) & ~(ulong)Flags.Rf;
            ulong flags = s->Gpr[11] & ~s->SfMask;
            Load(s, KernelSegments(s));
            s->Rip = target;
            FlagsChange.Load(s, flags, uint.MaxValue);
            // A single-step trap follows only if TF is still on.
            s->StepArmed &= (flags & Flags.Tf) != 0;
        }
        else
        {
            s->Rcx = (uint)s->Rip;
            Load(s, (Flat(selector, FlatCode, 0), Flat(selector + 8, FlatData, 0)));
            s->Rip = (uint)s->Star;
            FlagsChange.Load(s, 0, Flags.If | Flags.Vm | Flags.Rf);
        }
        return null;
    }

    private static Op* SystemReturn32(CpuState* s, Op* op) => SystemReturn(s, op, false);

    private static Op* SystemReturn64(CpuState* s, Op* op) => SystemReturn(s, op, true);

    private static Op* SystemReturn(CpuState* s, Op* op, bool wide)
    {
        Cpu cpu = Cpu.Of(s);
        if ((s->Efer & Efer.Sce) == 0 || !s->ProtectedMode || (cpu.Model.IsIntel && !s->Code64))
            return Fault.InvalidOpcode(s, op);
        // Intel's processors refuse a return address that is not canonical here, AMD's at the first fetch.
        if (s->Cpl != 0 || (wide && cpu.Model.IsIntel && !Canonical.Is(s, s->Rcx)))
            return Fault.GeneralProtection(s, op);
        Control.Complete(s, op);
        int selector = (int)(s->Star >> 48) | 3;
        ulong target = wide ? s->Rcx : (uint)s->Rcx;
        bool fromLong = s->Code64;
        ulong flags = s->Gpr[11];
        // AMD's processors leave everything of SS but selector and DPL as it was; software that gets by with that gets by with a flat one.
        Load(s, wide ? UserSegments(s) : (Flat(selector, FlatCode, 3), Flat(selector + 8, FlatData, 3)));
        s->Rip = target;
        if (fromLong)
            FlagsChange.Load(s, flags, FlagsChange.Unprivileged | Flags.If | Flags.IoplMask | Flags.Vif | Flags.Vip);
        else
            FlagsChange.Load(s, Flags.If, Flags.If);
        return null;
    }

    private static Op* SystemEnter(CpuState* s, Op* op)
    {
        Cpu cpu = Cpu.Of(s);
        if (!s->ProtectedMode)
            return Fault.GeneralProtection(s, op);
        if (s->LongMode && !cpu.Model.IsIntel)
            return Fault.InvalidOpcode(s, op);
        if ((s->SysenterCs & 0xFFFC) == 0)
            return Fault.GeneralProtection(s, op);
        cpu.Statistics.Syscalls++;
        Control.Complete(s, op);
        int selector = (int)s->SysenterCs & 0xFFFC;
        bool wide = s->LongMode;
        FlagsChange.Load(s, 0, Flags.If | Flags.Vm | Flags.Rf);
        Load(s, (Flat(selector, wide ? LongCode : FlatCode, 0), Flat(selector + 8, FlatData, 0)));
        s->Rip = wide ? s->SysenterEip : (uint)s->SysenterEip;
        s->Rsp = wide ? s->SysenterEsp : (uint)s->SysenterEsp;
        return null;
    }

    private static Op* SystemExit32(CpuState* s, Op* op) => SystemExit(s, op, false);

    private static Op* SystemExit64(CpuState* s, Op* op) => SystemExit(s, op, true);

    private static Op* SystemExit(CpuState* s, Op* op, bool wide)
    {
        Cpu cpu = Cpu.Of(s);
        if (s->LongMode && !cpu.Model.IsIntel)
            return Fault.InvalidOpcode(s, op);
        if (!s->ProtectedMode || s->Cpl != 0 || (s->SysenterCs & 0xFFFC) == 0
            || (wide && (!Canonical.Is(s, s->Rdx) || !Canonical.Is(s, s->Rcx))))
            return Fault.GeneralProtection(s, op);
        Control.Complete(s, op);
        int selector = ((int)s->SysenterCs & 0xFFFC) + (wide ? 32 : 16) | 3;
        Load(s, (Flat(selector, wide ? LongCode : FlatCode, 3), Flat(selector + 8, FlatData, 3)));
        s->Rip = wide ? s->Rdx : (uint)s->Rdx;
        s->Rsp = wide ? s->Rcx : (uint)s->Rcx;
        return null;
    }

    private static Op* SwapGs(CpuState* s, Op* op)
    {
        if (!s->Code64)
            return Fault.InvalidOpcode(s, op);
        if (s->Cpl != 0)
            return Fault.GeneralProtection(s, op);
        SegmentRegister* gs = CpuState.Seg(s, Segment.Gs);
        (gs->Base, s->KernelGsBase) = (s->KernelGsBase, gs->Base);
        s->AddressBase[(int)Segment.Gs] = gs->Base;
        return Control.Complete(s, op);
    }

    private interface ISegment
    {
        static abstract Segment Segment { get; }
    }

    private readonly struct FsName : ISegment { public static Segment Segment => Segment.Fs; }
    private readonly struct GsName : ISegment { public static Segment Segment => Segment.Gs; }

    private static Op* ReadBase<TSegment, T>(CpuState* s, Op* op) where TSegment : struct, ISegment where T : unmanaged
    {
        if ((s->Cr4 & Cr4.Fsgsbase) == 0)
            return Fault.InvalidOpcode(s, op);
        Operand.SetRegister<T>(s, op->Destination, CpuState.Seg(s, TSegment.Segment)->Base);
        return op + 1;
    }

    private static Op* WriteBase<TSegment, T>(CpuState* s, Op* op) where TSegment : struct, ISegment where T : unmanaged
    {
        if ((s->Cr4 & Cr4.Fsgsbase) == 0)
            return Fault.InvalidOpcode(s, op);
        ulong value = Operand.Register<T>(s, op->Destination);
        if (!Canonical.Is(s, value))
            return Fault.GeneralProtection(s, op);
        CpuState.Seg(s, TSegment.Segment)->Base = value;
        s->AddressBase[(int)TSegment.Segment] = value;
        return Control.Complete(s, op);
    }
}
