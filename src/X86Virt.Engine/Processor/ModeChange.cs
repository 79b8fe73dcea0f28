namespace X86Virt.Engine.Processor;

/// <summary>
/// Derives what decoding and address generation depend on from the architectural state. Called after any change of CPL, CR0, CR4,
/// EFER, XCR0, RFLAGS.AC, RFLAGS.VM or a segment register.
/// </summary>
public static unsafe class ModeChange
{
    /// <summary>The access mode's lowest bit, and the generation's, in <see cref="CpuState.LookupKey"/>.</summary>
    private const int LookupAccess = 52;
    internal const int LookupGenerationBit = LookupAccess + 3;
    internal const ulong LookupGeneration = 1UL << LookupGenerationBit;

    /// <summary>In guest mode, whose addresses lead elsewhere.</summary>
    private const ulong LookupGuest = 1UL << (LookupAccess + 2);

    public static void Update(Cpu cpu)
    {
        CpuState* s = cpu.State;
        SegmentRegister* cs = CpuState.Seg(s, Segment.Cs);
        CodeMode mode;
        if (s->LongMode && cs->Long)
        {
            mode = CodeMode.Code64 | CodeMode.Flat;
            s->StackMask = ~0UL;
            for (int i = 0; i < 4; i++)
                s->AddressBase[i] = 0;
        }
        else
        {
            mode = cs->Big ? CodeMode.Code32 : CodeMode.Code16;
            bool big = CpuState.Seg(s, Segment.Ss)->Big;
            s->StackMask = big ? 0xFFFF_FFFF : 0xFFFF;
            if (big)
                mode |= CodeMode.Stack32;
            bool flat = s->ProtectedMode && !s->Virtual8086;
            for (int i = 0; i < 4; i++)
            {
                SegmentRegister* r = CpuState.Seg(s, (Segment)i);
                s->AddressBase[i] = r->Base;
                flat &= i == (int)Segment.Cs ? r->Base == 0 && r->Limit == uint.MaxValue : IsFlatData(r);
            }
            if (flat)
                mode |= CodeMode.Flat;
        }
        s->AddressBase[(int)Segment.Fs] = CpuState.Seg(s, Segment.Fs)->Base;
        s->AddressBase[(int)Segment.Gs] = CpuState.Seg(s, Segment.Gs)->Base;
        if (Intercept.Has(s, SvmExitCode.Pushf) || Intercept.Has(s, SvmExitCode.Popf) || Intercept.Has(s, SvmExitCode.Pause))
            mode |= CodeMode.Intercepts;
        s->Mode = mode | InLineUnits(s);
        if ((mode & CodeMode.SizeMask) != CodeMode.Code64)
            UpdateSimpleSegments(s);
        UpdateAccessMode(cpu);
    }

    /// <summary>The part of <see cref="Update"/> that a load of CS, SS and CPL makes necessary: between 64-bit code segments little changes.</summary>
    public static void CodeLoaded(Cpu cpu)
    {
        if (cpu.State->Code64 && CpuState.Seg(cpu.State, Segment.Cs)->Long)
            UpdateAccessMode(cpu);
        else
            Update(cpu);
    }

    /// <summary>
    /// Behind an instruction that may have changed exception masks, MXCSR's or the x87 control word's. Returns what its handler returns: the next
    /// entry, or the block's end if code must be looked up anew.
    /// </summary>
    public static Op* MasksLoaded(CpuState* s, Op* op) => UpdateUnits(s) ? Control.Complete(s, op) : op + 1;

    /// <summary>The part of <see cref="Update"/> that exception masks decide; true if the mode is another one now.</summary>
    public static bool UpdateUnits(CpuState* s)
    {
        CodeMode mode = (s->Mode & ~Units) | InLineUnits(s);
        if (mode == s->Mode)
            return false;
        s->Mode = mode;
        return true;
    }

