using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>The ways one guest instruction is translated.</summary>
public enum TranslationKind : byte
{
    /// <summary>IDENT: the same operation on the host registers that hold the guest's.</summary>
    Register,

    /// <summary>IDENT with its memory operand redirected through the software TLB.</summary>
    Memory,

    /// <summary>A sequence of host code that never calls out but for a slow memory access.</summary>
    InTc,

    /// <summary>A control transfer: chained, looked up, or through an inline cache.</summary>
    Branch,

    /// <summary>Leaves the translation cache to run the interpreter's handler.</summary>
    Callout,

    /// <summary>SIMULATE: the same, of an instruction that has another form, which trapped too often.</summary>
    Simulate,
}

/// <summary>Chooses the kind of each instruction.</summary>
internal static unsafe class TranslationKinds
{
    public static TranslationKind Choose(in Instruction instruction, Op* op, CodeMode mode, Handler invalid)
    {
        if ((nint)op->Handler == (nint)invalid)
            return TranslationKind.Callout;
        if (DataUnitsOf.InLine(instruction, mode, op))
            return HasMemory(instruction) ? TranslationKind.Memory : TranslationKind.Register;
        if ((mode & CodeMode.Intercepts) != 0 && MayLeaveGuest(instruction))
            return TranslationKind.Callout;
        if (instruction.Mnemonic == Mnemonic.Mov && instruction.Op1Register.IsCR())
            return TranslationKind.InTc;
        bool highByte = false;
        for (int i = 0; i < instruction.OpCount; i++)
        {
            if (instruction.GetOpKind(i) != OpKind.Register)
                continue;
            Register register = instruction.GetOpRegister(i);
            if (!register.IsGPR() && instruction.Mnemonic != Mnemonic.Mov)
                return TranslationKind.Callout;
            highByte |= RegisterMap.IsHighByte(register);
        }
        bool memory = HasMemory(instruction);
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Movsxd when memory && instruction.Code == Code.Movsxd_r16_rm16:
                // It reads 32 bits.
                return TranslationKind.Callout;
            case Mnemonic.Mov when instruction.Op1Kind == OpKind.Register && instruction.Op1Register.IsSegmentRegister():
                return instruction.Op0Kind == OpKind.Register ? TranslationKind.InTc : TranslationKind.Callout;
            case Mnemonic.Mov when !IsGeneral(instruction):
                return TranslationKind.Callout;
            case Mnemonic.Mov or Mnemonic.Movzx or Mnemonic.Movsx or Mnemonic.Movsxd:
            case Mnemonic.Add or Mnemonic.Adc or Mnemonic.Sub or Mnemonic.Sbb or Mnemonic.Cmp:
            case Mnemonic.And or Mnemonic.Or or Mnemonic.Xor or Mnemonic.Test:
            case Mnemonic.Inc or Mnemonic.Dec or Mnemonic.Neg or Mnemonic.Not:
            case Mnemonic.Shl or Mnemonic.Shr or Mnemonic.Sar or Mnemonic.Sal or Mnemonic.Rol or Mnemonic.Ror or Mnemonic.Rcl or Mnemonic.Rcr:
            case Mnemonic.Shld or Mnemonic.Shrd:
            case Mnemonic.Bswap or Mnemonic.Xchg or Mnemonic.Xadd:
            case Mnemonic.Bsf or Mnemonic.Bsr or Mnemonic.Lzcnt or Mnemonic.Tzcnt or Mnemonic.Popcnt:
            case Mnemonic.Andn or Mnemonic.Blsi or Mnemonic.Blsr or Mnemonic.Blsmsk or Mnemonic.Bextr or Mnemonic.Bzhi:
            case Mnemonic.Rorx or Mnemonic.Sarx or Mnemonic.Shlx or Mnemonic.Shrx or Mnemonic.Pdep or Mnemonic.Pext:
            case Mnemonic.Adcx or Mnemonic.Adox or Mnemonic.Crc32 or Mnemonic.Movbe:
                return memory ? TranslationKind.Memory : TranslationKind.Register;
            case Mnemonic.Imul when instruction.OpCount > 1:
                return memory ? TranslationKind.Memory : TranslationKind.Register;
            case Mnemonic.Bt or Mnemonic.Bts or Mnemonic.Btr or Mnemonic.Btc:
                // A bit offset in a register addresses memory beyond the operand.
                return !memory ? TranslationKind.Register : instruction.Op1Kind == OpKind.Register ? TranslationKind.Callout : TranslationKind.Memory;
            case Mnemonic.Lea:
                return TranslationKind.Register;
            case Mnemonic.Nop or Mnemonic.Reservednop or Mnemonic.Endbr64 or Mnemonic.Endbr32 or Mnemonic.Prefetch or Mnemonic.Prefetcht0
                or Mnemonic.Prefetcht1 or Mnemonic.Prefetcht2 or Mnemonic.Prefetchnta or Mnemonic.Prefetchw or Mnemonic.Pause
                or Mnemonic.Lfence or Mnemonic.Mfence or Mnemonic.Sfence:
                return TranslationKind.Register;
            case Mnemonic.Cbw or Mnemonic.Cwde or Mnemonic.Cdqe or Mnemonic.Cwd or Mnemonic.Cdq or Mnemonic.Cqo:
                return TranslationKind.Register;
            case Mnemonic.Mul or Mnemonic.Imul or Mnemonic.Div or Mnemonic.Idiv or Mnemonic.Cmpxchg:
                return highByte ? TranslationKind.Callout : TranslationKind.InTc;
            case Mnemonic.Lahf or Mnemonic.Sahf or Mnemonic.Cli or Mnemonic.Sti or Mnemonic.Cpuid or Mnemonic.Swapgs or Mnemonic.Rdtsc or Mnemonic.Rdtscp:
                return TranslationKind.InTc;
            case Mnemonic.Syscall or Mnemonic.Sysretq:
                return TranslationKind.Branch;
            case Mnemonic.Pushfq or Mnemonic.Pushfd or Mnemonic.Popfq or Mnemonic.Popfd when StackIsWide(mode):
                return TranslationKind.InTc;
            case Mnemonic.Push or Mnemonic.Pop or Mnemonic.Leave when StackIsWide(mode):
                return PushPop(instruction);
            case Mnemonic.Call or Mnemonic.Ret when StackIsWide(mode) && (mode & CodeMode.Flat) != 0 && !IsWord(instruction):
            case Mnemonic.Jmp when (mode & CodeMode.Flat) != 0 && !IsWord(instruction):
                return instruction.IsCallNear || instruction.IsCallNearIndirect || instruction.IsJmpShortOrNear || instruction.IsJmpNearIndirect
                    || instruction.Mnemonic == Mnemonic.Ret ? TranslationKind.Branch : TranslationKind.Callout;
        }
        if (instruction.IsJccShortOrNear)
            return (mode & CodeMode.Flat) != 0 && !IsWord(instruction) ? TranslationKind.Branch : TranslationKind.Callout;
        if (IsSetOrMove(instruction))
            return memory ? TranslationKind.Memory : TranslationKind.Register;
        return TranslationKind.Callout;
    }

    /// <summary>What SVM can intercept of that which translated code would do by itself; CPUID in line asks on its own.</summary>
    private static bool MayLeaveGuest(in Instruction instruction)
        => instruction.Mnemonic is Mnemonic.Pause or Mnemonic.Pushfq or Mnemonic.Pushfd or Mnemonic.Popfq or Mnemonic.Popfd;

    /// <summary>No operand is a segment, control or debug register.</summary>
    private static bool IsGeneral(in Instruction instruction)
        => (instruction.Op0Kind != OpKind.Register || instruction.Op0Register.IsGPR())
            && (instruction.Op1Kind != OpKind.Register || instruction.Op1Register.IsGPR());

    /// <summary>An explicit memory operand that is accessed.</summary>
    public static bool HasMemory(in Instruction instruction)
    {
        if (instruction.Mnemonic is Mnemonic.Lea or Mnemonic.Nop or Mnemonic.Reservednop)
            return false;
        for (int i = 0; i < instruction.OpCount; i++)
        {
            if (instruction.GetOpKind(i) == OpKind.Memory)
                return true;
        }
        return false;
    }

    private static bool IsSetOrMove(in Instruction instruction)
        => instruction.ConditionCode != ConditionCode.None && instruction.FlowControl == FlowControl.Next;

    /// <summary>A 64-bit or flat 32-bit stack.</summary>
    private static bool StackIsWide(CodeMode mode)
        => (mode & CodeMode.SizeMask) == CodeMode.Code64 || (mode & (CodeMode.Flat | CodeMode.Stack32)) == (CodeMode.Flat | CodeMode.Stack32);

    /// <summary>16-bit operand size: the target is truncated, which is rare enough to call out.</summary>
    private static bool IsWord(in Instruction instruction) => instruction.Mnemonic == Mnemonic.Ret
        ? instruction.Code is Code.Retnw or Code.Retnw_imm16
        : instruction.Op0Kind == OpKind.NearBranch16
            || (instruction.Op0Kind == OpKind.Register && instruction.Op0Register.IsGPR16())
            || (instruction.Op0Kind == OpKind.Memory && instruction.MemorySize.GetSize() == 2);

    private static TranslationKind PushPop(in Instruction instruction)
        => Math.Abs(instruction.StackPointerIncrement) == 2 || instruction.Code == Code.Leavew ? TranslationKind.Callout : TranslationKind.InTc;
}
