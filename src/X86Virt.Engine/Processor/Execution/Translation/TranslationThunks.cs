using Iced.Intel;
using X86Virt.Engine.Memory;

namespace X86Virt.Engine.Processor;

/// <summary>Why translated code came back.</summary>
internal enum TranslationExit
{
    /// <summary>RIP is set: find the next translation, and chain <see cref="CpuState.ExitLink"/> to it.</summary>
    Dispatch,

    /// <summary>Execute <see cref="CpuState.ExitOp"/>, then go on at <see cref="CpuState.ExitResume"/>.</summary>
    Callout,

    /// <summary>Have the x87 registers loaded, then go on at <see cref="CpuState.ExitResume"/>.</summary>
    LoadX87,
}

/// <summary>The code that enters and leaves translated code, and moves the guest's registers between state and host.</summary>
internal sealed unsafe class TranslationThunks
{
    private const int HostMxcsr = 0x1F80;

    /// <summary>Bytes of the host's stack for calls that have not returned; each takes 16.</summary>
    private const int ReturnStackSize = 64 << 10;

    private readonly HostAssembler _assembler;
    private byte* _returned;

    public TranslationThunks(ExecutableMemory memory, HostAssembler assembler)
    {
        _assembler = assembler;
        HostAssembler a = assembler;
        a.Cursor = memory.WriteView;
        int[] saved = OperatingSystem.IsWindows() ? [3, 5, 6, 7, 12, 13, 14, 15] : [3, 5, 12, 13, 14, 15];
        int state = OperatingSystem.IsWindows() ? 1 : 7, target = OperatingSystem.IsWindows() ? 2 : 6;

        byte* returned = a.Cursor;
        WriteReturned();
        byte* enter = a.Cursor;
        foreach (int register in saved)
            a.Push(register);
        a.Move(8, HostAssembler.Rbx, state);
        a.Move(8, HostAssembler.Rax, target);
        a.PushImmediate(0);
        a.LeaOf(HostAssembler.Rcx, returned);
        a.Push(HostAssembler.Rcx);
        a.Store(8, HostAssembler.Rsp, HostAssembler.Rbx, CpuState.ReturnStackBaseOffset);
        a.Lea(8, HostAssembler.Rcx, HostAssembler.Rsp, -ReturnStackSize);
        a.Store(8, HostAssembler.Rcx, HostAssembler.Rbx, CpuState.ReturnStackLimitOffset);
        for (int guest = 0; guest < 16; guest++)
        {
            if (RegisterMap.HostOf(guest) >= 0)
                a.Load(8, RegisterMap.HostOf(guest), HostAssembler.Rbx, guest * 8);
        }
        a.TestByte(HostAssembler.Rbx, CpuState.LiveUnitsOffset, (int)DataUnits.X87);
        byte* noX87 = a.JumpIf(HostCondition.Equal);
        a.Encode(Instruction.Create(Code.Frstor_m108byte, State(CpuState.HostX87Offset)));
        a.Link(noX87);
        a.JumpRegister(HostAssembler.Rax);

        LoadVectors = a.Cursor;
        WriteLoadVectors();
        byte* unload = a.Cursor;
        WriteUnload();

        Dispatch = a.Cursor;
        a.Link(_returned);
        a.Store(4, HostAssembler.Rax, HostAssembler.Rbx, CpuState.ExitLinkOffset);
        a.MoveImmediate(HostAssembler.Rax, (ulong)TranslationExit.Dispatch);
        byte* leave = a.Jump();
        LoadX87 = a.Cursor;
        a.Store(4, HostAssembler.Rcx, HostAssembler.Rbx, CpuState.ExitResumeOffset);
        a.MoveImmediate(HostAssembler.Rax, (ulong)TranslationExit.LoadX87);
        byte* leaveToo = a.Jump();
        Callout = a.Cursor;
        a.Store(4, HostAssembler.Rax, HostAssembler.Rbx, CpuState.ExitOpOffset);
        a.Store(4, HostAssembler.Rcx, HostAssembler.Rbx, CpuState.ExitResumeOffset);
        a.MoveImmediate(HostAssembler.Rax, (ulong)TranslationExit.Callout);
        a.Link(leave);
        a.Link(leaveToo);
        a.Load(8, HostAssembler.Rsp, HostAssembler.Rbx, CpuState.ReturnStackBaseOffset);
        a.Lea(8, HostAssembler.Rsp, HostAssembler.Rsp, 2 * sizeof(ulong));
        a.TestByte(HostAssembler.Rbx, CpuState.LiveUnitsOffset, 0xFF);
        byte* nothingLive = a.JumpIf(HostCondition.Equal);
        a.CallTo(unload);
        a.Link(nothingLive);
        for (int guest = 0; guest < 16; guest++)
        {
            if (RegisterMap.HostOf(guest) >= 0)
                a.Store(8, RegisterMap.HostOf(guest), HostAssembler.Rbx, guest * 8);
        }
        foreach (int register in saved.Reverse())
            a.Pop(register);
        a.Return();

        Enter = (delegate* unmanaged[SuppressGCTransition]<CpuState*, byte*, int>)memory.ToExecutable(enter);
    }

