using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>SYSCALL and SYSRET in 64-bit mode, by the path that a handler derived (<see cref="SystemCallPath"/>).</summary>
internal sealed unsafe partial class Translator
{
    private const int KernelLevel = CpuState.SystemCallsOffset + SystemCallPath.KernelOffset;
    private const int UserLevel = CpuState.SystemCallsOffset + SystemCallPath.UserOffset;

    private bool EmitSystemCall(int i)
    {
        if ((_mode & CodeMode.SizeMask) != CodeMode.Code64)
            return false;
        SaveFlags();
        EmitTestReady(i);
        EmitComposeFlags();
        _a.Load(4, HostAssembler.Rax, HostAssembler.Rbx, CpuState.SystemFlagsOffset);
        _a.Move(4, HostAssembler.Rdx, HostAssembler.Rax);
        _a.AluImmediate(HostAlu.And, 4, HostAssembler.Rdx, ~(int)(Flags.Rf | Flags.Vm));
        _a.Alu(HostAlu.Or, 4, HostAssembler.Rcx, HostAssembler.Rdx);
        SetGuest(11, 8, HostAssembler.Rcx);
        _a.AluLoad(HostAlu.And, 4, HostAssembler.Rax, HostAssembler.Rbx, CpuState.SystemCallsOffset + SystemCallPath.KeptSystemOffset);
        _a.Store(4, HostAssembler.Rax, HostAssembler.Rbx, CpuState.SystemFlagsOffset);
        _a.Load(4, HostAssembler.Rax, HostAssembler.Rbx, CpuState.SystemCallsOffset + SystemCallPath.KeptStatusOffset);
        _a.AluStore(HostAlu.And, 4, HostAssembler.Rbx, CpuState.StatusFlagsOffset, HostAssembler.Rax);
        _a.MoveImmediate(HostAssembler.Rax, _block->Rip + _block->Bytes);
        SetGuest(1, 8, HostAssembler.Rax);
        _a.AluImmediateMemory(HostAlu.Add, 8, HostAssembler.Rbx, CpuState.SystemCallsOffset + SystemCallPath.CountOffset, 1);
        // Level 0 finds SMAP in force or not; which TLB and which access mode that means is in the path.
        EmitLevel(KernelLevel, 0);
        _a.Load(8, HostAssembler.Rax, HostAssembler.Rbx, CpuState.LStarOffset);
        EmitGotoComputed();
        return true;
    }

    private bool EmitSystemReturn(int i)
    {
        const int Plain = (int)(Flags.If | Flags.Df), Others = (int)(Flags.Tf | Flags.IoplMask | Flags.Nt | Flags.Ac | Flags.Id | Flags.Vif | Flags.Vip);
        if ((_mode & CodeMode.SizeMask) != CodeMode.Code64 || _user)
            return false;
        ClobberFlags(RflagsBits.None);
        EmitTestReady(i);
        _a.TestByte(HostAssembler.Rbx, CpuState.CplOffset, 3);
        AddSlow(_a.JumpIf(HostCondition.NotEqual), i);
        GetGuest(1, HostAssembler.Rcx);
        _a.Move(8, HostAssembler.Rdx, HostAssembler.Rcx);
        _a.ShiftLeft(8, HostAssembler.Rdx, 16);
        _a.ShiftRightArithmetic(8, HostAssembler.Rdx, 16);
        _a.Alu(HostAlu.Cmp, 8, HostAssembler.Rdx, HostAssembler.Rcx);
        AddSlow(_a.JumpIf(HostCondition.NotEqual), i);

        // System flags that stay as they are, but for DF and IF, and IF only while no interrupt waits.
        GetGuest(11, HostAssembler.Rdx);
        _a.TestImmediate(HostAssembler.Rdx, (int)Flags.Ac);
        AddSlow(_a.JumpIf(HostCondition.NotEqual), i);
        _a.Load(4, HostAssembler.Rax, HostAssembler.Rbx, CpuState.SystemFlagsOffset);
        _a.Move(4, HostAssembler.Rcx, HostAssembler.Rdx);
        _a.Alu(HostAlu.Xor, 4, HostAssembler.Rcx, HostAssembler.Rax);
        _a.TestImmediate(HostAssembler.Rcx, Others);
        AddSlow(_a.JumpIf(HostCondition.NotEqual), i);
        _a.AluImmediate(HostAlu.And, 4, HostAssembler.Rcx, Plain);
        _a.TestImmediate(HostAssembler.Rcx, (int)Flags.If);
        byte* same = _a.JumpIf(HostCondition.Equal);
        _a.TestByte(HostAssembler.Rbx, CpuState.InterruptDeferredOffset, 1);
        AddSlow(_a.JumpIf(HostCondition.NotEqual), i);
        _a.Link(same);
        _a.Alu(HostAlu.Xor, 4, HostAssembler.Rax, HostAssembler.Rcx);
        _a.Store(4, HostAssembler.Rax, HostAssembler.Rbx, CpuState.SystemFlagsOffset);
        _a.Move(4, HostAssembler.Rax, HostAssembler.Rdx);
        EmitStoreStatus();

        EmitLevel(UserLevel, 3);
        GetGuest(1, HostAssembler.Rax);
        EmitGotoComputed();
        return true;
    }

