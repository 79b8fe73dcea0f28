using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>In-TC sequences of sensitive instructions: what the guest sees of them is in the state.</summary>
internal sealed unsafe partial class Translator
{
    /// <summary>MOV from a segment register.</summary>
    private bool EmitReadSelector(in Instruction instruction)
    {
        int segment = instruction.Op1Register - Register.ES;
        _a.LoadZeroExtended16(HostAssembler.Rax, HostAssembler.Rbx, CpuState.SegmentsOffset + segment * sizeof(SegmentRegister) + SegmentRegister.SelectorOffset);
        SetGuest(RegisterMap.GuestOf(instruction.Op0Register), instruction.Op0Register.GetSize(), HostAssembler.Rax);
        return true;
    }

    private bool EmitPushFlags(int i)
    {
        int width = StackWidth;
        // They are wanted as they are kept in the state.
        ClobberFlags(FlagLiveness.Status);
        EmitStackAddress(-width, width, write: true, i);
        EmitComposeFlags();
        _a.Load(4, HostAssembler.Rdx, HostAssembler.Rbx, CpuState.SystemFlagsOffset);
        _a.AluImmediate(HostAlu.And, 4, HostAssembler.Rdx, ~(int)(Flags.Rf | Flags.Vm));
        _a.Alu(HostAlu.Or, 4, HostAssembler.Rcx, HostAssembler.Rdx);
        _a.Store(width, HostAssembler.Rcx, HostAssembler.Rax, 0);
        MoveStackPointer(-width);
        return true;
    }

    /// <summary>The status flags of the state as RFLAGS has them into RCX; spoils RDX.</summary>
    private void EmitComposeFlags()
    {
        _a.LoadZeroExtended8(HostAssembler.Rcx, HostAssembler.Rbx, CpuState.StatusFlagsOffset + 1);
        _a.LoadZeroExtended8(HostAssembler.Rdx, HostAssembler.Rbx, CpuState.StatusFlagsOffset);
        _a.ShiftLeft(4, HostAssembler.Rdx, 11);
        _a.Alu(HostAlu.Or, 4, HostAssembler.Rcx, HostAssembler.Rdx);
    }

    /// <summary>The status flags of the RFLAGS in RAX into the state; spoils RAX and RCX.</summary>
    private void EmitStoreStatus()
    {
        // SF, ZF, AF, PF and CF above, OF below.
        _a.Move(4, HostAssembler.Rcx, HostAssembler.Rax);
        _a.ShiftLeft(4, HostAssembler.Rcx, 8);
        _a.AluImmediate(HostAlu.And, 4, HostAssembler.Rcx, 0xD500);
        _a.ShiftRight(4, HostAssembler.Rax, 11);
        _a.AluImmediate(HostAlu.And, 4, HostAssembler.Rax, 1);
        _a.Alu(HostAlu.Or, 4, HostAssembler.Rax, HostAssembler.Rcx);
        _a.Store(2, HostAssembler.Rax, HostAssembler.Rbx, CpuState.StatusFlagsOffset);
    }

    /// <summary>CLI at CPL 0, whatever IOPL says; elsewhere it may fault or mean the virtual flag.</summary>
    private bool EmitClearInterruptFlag(int i)
    {
        if (_user)
            return false;
        ClobberFlags(_needed[i]);
        _a.TestByte(HostAssembler.Rbx, CpuState.CplOffset, 3);
        AddSlow(_a.JumpIf(HostCondition.NotEqual), i);
        _a.AluImmediateMemory(HostAlu.And, 4, HostAssembler.Rbx, CpuState.SystemFlagsOffset, ~(int)Flags.If);
        return true;
    }

