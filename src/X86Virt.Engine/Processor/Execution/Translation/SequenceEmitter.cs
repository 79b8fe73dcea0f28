using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>In-TC sequences: instructions with implicit registers, and the stack.</summary>
internal sealed unsafe partial class Translator
{
    private bool EmitSequence(in Instruction instruction, int i)
    {
        int firstStub = _stubCount;
        bool done = instruction.Mnemonic switch
        {
            Mnemonic.Push => EmitPush(instruction, i),
            Mnemonic.Pop => EmitPop(instruction, i),
            Mnemonic.Leave => EmitLeave(i),
            Mnemonic.Mul or Mnemonic.Imul => EmitMultiply(instruction, i),
            Mnemonic.Div or Mnemonic.Idiv => EmitDivide(instruction, i),
            Mnemonic.Cmpxchg => EmitCompareExchange(instruction, i),
            Mnemonic.Mov when instruction.Op1Register.IsCR() => EmitReadControl(instruction, i),
            Mnemonic.Mov => EmitReadSelector(instruction),
            Mnemonic.Pushfq or Mnemonic.Pushfd => EmitPushFlags(i),
            Mnemonic.Popfq or Mnemonic.Popfd => EmitPopFlags(i),
            Mnemonic.Cli => EmitClearInterruptFlag(i),
            Mnemonic.Sti => EmitSetInterruptFlag(i),
            Mnemonic.Lahf => EmitLoadAhFromFlags(),
            Mnemonic.Sahf => EmitStoreAhIntoFlags(),
            Mnemonic.Cpuid => EmitCpuid(i),
            Mnemonic.Swapgs => EmitSwapGs(i),
            Mnemonic.Rdtsc or Mnemonic.Rdtscp => EmitReadTimeStamp(instruction, i),
            _ => false,
        };
        if (done)
            ResumeHere(firstStub, i);
        return done;
    }

    private int StackWidth => (_mode & CodeMode.SizeMask) == CodeMode.Code64 ? 8 : 4;

    /// <summary>RSP, whose host register is never in memory.</summary>
    private static int StackPointer => RegisterMap.HostOf(4);

    /// <summary>Leaves the host address of a slot at RSP + displacement in RAX.</summary>
    private void EmitStackAddress(int displacement, int size, bool write, int i)
    {
        _a.Lea(StackWidth, HostAssembler.Rax, StackPointer, displacement);
        EmitTranslate(i, size, write, stack: true);
    }

    /// <summary>What the stack pointer points at into RAX.</summary>
    private void EmitLoadFromStack(int i)
    {
        int width = StackWidth;
        _a.Move(width, HostAssembler.Rax, StackPointer);
        EmitAddend(i, width, write: false, stack: true);
        _a.LoadIndexed(width, HostAssembler.Rax, HostAssembler.Rax, HostAssembler.Rcx, 0, 0);
    }

    private void MoveStackPointer(int by) => _a.Lea(StackWidth, StackPointer, StackPointer, by);

    private bool EmitPush(in Instruction instruction, int i)
    {
        int width = StackWidth;
        ClobberFlags(_needed[i]);
        if (instruction.Op0Kind == OpKind.Memory)
        {
            EmitHostAddress(instruction, i, width, write: false);
            _a.Load(width, HostAssembler.Rcx, HostAssembler.Rax, 0);
            _a.Store(8, HostAssembler.Rcx, HostAssembler.Rbx, CpuState.JumpTargetOffset);
        }
        if (instruction.Op0Kind == OpKind.Register)
        {
            _a.Lea(width, HostAssembler.Rax, StackPointer, -width);
            EmitAddend(i, width, write: true, stack: true);
            int guest = RegisterMap.GuestOf(instruction.Op0Register);
            _a.StoreIndexed(width, HostRegister(guest, HostAssembler.Rdx), HostAssembler.Rax, HostAssembler.Rcx, 0, 0);
            MoveStackPointer(-width);
            return true;
        }
        EmitStackAddress(-width, width, write: true, i);
        switch (instruction.Op0Kind)
        {
            case OpKind.Memory:
                _a.Load(8, HostAssembler.Rcx, HostAssembler.Rbx, CpuState.JumpTargetOffset);
                _a.Store(width, HostAssembler.Rcx, HostAssembler.Rax, 0);
                break;
            default:
                _a.StoreImmediate(width, HostAssembler.Rax, 0, (int)instruction.GetImmediate(0));
                break;
        }
        MoveStackPointer(-width);
        return true;
    }

