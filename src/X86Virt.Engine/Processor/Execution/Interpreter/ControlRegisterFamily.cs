using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>MOV to and from control and debug registers, LMSW, SMSW, CLTS (AMD volume 3).</summary>
internal static unsafe class ControlRegisterFamily
{
    public static Handler Bind(in Instruction instruction, bool memory)
    {
        switch (instruction.Code)
        {
            case Code.Mov_r32_cr or Code.Mov_r64_cr:
                return instruction.Op1Register switch
                {
                    Register.CR0 or Register.CR2 or Register.CR3 or Register.CR4 or Register.CR8
                        => instruction.Code == Code.Mov_r64_cr ? &ReadControl<ulong> : &ReadControl<uint>,
                    _ => null,
                };
            case Code.Mov_cr_r32 or Code.Mov_cr_r64:
                return instruction.Op0Register switch
                {
                    Register.CR0 or Register.CR2 or Register.CR3 or Register.CR4 or Register.CR8
                        => instruction.Code == Code.Mov_cr_r64 ? &WriteControl<ulong> : &WriteControl<uint>,
                    _ => null,
                };
            case Code.Mov_r32_dr:
                return &ReadDebug<uint>;
            case Code.Mov_r64_dr:
                return instruction.Op1Register <= Register.DR7 ? &ReadDebug<ulong> : null;
            case Code.Mov_dr_r32:
                return &WriteDebug<uint>;
            case Code.Mov_dr_r64:
                return instruction.Op0Register <= Register.DR7 ? &WriteDebug<ulong> : null;
        }
        return instruction.Mnemonic switch
        {
            Mnemonic.Clts => &Clts,
            Mnemonic.Lmsw => memory ? &LoadStatusWordMemory : &LoadStatusWord,
            Mnemonic.Smsw => memory ? &StoreStatusWordMemory : OperandShape.Size(instruction, 0) switch
            {
                2 => &StoreStatusWord<ushort>,
                4 => &StoreStatusWord<uint>,
                _ => &StoreStatusWord<ulong>,
            },
            _ => null,
        };
    }

    /// <summary>Outside 64-bit mode CR8 has been named by a prefix on CR0, which needs its feature.</summary>
    private static bool IsMissing(CpuState* s, byte number) => number == 8 && !s->Code64 && !Cpu.Of(s).Model.Has(ProcessorFeature.AltMovCr8);

    private static Op* ReadControl<T>(CpuState* s, Op* op) where T : unmanaged
    {
        if (IsMissing(s, op->Source))
            return Fault.InvalidOpcode(s, op);
        if (s->Cpl != 0)
            return Fault.GeneralProtection(s, op);
        if (Intercept.TakesMovCr(s, op, SvmExitCode.Cr0Read, op->Source, op->Destination))
            return null;
        Cpu cpu = Cpu.Of(s);
        cpu.Statistics.ControlRegisterReads++;
        ulong value = op->Source switch
        {
            0 => s->Cr0,
            2 => s->Cr2,
            3 => s->Cr3,
            4 => s->Cr4,
            _ => cpu.TaskPriority,
        };
        Operand.SetRegister<T>(s, op->Destination, value);
        return Control.Complete(s, op);
    }

    private static Op* WriteControl<T>(CpuState* s, Op* op) where T : unmanaged
    {
        if (IsMissing(s, op->Destination))
            return Fault.InvalidOpcode(s, op);
        if (s->Cpl != 0)
            return Fault.GeneralProtection(s, op);
        ulong value = Operand.Register<T>(s, op->Source);
        if (Intercept.TakesMovCr(s, op, SvmExitCode.Cr0Write, op->Destination, op->Source)
            || (op->Destination == 0 && Intercept.TakesSelectiveCr0(s, op, value, Intercept.MovCr(op->Source))))
            return null;
        Cpu.Of(s).Statistics.ControlRegisterWrites[op->Destination]++;
        bool done = true;
        switch (op->Destination)
        {
            case 0:
                done = ControlRegisterWrite.SetCr0(s, op, value);
                break;
            case 2:
                s->Cr2 = value;
                break;
            case 3:
                done = ControlRegisterWrite.SetCr3(s, op, value);
                break;
            case 4:
                done = ControlRegisterWrite.SetCr4(s, op, value);
                break;
            default:
                done = ControlRegisterWrite.SetCr8(s, op, value);
                break;
        }
        return done ? Control.Complete(s, op) : null;
    }