    /// <summary>
    /// STI at CPL 0 while no interrupt waits: IF, and the shadow on the instruction behind, unless STI stands in one itself.
    /// </summary>
    private bool EmitSetInterruptFlag(int i)
    {
        if (_user)
            return false;
        ClobberFlags(_needed[i]);
        _a.TestByte(HostAssembler.Rbx, CpuState.CplOffset, 3);
        AddSlow(_a.JumpIf(HostCondition.NotEqual), i);
        _a.Load(4, HostAssembler.Rdx, HostAssembler.Rbx, CpuState.SystemFlagsOffset);
        _a.TestImmediate(HostAssembler.Rdx, (int)Flags.If);
        byte* isSet = _a.JumpIf(HostCondition.NotEqual);
        _a.TestByte(HostAssembler.Rbx, CpuState.InterruptDeferredOffset, 1);
        AddSlow(_a.JumpIf(HostCondition.NotEqual), i);
        _a.Load(8, HostAssembler.Rax, HostAssembler.Rbx, CpuState.DeadlineOffset);
        _a.AluLoad(HostAlu.Sub, 8, HostAssembler.Rax, HostAssembler.Rbx, CpuState.BudgetOffset);
        // The retired-instruction count in front of STI; it is the boundary of a shadow only then.
        int ahead = _block->Count - i - 1;
        _a.AluImmediate(HostAlu.Sub, 8, HostAssembler.Rax, ahead + 1);
        _a.AluLoad(HostAlu.Cmp, 8, HostAssembler.Rax, HostAssembler.Rbx, CpuState.BoundaryRetiredOffset);
        AddSlow(_a.JumpIf(HostCondition.Equal), i);
        _a.AluImmediate(HostAlu.Add, 8, HostAssembler.Rax, 1);
        _a.Store(8, HostAssembler.Rax, HostAssembler.Rbx, CpuState.BoundaryRetiredOffset);
        _a.StoreByteImmediate(HostAssembler.Rbx, CpuState.ShadowOffset, (int)InterruptShadow.Sti);
        _a.AluImmediate(HostAlu.And, 4, HostAssembler.Rdx, ~(int)Flags.Rf);
        _a.AluImmediate(HostAlu.Or, 4, HostAssembler.Rdx, (int)Flags.If);
        _a.Store(4, HostAssembler.Rdx, HostAssembler.Rbx, CpuState.SystemFlagsOffset);
        _a.Link(isSet);
        return true;
    }

    /// <summary>POPF at CPL 0 that changes no system flags but DF and IF, and IF only while no interrupt waits.</summary>
    private bool EmitPopFlags(int i)
    {
        const int Plain = (int)(Flags.If | Flags.Df), Others = (int)(Flags.Tf | Flags.IoplMask | Flags.Nt | Flags.Ac | Flags.Id);
        if (_user)
            return false;
        ClobberFlags(_needed[i]);
        _a.TestByte(HostAssembler.Rbx, CpuState.CplOffset, 3);
        AddSlow(_a.JumpIf(HostCondition.NotEqual), i);
        EmitLoadFromStack(i);
        _a.Load(4, HostAssembler.Rdx, HostAssembler.Rbx, CpuState.SystemFlagsOffset);
        _a.Move(4, HostAssembler.Rcx, HostAssembler.Rax);
        _a.Alu(HostAlu.Xor, 4, HostAssembler.Rcx, HostAssembler.Rdx);
        _a.TestImmediate(HostAssembler.Rcx, Others);
        AddSlow(_a.JumpIf(HostCondition.NotEqual), i);
        _a.AluImmediate(HostAlu.And, 4, HostAssembler.Rcx, Plain);
        _a.Alu(HostAlu.Xor, 4, HostAssembler.Rdx, HostAssembler.Rcx);
        _a.TestImmediate(HostAssembler.Rcx, (int)Flags.If);
        byte* same = _a.JumpIf(HostCondition.Equal);
        _a.TestByte(HostAssembler.Rbx, CpuState.InterruptDeferredOffset, 1);
        AddSlow(_a.JumpIf(HostCondition.NotEqual), i);
        _a.Link(same);
        _a.Store(4, HostAssembler.Rdx, HostAssembler.Rbx, CpuState.SystemFlagsOffset);
        EmitStoreStatus();
        MoveStackPointer(StackWidth);
        _flagsInHost = false;
        _flagsInState = true;
        return true;
    }

    /// <summary>CPUID of what it was asked last.</summary>
    private bool EmitCpuid(int i)
    {
        ClobberFlags(_needed[i]);
        GetGuest(0, HostAssembler.Rax);
        GetGuest(1, HostAssembler.Rcx);
        _a.Move(4, HostAssembler.Rax, HostAssembler.Rax);
        _a.ShiftLeft(8, HostAssembler.Rcx, 32);
        _a.Alu(HostAlu.Or, 8, HostAssembler.Rax, HostAssembler.Rcx);
        _a.AluLoad(HostAlu.Cmp, 8, HostAssembler.Rax, HostAssembler.Rbx, CpuState.CpuidKeyOffset);
        AddSlow(_a.JumpIf(HostCondition.NotEqual), i);
        _a.TestByte(HostAssembler.Rbx, CpuState.CpuidKnownOffset, 1);
        AddSlow(_a.JumpIf(HostCondition.Equal), i);
        _a.AluImmediateMemory(HostAlu.Add, 8, HostAssembler.Rbx, CpuState.CpuidCountOffset, 1);
        ReadOnlySpan<int> results = [0, 3, 1, 2];
        for (int k = 0; k < results.Length; k++)
        {
            _a.Load(4, HostAssembler.Rax, HostAssembler.Rbx, CpuState.CpuidValuesOffset + k * sizeof(uint));
            SetGuest(results[k], 8, HostAssembler.Rax);
        }
        return true;
    }

