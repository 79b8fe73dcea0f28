namespace X86Virt.Engine.Processor;

/// <summary>
/// The shadow return stack, which is the host's own: a guest call pushes its return address and calls the host code, so that the host's
/// processor predicts the return. A guest return goes by it if the address on it is the one that the guest's stack gives, else by lookup.
/// Leaving translated code empties the stack, so that nothing on it outlives a translation, a mapping or a mode.
/// </summary>
internal sealed unsafe partial class Translator
{
    private bool HasReturnStack => (_features & (TranslationFeatures.ReturnStack | TranslationFeatures.InlineLookup)) == (TranslationFeatures.ReturnStack | TranslationFeatures.InlineLookup);

    /// <summary>Whether a call that returns to an address goes on the stack. One that the return would fault on does not.</summary>
    private bool Remembers(ulong next) => HasReturnStack && Reachable(next);

    /// <summary>Calls the unit at <paramref name="target"/>, or the one whose host code <see cref="CpuState.JumpTarget"/> names, and goes on behind.</summary>
    private void EmitRememberedCall(bool direct, ulong target, ulong next)
    {
        bool inPage = direct && SamePage(target);
        if (direct && !inPage)
            EmitFindConstant(target);
        _a.AluLoad(HostAlu.Cmp, 8, HostAssembler.Rsp, HostAssembler.Rbx, CpuState.ReturnStackLimitOffset);
        byte* full = _a.JumpIf(HostCondition.BelowOrEqual);
        _stubs[_stubCount++] = new Stub { Kind = StubKind.Full, Jump = full, Resume = _a.Cursor };
        if ((long)next == (int)next)
        {
            _a.PushImmediate((int)next);
        }
        else
        {
            _a.MoveImmediate(HostAssembler.Rax, next);
            _a.Push(HostAssembler.Rax);
        }
        if (inPage)
            AddExit(StubKind.Continuation, _a.Call(), target);
        else
            _a.CallMemory(HostAssembler.Rbx, direct ? HostOf(target) : CpuState.JumpTargetOffset);
        _a.Pop(HostAssembler.Rax);
        EmitGoto(next);
    }

    /// <summary>Returns to the address in RAX.</summary>
    private void EmitRememberedReturn(int i)
    {
        _a.AluStore(HostAlu.Cmp, 8, HostAssembler.Rsp, sizeof(ulong), HostAssembler.Rax);
        byte* miss = _a.JumpIf(HostCondition.NotEqual);
        _stubs[_stubCount++] = new Stub { Kind = StubKind.ReturnMiss, Jump = miss, Op = _ops + i };
        ReleaseReturn(i);
        _a.Return();
    }

    private void EmptyReturnStack() => _a.Load(8, HostAssembler.Rsp, HostAssembler.Rbx, CpuState.ReturnStackBaseOffset);
}
