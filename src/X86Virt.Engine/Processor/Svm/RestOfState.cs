namespace X86Virt.Engine.Processor;

/// <summary>The state that VMRUN and #VMEXIT leave where it is: what VMLOAD and VMSAVE move (AMD volume 2, 15.5.1 and 15.5.2).</summary>
internal sealed unsafe partial class SvmUnit
{
    /// <summary>VMLOAD.</summary>
    public void LoadRest(Vmcb* v)
    {
        CpuState* s = _cpu.State;
        *CpuState.Seg(s, Segment.Fs) = Loaded(v->Fs);
        *CpuState.Seg(s, Segment.Gs) = Loaded(v->Gs);
        *CpuState.Seg(s, Segment.Ldtr) = Loaded(v->Ldtr);
        *CpuState.Seg(s, Segment.Tr) = Loaded(v->Tr);
        s->Star = v->Star;
        s->LStar = SignExtend(v->LStar);
        s->CStar = SignExtend(v->CStar);
        s->SfMask = (uint)v->SfMask;
        s->KernelGsBase = SignExtend(v->KernelGsBase);
        s->SysenterCs = (uint)v->SysenterCs;
        s->SysenterEsp = SignExtend(v->SysenterEsp);
        s->SysenterEip = SignExtend(v->SysenterEip);
        s->ForgetDerived();
        ModeChange.Update(_cpu);
    }

    /// <summary>VMSAVE.</summary>
    public void SaveRest(Vmcb* v)
    {
        CpuState* s = _cpu.State;
        v->Fs = *CpuState.Seg(s, Segment.Fs);
        v->Gs = *CpuState.Seg(s, Segment.Gs);
        v->Ldtr = *CpuState.Seg(s, Segment.Ldtr);
        v->Tr = *CpuState.Seg(s, Segment.Tr);
        v->Star = s->Star;
        v->LStar = s->LStar;
        v->CStar = s->CStar;
        v->SfMask = s->SfMask;
        v->KernelGsBase = s->KernelGsBase;
        v->SysenterCs = s->SysenterCs;
        v->SysenterEsp = s->SysenterEsp;
        v->SysenterEip = s->SysenterEip;
    }

    private SegmentRegister Loaded(SegmentRegister r)
    {
        r.Attributes &= (SegmentAttributes)0xFFF;
        r.Base = SignExtend(r.Base);
        return r;
    }

    /// <summary>Addresses are brought into the processor's canonical form, whatever the host's paging (AMD volume 2, 15.5.1).</summary>
    private ulong SignExtend(ulong address)
    {
        int shift = _cpu.Model.Has(ProcessorFeature.La57) ? 7 : 16;
        return (ulong)((long)(address << shift) >> shift);
    }
}