    /// <summary>SWAPGS at CPL 0.</summary>
    private bool EmitSwapGs(int i)
    {
        const int Base = CpuState.SegmentsOffset + (int)Segment.Gs * 16 + SegmentRegister.BaseOffset;
        if (_user || (_mode & CodeMode.SizeMask) != CodeMode.Code64)
            return false;
        ClobberFlags(_needed[i]);
        _a.TestByte(HostAssembler.Rbx, CpuState.CplOffset, 3);
        AddSlow(_a.JumpIf(HostCondition.NotEqual), i);
        _a.Load(8, HostAssembler.Rax, HostAssembler.Rbx, Base);
        _a.Load(8, HostAssembler.Rcx, HostAssembler.Rbx, CpuState.KernelGsBaseOffset);
        _a.Store(8, HostAssembler.Rax, HostAssembler.Rbx, CpuState.KernelGsBaseOffset);
        _a.Store(8, HostAssembler.Rcx, HostAssembler.Rbx, Base);
        _a.Store(8, HostAssembler.Rcx, HostAssembler.Rbx, CpuState.AddressBaseOffset + (int)Segment.Gs * sizeof(ulong));
        return true;
    }

    /// <summary>MOV from CR0, CR2, CR3 or CR4 at CPL 0, unless a hypervisor wants to know.</summary>
    private bool EmitReadControl(in Instruction instruction, int i)
    {
        int register = instruction.Op1Register - Register.CR0;
        int place = register switch { 0 => CpuState.Cr0Offset, 2 => CpuState.Cr2Offset, 3 => CpuState.Cr3Offset, 4 => CpuState.Cr4Offset, _ => -1 };
        if (_user || place < 0)
            return false;
        ClobberFlags(_needed[i]);
        _a.TestByte(HostAssembler.Rbx, CpuState.CplOffset, 3);
        AddSlow(_a.JumpIf(HostCondition.NotEqual), i);
        EmitTestIntercept(SvmExitCode.Cr0Read + (ulong)register, i);
        _a.AluImmediateMemory(HostAlu.Add, 8, HostAssembler.Rbx, CpuState.ControlReadCountOffset, 1);
        _a.Load(instruction.Op0Register.GetSize(), HostAssembler.Rax, HostAssembler.Rbx, place);
        SetGuest(RegisterMap.GuestOf(instruction.Op0Register), instruction.Op0Register.GetSize(), HostAssembler.Rax);
        return true;
    }

    private void EmitTestIntercept(SvmExitCode code, int i)
    {
        _a.TestByte(HostAssembler.Rbx, CpuState.InterceptsOffset + (int)code / 8, 1 << ((int)code & 7));
        AddSlow(_a.JumpIf(HostCondition.NotEqual), i);
    }

    /// <summary>RDTSC and RDTSCP where one instruction is one tick: the retired-instruction count, and what a handler found it to be off by.</summary>
    private bool EmitReadTimeStamp(in Instruction instruction, int i)
    {
        bool processor = instruction.Mnemonic == Mnemonic.Rdtscp;
        ClobberFlags(_needed[i]);
        _a.TestByte(HostAssembler.Rbx, CpuState.TimeStampKnownOffset, 1);
        AddSlow(_a.JumpIf(HostCondition.Equal), i);
        EmitTestIntercept(processor ? SvmExitCode.Rdtscp : SvmExitCode.Rdtsc, i);
        _a.AluImmediateMemory(HostAlu.Add, 8, HostAssembler.Rbx, CpuState.TimeStampCountOffset, 1);
        // It ends its block, so the budget is what it will be behind it.
        _a.Load(8, HostAssembler.Rax, HostAssembler.Rbx, CpuState.DeadlineOffset);
        _a.AluLoad(HostAlu.Sub, 8, HostAssembler.Rax, HostAssembler.Rbx, CpuState.BudgetOffset);
        _a.AluLoad(HostAlu.Add, 8, HostAssembler.Rax, HostAssembler.Rbx, CpuState.TimeStampBaseOffset);
        _a.Move(8, HostAssembler.Rdx, HostAssembler.Rax);
        _a.ShiftRight(8, HostAssembler.Rdx, 32);
        _a.Move(4, HostAssembler.Rax, HostAssembler.Rax);
        SetGuest(0, 8, HostAssembler.Rax);
        SetGuest(2, 8, HostAssembler.Rdx);
        if (!processor)
            return true;
        _a.Load(4, HostAssembler.Rax, HostAssembler.Rbx, CpuState.TscAuxOffset);
        SetGuest(1, 8, HostAssembler.Rax);
        return true;
    }
}
