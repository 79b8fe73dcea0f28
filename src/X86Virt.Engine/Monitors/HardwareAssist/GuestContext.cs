using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Monitors;

/// <summary>
/// Moves the guest's state between the machine's processor, which is the monitor's record of it and what people look at, and the silicon that
/// executes it: by way of the VMCB for what VMRUN and VMLOAD load, and registers that they leave alone directly.
/// </summary>
internal sealed unsafe class GuestContext(Cpu guest, Cpu silicon, PagingLevels paging, Vmcb* vmcb)
{
    private readonly Cpu _guest = guest, _silicon = silicon;
    private readonly PagingLevels _paging = paging;
    private readonly Vmcb* _vmcb = vmcb;

    /// <summary>To the silicon, which is to enter the guest next.</summary>
    public void Load()
    {
        CpuState* g = _guest.State, s = _silicon.State;
        Vmcb* v = _vmcb;
        v->Clean = VmcbClean.None;
        v->Es = *CpuState.Seg(g, Segment.Es);
        v->Cs = *CpuState.Seg(g, Segment.Cs);
        v->Ss = *CpuState.Seg(g, Segment.Ss);
        v->Ds = *CpuState.Seg(g, Segment.Ds);
        v->Fs = *CpuState.Seg(g, Segment.Fs);
        v->Gs = *CpuState.Seg(g, Segment.Gs);
        v->Ldtr = *CpuState.Seg(g, Segment.Ldtr);
        v->Tr = *CpuState.Seg(g, Segment.Tr);
        v->Gdtr = new SegmentRegister { Base = g->Gdtr.Base, Limit = g->Gdtr.Limit };
        v->Idtr = new SegmentRegister { Base = g->Idtr.Base, Limit = g->Idtr.Limit };
        v->Cpl = g->Cpl;
        _paging.Current.LoadControls(g, v);
        v->Cr2 = g->Cr2;
        v->Dr6 = g->Dr[6];
        v->Dr7 = g->Dr[7];
        v->Rflags = Flags.Rflags(g);
        v->Rip = g->Rip;
        v->Rsp = g->Rsp;
        v->Rax = g->Rax;
        v->Star = g->Star;
        v->LStar = g->LStar;
        v->CStar = g->CStar;
        v->SfMask = g->SfMask;
        v->KernelGsBase = g->KernelGsBase;
        v->SysenterCs = g->SysenterCs;
        v->SysenterEsp = g->SysenterEsp;
        v->SysenterEip = g->SysenterEip;
        v->TscOffset = g->TscOffset + (g->GuestMode ? _guest.Svm!.GuestTimeStampOffset : 0);
        v->InterruptShadow = InstructionBoundary.Shadow(g) != InterruptShadow.None ? 1u : 0;
        v->VirtualInterrupt.TaskPriority = _guest.TaskPriority;
        _silicon.Svm!.LoadRest(v);
        CopyRegisters(g, s);
    }

    /// <summary>From the silicon, which has left the guest.</summary>
    public void Save()
    {
        CpuState* g = _guest.State, s = _silicon.State;
        Vmcb* v = _vmcb;
        _silicon.Svm!.SaveRest(v);
        *CpuState.Seg(g, Segment.Es) = v->Es;
        *CpuState.Seg(g, Segment.Cs) = v->Cs;
        *CpuState.Seg(g, Segment.Ss) = v->Ss;
        *CpuState.Seg(g, Segment.Ds) = v->Ds;
        *CpuState.Seg(g, Segment.Fs) = v->Fs;
        *CpuState.Seg(g, Segment.Gs) = v->Gs;
        *CpuState.Seg(g, Segment.Ldtr) = v->Ldtr;
        *CpuState.Seg(g, Segment.Tr) = v->Tr;
        g->Gdtr.Base = v->Gdtr.Base;
        g->Gdtr.Limit = v->Gdtr.Limit;
        g->Idtr.Base = v->Idtr.Base;
        g->Idtr.Limit = v->Idtr.Limit;
        g->Cpl = v->Cpl;
        _paging.Current.SaveControls(v, g);
        g->Cr2 = v->Cr2;
        g->Dr[6] = v->Dr6;
        g->Dr[7] = v->Dr7;
        g->Rip = v->Rip;
        g->Star = v->Star;
        g->LStar = v->LStar;
        g->CStar = v->CStar;
        g->SfMask = v->SfMask;
        g->KernelGsBase = v->KernelGsBase;
        g->SysenterCs = v->SysenterCs;
        g->SysenterEsp = v->SysenterEsp;
        g->SysenterEip = v->SysenterEip;
        CopyRegisters(s, g);
        g->Rsp = v->Rsp;
        g->Rax = v->Rax;
        SaveFlags(g, v);
        if (_guest.TaskPriority != v->VirtualInterrupt.TaskPriority)
            _guest.TaskPriority = v->VirtualInterrupt.TaskPriority;
        if (_paging.Own.ChangesUnseen && _guest.Nested == null && (g->Cr0 & Cr0.Pg) != 0 && (g->Cr4 & Cr4.Pae) != 0 && !g->LongMode)
            DirectoryPointers.Load(_guest, g->Cr3);
        g->ForgetDerived();
        ModeChange.Update(_guest);
    }

    private static void SaveFlags(CpuState* g, Vmcb* v)
    {
        g->StatusFlags = Flags.FromRflags(v->Rflags);
        g->SystemFlags = ((uint)v->Rflags & ~(Flags.RflagsStatus | Flags.Rf)) | 2;
        InstructionBoundary.Clear(g);
        InstructionBoundary.SetResume(g, null, (v->Rflags & Flags.Rf) != 0);
        if ((v->InterruptShadow & 1) != 0)
            g->Shadow = InterruptShadow.Sti;
        FlagsChange.Watch(g);
    }

    /// <summary>What is the guest's for as long as no other is entered.</summary>
    private static void CopyRegisters(CpuState* from, CpuState* to)
    {
        for (int i = 0; i < 16; i++)
            to->Gpr[i] = from->Gpr[i];
        for (int i = 0; i < 4; i++)
            to->Dr[i] = from->Dr[i];
        to->Xcr0 = from->Xcr0;
        to->TscAux = from->TscAux;
        to->DebugCtl = from->DebugCtl;
        to->LastBranches = from->LastBranches;
        to->MonitorArmed = from->MonitorArmed;
        if (from->MonitorArmed)
        {
            to->MonitorLine = from->MonitorLine;
            for (int i = 0; i < 8; i++)
                to->MonitorContent[i] = from->MonitorContent[i];
        }
        to->RandomState = from->RandomState;
        to->Mxcsr = from->Mxcsr;
        Buffer.MemoryCopy(from->Fx, to->Fx, 512, 512);
        Buffer.MemoryCopy(from->Vectors, to->Vectors, 16 * CpuState.VectorSize, 16 * CpuState.VectorSize);
    }
}
