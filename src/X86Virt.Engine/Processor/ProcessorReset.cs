namespace X86Virt.Engine.Processor;

/// <summary>Register values after RESET (AMD volume 2, table 14-1).</summary>
internal static unsafe class ProcessorReset
{
    private const ulong DefaultPat = 0x0007_0406_0007_0406;

    // IA32_MISC_ENABLE (Intel's processors).
    private const ulong FastStrings = 1, BranchTraceUnavailable = 1 << 11, EventSamplingUnavailable = 1 << 12, MonitorEnable = 1 << 18;

    private const SegmentAttributes RealData = SegmentAttributes.Present | SegmentAttributes.CodeOrData | SegmentAttributes.Writable | SegmentAttributes.Accessed;

    public static void Apply(Cpu cpu)
    {
        CpuState* s = cpu.State;
        s->Rdx = cpu.Model.Signature;
        s->Rip = 0xFFF0;
        s->SystemFlags = 2;
        s->Cr0 = Cr0.Et | Cr0.Nw | Cr0.Cd;
        s->Xcr0 = 1;
        s->Dr[6] = 0xFFFF_0FF0;
        s->Dr[7] = 0x400;
        s->Pat = DefaultPat;
        s->Mxcsr = 0x1F80;
        s->MiscEnable = FastStrings | BranchTraceUnavailable | EventSamplingUnavailable | (cpu.Model.Has(ProcessorFeature.Monitor) ? MonitorEnable : 0);
        AmdRegisters.Reset(cpu);
        s->Gdtr.Limit = 0xFFFF;
        s->Idtr.Limit = 0xFFFF;
        for (int i = 0; i < 6; i++)
            *CpuState.Seg(s, (Segment)i) = new SegmentRegister { Limit = 0xFFFF, Attributes = RealData };
        *CpuState.Seg(s, Segment.Cs) = new SegmentRegister { Selector = 0xF000, Base = 0xFFFF_0000, Limit = 0xFFFF, Attributes = RealData | SegmentAttributes.Code };
        *CpuState.Seg(s, Segment.Ldtr) = new SegmentRegister { Limit = 0xFFFF, Attributes = SegmentAttributes.Present | (SegmentAttributes)2 };
        *CpuState.Seg(s, Segment.Tr) = new SegmentRegister { Limit = 0xFFFF, Attributes = SegmentAttributes.Present | (SegmentAttributes)0xB };

        // x87 as after FNINIT, but for the tag word that RESET leaves "zero" (abridged: all valid).
        *(ushort*)s->Fx = 0x0040;
        s->Fx[4] = 0xFF;
    }
}