    private const CodeMode Units = CodeMode.Sse | CodeMode.Avx | CodeMode.X87;
    private const uint MxcsrMasks = 0x1F80;

    /// <summary>The units whose instructions cannot fault but for memory operands.</summary>
    private static CodeMode InLineUnits(CpuState* s)
    {
        CodeMode units = 0;
        if ((s->Mxcsr & MxcsrMasks) == MxcsrMasks)
        {
            if (SseUnit.Ready(s))
                units |= CodeMode.Sse;
            if (AvxUnit.Ready(s))
                units |= CodeMode.Avx;
        }
        if (X87Unit.Ready(s) && (X87State.Control(s) & X87State.ExceptionFlags) == X87State.ExceptionFlags)
            units |= CodeMode.X87;
        return units;
    }

    /// <summary>The part of <see cref="Update"/> that a load of ES, SS, DS, FS or GS makes necessary.</summary>
    public static void SegmentLoaded(CpuState* s, Segment segment)
    {
        if (!s->Code64)
            Update(Cpu.Of(s));
        else if (segment >= Segment.Fs)
            s->AddressBase[(int)segment] = CpuState.Seg(s, segment)->Base;
    }

    /// <summary>Which segments translated code may access after a limit check alone.</summary>
    private static void UpdateSimpleSegments(CpuState* s)
    {
        bool typed = s->ProtectedMode && !s->Virtual8086;
        int readable = 0, writable = 0;
        for (int i = 0; i < 6; i++)
        {
            SegmentRegister* r = CpuState.Seg(s, (Segment)i);
            bool code = (r->Attributes & SegmentAttributes.Code) != 0;
            if (!r->Present || (!code && (r->Attributes & SegmentAttributes.ExpandDown) != 0))
                continue;
            bool second = (r->Attributes & SegmentAttributes.Writable) != 0;
            if (!typed || !code || second)
                readable |= 1 << i;
            if (!typed || (!code && second))
                writable |= 1 << i;
        }
        s->ReadableSegments = (byte)readable;
        s->WritableSegments = (byte)writable;
    }

    /// <summary>The part of <see cref="Update"/> that CPL, CR0.AM, CR4.SMAP and RFLAGS.AC decide.</summary>
    public static void UpdateAccessMode(Cpu cpu)
    {
        CpuState* s = cpu.State;
        s->AccessMode = AccessModeOf(s, s->Cpl);
        s->Tlb = cpu.Tlb.Of(s->AccessMode);
        s->LookupKey = (s->LookupKey & ~(LookupGeneration - 1)) | LookupKeyOf(s, s->AccessMode);
    }

    /// <summary>The bits of <see cref="CpuState.LookupKey"/> that stand below its generation.</summary>
    internal static ulong LookupKeyOf(CpuState* s, AccessMode mode) => (ulong)mode << LookupAccess | (s->GuestMode ? LookupGuest : 0);

    /// <summary>Which permissions explicit accesses at a privilege level are checked with.</summary>
    public static AccessMode AccessModeOf(CpuState* s, int cpl)
    {
        bool ac = (s->SystemFlags & Flags.Ac) != 0;
        if (cpl == 3)
            return ac && (s->Cr0 & Cr0.Am) != 0 ? AccessMode.UserAligned : AccessMode.User;
        // AC is for explicit accesses only, not for the pushes of an event or call that leaves level 3.
        return (s->Cr4 & Cr4.Smap) != 0 && !(ac && s->Cpl < 3) ? AccessMode.SupervisorSmap : AccessMode.Supervisor;
    }

    private static bool IsFlatData(SegmentRegister* r)
        => r->Base == 0 && r->Limit == uint.MaxValue
            && (r->Attributes & (SegmentAttributes.Present | SegmentAttributes.CodeOrData | SegmentAttributes.Code | SegmentAttributes.ExpandDown | SegmentAttributes.Writable))
                == (SegmentAttributes.Present | SegmentAttributes.CodeOrData | SegmentAttributes.Writable);
}
