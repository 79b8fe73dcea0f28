using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>PUSHF, POPF, CLI, STI, CLD, STD, CLC, STC, CMC, LAHF, SAHF, CLAC, STAC.</summary>
internal static unsafe class FlagFamily
{
    public static Handler Bind(in Instruction instruction) => instruction.Mnemonic switch
    {
        Mnemonic.Pushf => &Push<ushort>,
        Mnemonic.Pushfd => &Push<uint>,
        Mnemonic.Pushfq => &Push<ulong>,
        Mnemonic.Popf => &Pop<ushort>,
        Mnemonic.Popfd => &Pop<uint>,
        Mnemonic.Popfq => &Pop<ulong>,
        Mnemonic.Cli => &Cli,
        Mnemonic.Sti => &Sti,
        Mnemonic.Cld => &Cld,
        Mnemonic.Std => &Std,
        Mnemonic.Clc => &Clc,
        Mnemonic.Stc => &Stc,
        Mnemonic.Cmc => &Cmc,
        Mnemonic.Lahf => &Lahf,
        Mnemonic.Sahf => &Sahf,
        Mnemonic.Clac => &Clac,
        Mnemonic.Stac => &Stac,
        _ => null,
    };

    private static Op* Push<T>(CpuState* s, Op* op) where T : unmanaged
    {
        if (Intercept.Takes(s, op, SvmExitCode.Pushf))
            return null;
        if (s->Virtual8086 && s->Iopl < 3)
            return Virtual8086Extensions.PushFlags(s, op, sizeof(T));
        ulong flags = (Flags.ToRflags(s->StatusFlags) | s->SystemFlags) & ~(Flags.Rf | Flags.Vm);
        return Stack.Push<T>(s, op, flags) ? op + 1 : null;
    }

    private static Op* Pop<T>(CpuState* s, Op* op) where T : unmanaged
    {
        if (Intercept.Takes(s, op, SvmExitCode.Popf))
            return null;
        if (s->Virtual8086 && s->Iopl < 3)
            return Virtual8086Extensions.PopFlags(s, op, sizeof(T));
        if (!Stack.Peek<T>(s, op, 0, out ulong flags))
            return null;
        Stack.Release(s, sizeof(T));
        AccessMode before = s->AccessMode;
        FlagsChange.Load(s, flags, FlagsChange.Writable(s, sizeof(T)));
        // What is translated behind is for the access mode before.
        return s->AccessMode == before ? FlagsChange.Next(s, op) : Control.Complete(s, op);
    }

    private static Op* Cli(CpuState* s, Op* op)
    {
        if (s->Cpl > s->Iopl)
            return Virtual8086Extensions.TakesInterruptFlag(s) ? Virtual8086Extensions.Cli(s, op) : Fault.GeneralProtection(s, op);
        s->SystemFlags &= ~Flags.If;
        return op + 1;
    }

    private static Op* Sti(CpuState* s, Op* op)
    {
        if (s->Cpl > s->Iopl)
            return Virtual8086Extensions.TakesInterruptFlag(s) ? Virtual8086Extensions.Sti(s, op) : Fault.GeneralProtection(s, op);
        if ((s->SystemFlags & Flags.If) != 0)
            return op + 1;
        s->SystemFlags |= Flags.If;
        InstructionBoundary.CastShadow(s, op, InterruptShadow.Sti);
        FlagsChange.AllowInterrupts(s);
        return FlagsChange.Next(s, op);
    }

    private static Op* Cld(CpuState* s, Op* op)
    {
        s->SystemFlags &= ~Flags.Df;
        return op + 1;
    }

    private static Op* Std(CpuState* s, Op* op)
    {
        s->SystemFlags |= Flags.Df;
        return op + 1;
    }

    private static Op* Clc(CpuState* s, Op* op)
    {
        s->StatusFlags &= ~Flags.Cf;
        return op + 1;
    }

    private static Op* Stc(CpuState* s, Op* op)
    {
        s->StatusFlags |= Flags.Cf;
        return op + 1;
    }

    private static Op* Cmc(CpuState* s, Op* op)
    {
        s->StatusFlags ^= Flags.Cf;
        return op + 1;
    }

    private static Op* Lahf(CpuState* s, Op* op)
    {
        ((byte*)&s->Rax)[1] = (byte)(Flags.ToRflags(s->StatusFlags) | 2);
        return op + 1;
    }

    private static Op* Sahf(CpuState* s, Op* op)
    {
        s->StatusFlags = (s->StatusFlags & Flags.Of) | Flags.FromRflags(((byte*)&s->Rax)[1]);
        return op + 1;
    }

    private static Op* Clac(CpuState* s, Op* op) => SetAc(s, op, 0);

    private static Op* Stac(CpuState* s, Op* op) => SetAc(s, op, Flags.Ac);

    private static Op* SetAc(CpuState* s, Op* op, uint ac)
    {
        if (s->Cpl != 0)
            return Fault.InvalidOpcode(s, op);
        FlagsChange.Load(s, ac, Flags.Ac);
        return op + 1;
    }
}
