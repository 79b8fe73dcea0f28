using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>FXSAVE, FXRSTOR, LDMXCSR, STMXCSR and their VEX forms (AMD volumes 4 and 5).</summary>
internal static unsafe class FxsaveFamily
{
    private const ulong Alignment = 16;

    public static Handler Bind(in Instruction instruction)
    {
        if ((HostFeatures.InstructionSets & InstructionSets.Sse) == 0)
            return null;
        return instruction.Code switch
        {
            Code.Fxsave_m512byte => &Save,
            Code.Fxsave64_m512byte => &Save64,
            Code.Fxrstor_m512byte => &Restore,
            Code.Fxrstor64_m512byte => &Restore64,
            Code.Ldmxcsr_m32 => &LoadMxcsr<SseUnit>,
            Code.Stmxcsr_m32 => &StoreMxcsr<SseUnit>,
            Code.VEX_Vldmxcsr_m32 when (HostFeatures.InstructionSets & InstructionSets.Avx) != 0 => &LoadMxcsr<AvxUnit>,
            Code.VEX_Vstmxcsr_m32 when (HostFeatures.InstructionSets & InstructionSets.Avx) != 0 => &StoreMxcsr<AvxUnit>,
            _ => null,
        };
    }

    private static Op* Save(CpuState* s, Op* op) => Save(s, op, wide: false);

    private static Op* Save64(CpuState* s, Op* op) => Save(s, op, wide: true);

    private static Op* Save(CpuState* s, Op* op, bool wide)
    {
        if (!X87ControlUnit.Ready(s))
            return X87ControlUnit.Unavailable(s, op);
        if (!Linear(s, op, true, out ulong linear))
            return null;
        byte* image = stackalloc byte[FxImage.Size];
        FxImage.StoreX87(s, image, wide);
        FxImage.StoreMxcsr(s, image);
        int size = FxImage.Xmm;
        if (SavesXmm(s))
        {
            FxImage.StoreXmm(s, image);
            size += FxImage.XmmCount(s) * 16;
        }
        return LinearMemory.WriteBytes(s, op, linear, image, size) ? op + 1 : null;
    }

    private static Op* Restore(CpuState* s, Op* op) => Restore(s, op, wide: false);

    private static Op* Restore64(CpuState* s, Op* op) => Restore(s, op, wide: true);

    private static Op* Restore(CpuState* s, Op* op, bool wide)
    {
        if (!X87ControlUnit.Ready(s))
            return X87ControlUnit.Unavailable(s, op);
        if (!Linear(s, op, false, out ulong linear))
            return null;
        byte* image = stackalloc byte[FxImage.Size];
        if (!LinearMemory.ReadBytes(s, op, linear, image, FxImage.Size))
            return null;
        uint mxcsr = *(uint*)(image + FxImage.Mxcsr);
        bool xmm = (s->Cr4 & Cr4.Osfxsr) != 0;
        if (xmm && (mxcsr & ~SimdException.WritableMxcsr) != 0)
            return Fault.GeneralProtection(s, op);
        FxImage.LoadX87(s, image, wide);
        if (xmm)
            s->Mxcsr = mxcsr;
        if (SavesXmm(s))
            FxImage.LoadXmm(s, image);
        return ModeChange.MasksLoaded(s, op);
    }

    /// <summary>XMM registers belong to the image with CR4.OSFXSR, unless EFER.FFXSR leaves them out for 64-bit supervisors.</summary>
    private static bool SavesXmm(CpuState* s)
        => (s->Cr4 & Cr4.Osfxsr) != 0 && !((s->Efer & Efer.Ffxsr) != 0 && s->Code64 && s->Cpl == 0);

    private static bool Linear(CpuState* s, Op* op, bool write, out ulong linear)
    {
        if (!Operand.Linear(s, op, FxImage.Size, write, out linear))
            return false;
        if ((linear & (Alignment - 1)) != 0)
        {
            Fault.GeneralProtection(s, op);
            return false;
        }
        // All of the image must be there, its last byte first, as on Zen.
        ulong last = linear + FxImage.Size - 1;
        if (!s->Code64)
            last = (uint)last;
        return write ? LinearMemory.ProbeWrite(s, op, last, 1) && LinearMemory.ProbeWrite(s, op, linear, 1)
            : LinearMemory.ProbeRead(s, op, last, 1) && LinearMemory.ProbeRead(s, op, linear, 1);
    }

    private static Op* LoadMxcsr<TUnit>(CpuState* s, Op* op) where TUnit : struct, IExecutionUnit
    {
        if (!TUnit.Ready(s))
            return TUnit.Unavailable(s, op);
        if (!Operand.ReadMemory<uint>(s, op, out ulong value))
            return null;
        if ((value & ~(ulong)SimdException.WritableMxcsr) != 0)
            return Fault.GeneralProtection(s, op);
        s->Mxcsr = (uint)value;
        return ModeChange.MasksLoaded(s, op);
    }

    private static Op* StoreMxcsr<TUnit>(CpuState* s, Op* op) where TUnit : struct, IExecutionUnit
    {
        if (!TUnit.Ready(s))
            return TUnit.Unavailable(s, op);
        return Operand.WriteMemory<uint>(s, op, s->Mxcsr) ? op + 1 : null;
    }
}