    /// <summary>The checks of every access to a debug register, in their order; DR4 and DR5 are DR6 and DR7 unless CR4.DE reserves them.</summary>
    private static bool OpenDebug(CpuState* s, Op* op, ref int number, SvmExitCode intercept, int register)
    {
        ulong named = (ulong)number;
        if (number is 4 or 5)
        {
            if ((s->Cr4 & Cr4.De) != 0)
            {
                Fault.InvalidOpcode(s, op);
                return false;
            }
            number += 2;
        }
        if (s->Cpl != 0)
        {
            Fault.GeneralProtection(s, op);
            return false;
        }
        if (Intercept.Takes(s, op, intercept + named, (uint)register >> 3))
            return false;
        if ((s->Dr[7] & DebugRegisters.Dr7GeneralDetect) != 0)
        {
            Fault.Debug(s, op, DebugRegisters.GeneralDetect);
            return false;
        }
        Cpu.Of(s).Statistics.DebugRegisterAccesses++;
        return true;
    }

    private static Op* ReadDebug<T>(CpuState* s, Op* op) where T : unmanaged
    {
        int number = op->Source;
        if (!OpenDebug(s, op, ref number, SvmExitCode.Dr0Read, op->Destination))
            return null;
        Operand.SetRegister<T>(s, op->Destination, s->Dr[number]);
        return Control.Complete(s, op);
    }

    private static Op* WriteDebug<T>(CpuState* s, Op* op) where T : unmanaged
    {
        int number = op->Destination;
        if (!OpenDebug(s, op, ref number, SvmExitCode.Dr0Write, op->Source))
            return null;
        ulong value = Operand.Register<T>(s, op->Source);
        if (number >= 6 && value >> 32 != 0)
            return Fault.GeneralProtection(s, op);
        s->Dr[number] = number switch
        {
            6 => (value & DebugRegisters.Dr6Writable) | DebugRegisters.Dr6Fixed,
            7 => (value & DebugRegisters.Dr7Writable) | DebugRegisters.Dr7Fixed,
            _ => value,
        };
        DebugRegisters.Changed(s);
        return Control.Complete(s, op);
    }

    private static Op* Clts(CpuState* s, Op* op)
    {
        if (s->Cpl != 0)
            return Fault.GeneralProtection(s, op);
        if (Intercept.Takes(s, op, SvmExitCode.Cr0Write))
            return null;
        Cpu cpu = Cpu.Of(s);
        cpu.Statistics.ControlRegisterWrites[0]++;
        s->Cr0 &= ~Cr0.Ts;
        ModeChange.Update(cpu);
        return Control.Complete(s, op);
    }

    private static Op* LoadStatusWord(CpuState* s, Op* op) => SetStatusWord(s, op, Operand.Register<ushort>(s, op->Destination));

    private static Op* LoadStatusWordMemory(CpuState* s, Op* op)
    {
        if (s->Cpl != 0)
            return Fault.GeneralProtection(s, op);
        return Operand.ReadMemory<ushort>(s, op, out ulong value) ? SetStatusWord(s, op, value) : null;
    }

    /// <summary>PE can be set this way, but not cleared. Whatever it changes, the selective intercept takes it (AMD volume 2, 15.8.1).</summary>
    private static Op* SetStatusWord(CpuState* s, Op* op, ulong value)
    {
        if (s->Cpl != 0)
            return Fault.GeneralProtection(s, op);
        const ulong Loaded = Cr0.Mp | Cr0.Em | Cr0.Ts;
        ulong cr0 = (s->Cr0 & ~Loaded) | (value & (Loaded | Cr0.Pe));
        if (Intercept.Takes(s, op, SvmExitCode.Cr0Write) || Intercept.Takes(s, op, SvmExitCode.Cr0SelectiveWrite))
            return null;
        Cpu.Of(s).Statistics.ControlRegisterWrites[0]++;
        return ControlRegisterWrite.SetCr0(s, op, cr0) ? Control.Complete(s, op) : null;
    }

    private static Op* StoreStatusWord<T>(CpuState* s, Op* op) where T : unmanaged
    {
        if (UserMode.Prevents(s))
            return Fault.GeneralProtection(s, op);
        if (Intercept.Takes(s, op, SvmExitCode.Cr0Read))
            return null;
        Operand.SetRegister<T>(s, op->Destination, s->Cr0);
        return op + 1;
    }

    private static Op* StoreStatusWordMemory(CpuState* s, Op* op)
    {
        if (UserMode.Prevents(s))
            return Fault.GeneralProtection(s, op);
        if (Intercept.Takes(s, op, SvmExitCode.Cr0Read))
            return null;
        return Operand.WriteMemory<ushort>(s, op, s->Cr0) ? op + 1 : null;
    }
}

/// <summary>User-mode instruction prevention (CR4.UMIP): SGDT, SIDT, SLDT, SMSW and STR are for the kernel alone.</summary>
internal static unsafe class UserMode
{
    public static bool Prevents(CpuState* s) => s->Cpl != 0 && (s->Cr4 & Cr4.Umip) != 0;
}
