using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>INT n, INT3, INTO, INT1, BOUND, UD0, UD1, UD2, HLT.</summary>
internal static unsafe class InterruptFamily
{
    public static Handler Bind(in Instruction instruction)
    {
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Int:
                return &Int;
            case Mnemonic.Int3:
                return &Int3;
            case Mnemonic.Into:
                return &Into;
            case Mnemonic.Int1:
                return &Int1;
            case Mnemonic.Bound:
                return OperandShape.Size(instruction, 0) == 2 ? &Bound<ushort> : &Bound<uint>;
            case Mnemonic.Ud0 or Mnemonic.Ud1 or Mnemonic.Ud2:
                return &Undefined;
            case Mnemonic.Hlt:
                return &Hlt;
            default:
                return null;
        }
    }

    private static Op* Int(CpuState* s, Op* op)
    {
        byte vector = (byte)op->Immediate;
        if (Intercept.Takes(s, op, SvmExitCode.SoftwareInterrupt, vector))
            return null;
        if (s->Virtual8086 && Virtual8086Extensions.Redirect(s, op, vector))
            return null;
        return Deliver(s, op, vector, EventSource.Software);
    }

    private static Op* Int3(CpuState* s, Op* op)
        => Intercept.TakesTrap(s, op, Vector.Breakpoint) ? null : Deliver(s, op, (byte)Vector.Breakpoint, EventSource.SoftwareException);

    private static Op* Into(CpuState* s, Op* op)
    {
        if ((s->StatusFlags & Flags.Of) == 0)
            return Control.Complete(s, op);
        return Intercept.TakesTrap(s, op, Vector.Overflow) ? null : Deliver(s, op, (byte)Vector.Overflow, EventSource.SoftwareException);
    }

    /// <summary>Like a debug trap that nothing in DR6 explains, but for a trap that MOV SS has held off, which comes along; the gate's DPL does not matter.</summary>
    private static Op* Int1(CpuState* s, Op* op)
    {
        if (Intercept.Takes(s, op, SvmExitCode.Icebp) || Intercept.TakesTrap(s, op, Vector.Debug))
            return null;
        DebugRegisters.Report(s, s->PendingDebug);
        DebugRegisters.ForgetTrap(s);
        return Deliver(s, op, (byte)Vector.Debug, EventSource.Exception);
    }

    private static Op* Deliver(CpuState* s, Op* op, byte vector, EventSource source)
    {
        if (InterruptDelivery.Deliver(s, op, new InterruptEvent(vector, source, Control.NextRip(s, op))))
            Cpu.Of(s).Statistics.SoftwareInterrupts++;
        return null;
    }

    private static Op* Bound<T>(CpuState* s, Op* op) where T : unmanaged
    {
        ulong address = Operand.EffectiveAddress(s, op);
        if (!Operand.Linear(s, op, op->Segment, address, sizeof(T), false, out ulong linear) || !LinearMemory.Read(s, op, linear, out T low)
            || !Operand.Linear(s, op, op->Segment, Operand.WrapAddress(op, address + (ulong)sizeof(T)), sizeof(T), false, out ulong linear2)
            || !LinearMemory.Read(s, op, linear2, out T high))
            return null;
        long index = Operand.SignExtend<T>(Operand.Register<T>(s, op->Destination));
        bool within = index >= Operand.SignExtend<T>(Operand.Load<T>(&low)) && index <= Operand.SignExtend<T>(Operand.Load<T>(&high));
        return within ? op + 1 : Fault.Raise(s, op, Vector.BoundRange);
    }

    private static Op* Undefined(CpuState* s, Op* op) => Fault.InvalidOpcode(s, op);

    private static Op* Hlt(CpuState* s, Op* op)
    {
        if (s->Cpl != 0)
            return Fault.GeneralProtection(s, op);
        if (Intercept.Takes(s, op, SvmExitCode.Hlt))
            return null;
        s->Halted = true;
        s->Attend(Attention.Halt);
        Cpu.Of(s).Statistics.Halts++;
        return Control.Complete(s, op);
    }
}
