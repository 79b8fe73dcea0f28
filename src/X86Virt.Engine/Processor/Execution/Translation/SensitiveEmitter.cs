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
        _a.LoadZeroExtended8(HostAssembler.Rcx, HostAssembler.Rbx, CpuState.StatusFlagsOffset + 1);
        _a.LoadZeroExtended8(HostAssembler.Rdx, HostAssembler.Rbx, CpuState.StatusFlagsOffset);
        _a.ShiftLeft(4, HostAssembler.Rdx, 11);
        _a.Alu(HostAlu.Or, 4, HostAssembler.Rcx, HostAssembler.Rdx);
        _a.Load(4, HostAssembler.Rdx, HostAssembler.Rbx, CpuState.SystemFlagsOffset);
        _a.AluImmediate(HostAlu.And, 4, HostAssembler.Rdx, ~(int)(Flags.Rf | Flags.Vm));
        _a.Alu(HostAlu.Or, 4, HostAssembler.Rcx, HostAssembler.Rdx);
        _a.Store(width, HostAssembler.Rcx, HostAssembler.Rax, 0);
        MoveStackPointer(-width);
        return true;
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
}