    private bool EmitPop(in Instruction instruction, int i)
    {
        if (instruction.Op0Kind != OpKind.Register)
            return false;
        int width = StackWidth;
        ClobberFlags(_needed[i]);
        EmitLoadFromStack(i);
        MoveStackPointer(width);
        SetGuest(RegisterMap.GuestOf(instruction.Op0Register), width, HostAssembler.Rax);
        return true;
    }

    private bool EmitLeave(int i)
    {
        int width = StackWidth;
        int frame = RegisterMap.HostOf(5);
        ClobberFlags(_needed[i]);
        _a.Move(width, HostAssembler.Rax, frame);
        EmitAddend(i, width, write: false, stack: true);
        _a.LoadIndexed(width, HostAssembler.Rax, HostAssembler.Rax, HostAssembler.Rcx, 0, 0);
        _a.Lea(width, StackPointer, frame, width);
        _a.Move(width, frame, HostAssembler.Rax);
        return true;
    }

    /// <summary>
    /// Puts the explicit operand of MUL, DIV and CMPXCHG in place: a memory operand's host address in RCX, a register in memory in RCX.
    /// Gives the operand rewritten; the accumulator and RDX are loaded by the caller afterwards.
    /// </summary>
    private void PlaceOperand(ref Instruction renamed, in Instruction instruction, int i, bool write)
    {
        if (instruction.Op0Kind == OpKind.Memory)
        {
            ClobberFlags(_needed[i]);
            EmitHostAddress(instruction, i, instruction.MemorySize.GetSize(), write);
            _a.Move(8, HostAssembler.Rcx, HostAssembler.Rax);
            renamed.SegmentPrefix = Register.None;
            renamed.MemoryBase = Register.RCX;
            renamed.MemoryIndex = Register.None;
            renamed.MemoryIndexScale = 1;
            renamed.MemoryDisplacement64 = 0;
            renamed.MemoryDisplSize = 0;
            return;
        }
        Register register = instruction.Op0Register;
        renamed.Op0Register = RegisterMap.AtWidth(HostRegister(RegisterMap.GuestOf(register), HostAssembler.Rcx), register);
    }

    private bool EmitMultiply(in Instruction instruction, int i)
    {
        int size = OperandShape.Size(instruction, 0);
        Instruction renamed = instruction;
        PlaceOperand(ref renamed, instruction, i, write: false);
        if ((_needed[i + 1] & ~FlagLiveness.Killed(instruction)) != RflagsBits.None)
            LoadFlags();
        GetGuest(0, HostAssembler.Rax);
        if (!_a.TryEncode(renamed))
            return false;
        StoreProduct(size);
        _flagsInHost = true;
        _flagsInState = false;
        return true;
    }

    /// <summary>AX, or RDX:RAX, back to the guest; leaves flags alone.</summary>
    private void StoreProduct(int size)
    {
        SetGuest(0, size == 1 ? 2 : size, HostAssembler.Rax);
        if (size > 1)
            SetGuest(2, size, HostAssembler.Rdx);
    }