    /// <summary>Enters translated code: state, executable address; returns a <see cref="TranslationExit"/>.</summary>
    public delegate* unmanaged[SuppressGCTransition]<CpuState*, byte*, int> Enter { get; }

    /// <summary>Leave to have an entry executed: EAX is its offset, ECX where to go on (write view).</summary>
    public byte* Callout { get; }

    /// <summary>Leave with RIP set: EAX is the jump to chain, or 0 (write view).</summary>
    public byte* Dispatch { get; }

    /// <summary>Leave to have the x87 registers loaded: ECX is where to go on (write view).</summary>
    public byte* LoadX87 { get; }

    /// <summary>Call to load the guest's vector registers and MXCSR (write view).</summary>
    public byte* LoadVectors { get; }

    private static MemoryOperand State(int offset) => new(RegisterMap.State, offset);

    private static bool Wide => (HostFeatures.InstructionSets & InstructionSets.Avx) != 0;

    /// <summary>Where a return goes that finds no call remembered, but its address equal to the 0 that stands for none: RAX is where the guest goes.</summary>
    private void WriteReturned()
    {
        HostAssembler a = _assembler;
        a.Store(8, HostAssembler.Rax, HostAssembler.Rbx, CpuState.RipOffset);
        a.MoveImmediate(HostAssembler.Rax, 0);
        _returned = a.Jump();
    }

    private void WriteLoadVectors()
    {
        HostAssembler a = _assembler;
        a.Encode(Instruction.Create(Code.Ldmxcsr_m32, State(CpuState.MxcsrOffset)));
        for (int i = 0; i < 16; i++)
        {
            MemoryOperand place = State(CpuState.VectorsOffset + i * CpuState.VectorSize);
            a.Encode(Wide
                ? Instruction.Create(Code.VEX_Vmovdqu_ymm_ymmm256, Register.YMM0 + i, place)
                : Instruction.Create(Code.Movdqu_xmm_xmmm128, Register.XMM0 + i, place));
        }
        a.Encode(Instruction.Create(Code.Or_rm8_imm8, State(CpuState.LiveUnitsOffset), (int)DataUnits.Vector));
        a.Return();
    }

    /// <summary>
    /// Brings live units' registers back to the state. The x87 image stays marked live: the C# side takes it apart. Leaves the host's units as
    /// its calling convention wants them.
    /// </summary>
    private void WriteUnload()
    {
        HostAssembler a = _assembler;
        a.TestByte(HostAssembler.Rbx, CpuState.LiveUnitsOffset, (int)DataUnits.X87);
        byte* noX87 = a.JumpIf(HostCondition.Equal);
        a.Encode(Instruction.Create(Code.Fnsave_m108byte, State(CpuState.HostX87Offset)));
        a.Link(noX87);
        a.TestByte(HostAssembler.Rbx, CpuState.LiveUnitsOffset, (int)DataUnits.Vector);
        byte* noVectors = a.JumpIf(HostCondition.Equal);
        a.Encode(Instruction.Create(Code.Stmxcsr_m32, State(CpuState.MxcsrOffset)));
        for (int i = 0; i < 16; i++)
        {
            MemoryOperand place = State(CpuState.VectorsOffset + i * CpuState.VectorSize);
            a.Encode(Wide
                ? Instruction.Create(Code.VEX_Vmovdqu_ymmm256_ymm, place, Register.YMM0 + i)
                : Instruction.Create(Code.Movdqu_xmmm128_xmm, place, Register.XMM0 + i));
        }
        if (Wide)
            a.Encode(Instruction.Create(Code.VEX_Vzeroupper));
        a.Encode(Instruction.Create(Code.Mov_rm32_imm32, State(CpuState.HostMxcsrOffset), HostMxcsr));
        a.Encode(Instruction.Create(Code.Ldmxcsr_m32, State(CpuState.HostMxcsrOffset)));
        a.Encode(Instruction.Create(Code.And_rm8_imm8, State(CpuState.LiveUnitsOffset), (int)DataUnits.X87));
        a.Link(noVectors);
        a.Return();
    }
}