    private void EmitTestReady(int i)
    {
        _a.TestByte(HostAssembler.Rbx, CpuState.SystemCallsOffset + SystemCallPath.ReadyOffset, 1);
        AddSlow(_a.JumpIf(HostCondition.Equal), i);
    }

    /// <summary>Enters a privilege level: segments, access mode, and what goes with it.</summary>
    private void EmitLevel(int level, int cpl)
    {
        CopyState(level + SystemCallPath.Level.CsOffset, CpuState.SegmentsOffset + (int)Segment.Cs * sizeof(SegmentRegister));
        CopyState(level + SystemCallPath.Level.CsOffset + 8, CpuState.SegmentsOffset + (int)Segment.Cs * sizeof(SegmentRegister) + 8);
        CopyState(level + SystemCallPath.Level.SsOffset, CpuState.SegmentsOffset + (int)Segment.Ss * sizeof(SegmentRegister));
        CopyState(level + SystemCallPath.Level.SsOffset + 8, CpuState.SegmentsOffset + (int)Segment.Ss * sizeof(SegmentRegister) + 8);
        CopyState(level + SystemCallPath.Level.TlbOffset, CpuState.TlbFieldOffset);
        _a.StoreByteImmediate(HostAssembler.Rbx, CpuState.CplOffset, cpl);
        _a.Load(8, HostAssembler.Rcx, HostAssembler.Rbx, level + SystemCallPath.Level.LookupKeyOffset);
        _a.Load(8, HostAssembler.Rax, HostAssembler.Rbx, CpuState.LookupKeyOffset);
        _a.ShiftRight(8, HostAssembler.Rax, ModeChange.LookupGenerationBit);
        _a.ShiftLeft(8, HostAssembler.Rax, ModeChange.LookupGenerationBit);
        _a.Alu(HostAlu.Or, 8, HostAssembler.Rax, HostAssembler.Rcx);
        _a.Store(8, HostAssembler.Rax, HostAssembler.Rbx, CpuState.LookupKeyOffset);
        _a.Load(4, HostAssembler.Rax, HostAssembler.Rbx, level + SystemCallPath.Level.AccessModeOffset);
        _a.StoreByte(HostAssembler.Rax, HostAssembler.Rbx, CpuState.AccessModeOffset);
    }

    private void CopyState(int from, int to)
    {
        _a.Load(8, HostAssembler.Rax, HostAssembler.Rbx, from);
        _a.Store(8, HostAssembler.Rax, HostAssembler.Rbx, to);
    }

    /// <summary>To the address in RAX, which becomes RIP; where the table does not know it, the dispatch loop finds it.</summary>
    private void EmitGotoComputed()
    {
        _a.Store(8, HostAssembler.Rax, HostAssembler.Rbx, CpuState.RipOffset);
        EmitFind();
        _stubs[_stubCount++] = new Stub { Kind = StubKind.Dispatch, Jump = _a.JumpIf(HostCondition.NotEqual) };
        EmitJumpToEntry();
    }
}