    /// <summary>
    /// Divides on the host where it is sure not to fault: the high half is below the divisor (unsigned), or is the sign of the low half and the
    /// divisor is neither 0 nor -1 (signed). All else calls out.
    /// </summary>
    private bool EmitDivide(in Instruction instruction, int i)
    {
        int size = OperandShape.Size(instruction, 0);
        if (size < 4)
            return false;
        bool signed = instruction.Mnemonic == Mnemonic.Idiv;
        Instruction renamed = instruction;
        PlaceOperand(ref renamed, instruction, i, write: false);
        ClobberFlags(FlagLiveness.Status);

        // The divisor in RCX, so that it is read once.
        if (instruction.Op0Kind == OpKind.Memory)
            _a.Load(size, HostAssembler.Rcx, HostAssembler.Rcx, 0);
        else
            _a.Move(size, HostAssembler.Rcx, renamed.Op0Register.GetNumber());
        GetGuest(0, HostAssembler.Rax);
        GetGuest(2, HostAssembler.Rdx);
        if (signed)
        {
            // RDX = sign of RAX, and divisor + 1 above 1 as an unsigned number.
            _a.ShiftRightArithmetic(size, HostAssembler.Rax, size * 8 - 1);
            _a.Alu(HostAlu.Cmp, size, HostAssembler.Rax, HostAssembler.Rdx);
            AddSlow(_a.JumpIf(HostCondition.NotEqual), i);
            _a.Lea(size, HostAssembler.Rax, HostAssembler.Rcx, 1);
            _a.AluImmediate(HostAlu.Cmp, size, HostAssembler.Rax, 1);
            AddSlow(_a.JumpIf(HostCondition.BelowOrEqual), i);
            GetGuest(0, HostAssembler.Rax);
        }
        else
        {
            _a.Alu(HostAlu.Cmp, size, HostAssembler.Rdx, HostAssembler.Rcx);
            AddSlow(_a.JumpIf(HostCondition.AboveOrEqual), i);
        }
        _a.Unary(signed ? 7 : 6, size, HostAssembler.Rcx);
        StoreProduct(size);

        // The guest's flags are in the state, and division leaves them as they were but for AF, which Zen sets.
        if ((_needed[i + 1] & RflagsBits.AF) != 0)
            _a.OrByte(HostAssembler.Rbx, CpuState.StatusFlagsOffset + 1, (int)Flags.Af >> 8);
        _flagsInHost = false;
        return true;
    }

    private bool EmitCompareExchange(in Instruction instruction, int i)
    {
        if (instruction.Op0Kind != OpKind.Memory)
            return false;
        Instruction renamed = instruction;
        renamed.HasLockPrefix = false;
        PlaceOperand(ref renamed, instruction, i, write: true);
        Register source = instruction.Op1Register;
        renamed.Op1Register = RegisterMap.AtWidth(HostRegister(RegisterMap.GuestOf(source), HostAssembler.Rdx), source);
        GetGuest(0, HostAssembler.Rax);
        if (!_a.TryEncode(renamed))
            return false;
        SetGuest(0, 8, HostAssembler.Rax);
        _flagsInHost = true;
        _flagsInState = false;
        return true;
    }

    private bool EmitLoadAhFromFlags()
    {
        ClobberFlags(FlagLiveness.Status);
        _a.LoadZeroExtended8(HostAssembler.Rcx, HostAssembler.Rbx, CpuState.StatusFlagsOffset + 1);
        _a.ShiftLeft(4, HostAssembler.Rcx, 8);
        GetGuest(0, HostAssembler.Rax);
        _a.AluImmediate(HostAlu.And, 8, HostAssembler.Rax, ~0xFF00);
        _a.Alu(HostAlu.Or, 8, HostAssembler.Rax, HostAssembler.Rcx);
        _a.AluImmediate(HostAlu.Or, 8, HostAssembler.Rax, 0x200);
        SetGuest(0, 8, HostAssembler.Rax);
        return true;
    }

    private bool EmitStoreAhIntoFlags()
    {
        ClobberFlags(FlagLiveness.Status);
        GetGuest(0, HostAssembler.Rax);
        _a.AluImmediate(HostAlu.And, 4, HostAssembler.Rax, 0xD500);
        _a.ShiftRight(4, HostAssembler.Rax, 8);
        _a.StoreByte(HostAssembler.Rax, HostAssembler.Rbx, CpuState.StatusFlagsOffset + 1);
        _flagsInState = true;
        return true;
    }
}
