using System.Runtime.Intrinsics;
using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>
/// XSAVE, XSAVEOPT, XSAVEC, XRSTOR for x87, SSE and AVX state (AMD volume 2, 11.5.5; volume 4). XGETBV and XSETBV.
/// </summary>
internal static unsafe class XsaveFamily
{
    /// <summary>State components as XCR0 and the headers number them.</summary>
    private const ulong X87 = 1, Sse = 2, Avx = 4;

    private const ulong Alignment = 64;
    private const int Header = 512, HeaderSize = 64, YmmHigh = Header + HeaderSize;
    private const int AreaSize = YmmHigh + 16 * 16;
    private const ulong CompactedFormat = 1UL << 63;
    private const uint DefaultMxcsr = 0x1F80;

    public static Handler Bind(in Instruction instruction)
    {
        if (HostFeatures.StateComponents == 0)
            return null;
        return instruction.Code switch
        {
            Code.Xsave_mem => &Save,
            Code.Xsave64_mem => &Save64,
            Code.Xsaveopt_mem => &SaveOptimized,
            Code.Xsaveopt64_mem => &SaveOptimized64,
            Code.Xsavec_mem => &SaveCompacted,
            Code.Xsavec64_mem => &SaveCompacted64,
            Code.Xrstor_mem => &Restore,
            Code.Xrstor64_mem => &Restore64,
            Code.Xgetbv => &GetControl,
            Code.Xsetbv => &SetControl,
            _ => null,
        };
    }

    private static Op* Save(CpuState* s, Op* op) => Save(s, op, wide: false, optimized: false);

    private static Op* Save64(CpuState* s, Op* op) => Save(s, op, wide: true, optimized: false);

    private static Op* SaveOptimized(CpuState* s, Op* op) => Save(s, op, wide: false, optimized: true);

    private static Op* SaveOptimized64(CpuState* s, Op* op) => Save(s, op, wide: true, optimized: true);

    private static Op* SaveCompacted(CpuState* s, Op* op) => SaveCompacted(s, op, wide: false);

    private static Op* SaveCompacted64(CpuState* s, Op* op) => SaveCompacted(s, op, wide: true);

    private static Op* Restore(CpuState* s, Op* op) => Restore(s, op, wide: false);

    private static Op* Restore64(CpuState* s, Op* op) => Restore(s, op, wide: true);

    /// <summary>The checks that all have in common, and the linear address of the area.</summary>
    private static bool Begin(CpuState* s, Op* op, bool write, out ulong linear)
    {
        linear = 0;
        if ((s->Cr4 & Cr4.Osxsave) == 0)
        {
            Fault.InvalidOpcode(s, op);
            return false;
        }
        if ((s->Cr0 & Cr0.Ts) != 0)
        {
            Fault.Raise(s, op, Vector.DeviceNotAvailable);
            return false;
        }
        int size = AreaSizeFor(s);
        if (!Operand.Linear(s, op, size, write, out linear))
            return false;
        if ((linear & (Alignment - 1)) != 0)
        {
            Fault.GeneralProtection(s, op);
            return false;
        }
        return !write || LinearMemory.ProbeWrite(s, op, linear, size);
    }

    private static int AreaSizeFor(CpuState* s) => (Requested(s) & Avx) != 0 ? AreaSize : YmmHigh;

    /// <summary>Components asked for (EDX:EAX) that XCR0 enables.</summary>
    private static ulong Requested(CpuState* s) => ((uint)s->Rax | (s->Rdx << 32)) & s->Xcr0;

    /// <summary>Components that are not in their initial configuration.</summary>
    private static ulong InUse(CpuState* s)
    {
        ulong used = 0;
        if (X87State.Control(s) != X87State.InitialControl || X87State.Status(s) != 0 || X87State.Tags(s) != 0
            || X87State.InstructionPointer(s) != 0 || X87State.DataPointer(s) != 0 || X87State.Opcode(s) != 0
            || !IsZero(s->Fx + X87State.Registers, 8, 16))
            used |= X87;
        if (!IsZero(s->Vectors, FxImage.XmmCount(s), CpuState.VectorSize))
            used |= Sse;
        if (!IsZero(s->Vectors + 16, FxImage.XmmCount(s), CpuState.VectorSize))
            used |= Avx;
        return used;
    }

    private static bool IsZero(byte* first, int count, int stride)
    {
        Vector128<byte> any = default;
        for (int i = 0; i < count; i++)
            any |= *(Vector128<byte>*)(first + i * stride);
        return any == default;
    }

    private static Op* Save(CpuState* s, Op* op, bool wide, bool optimized)
    {
        if (!Begin(s, op, true, out ulong linear) || !LinearMemory.ReadBytes(s, op, linear + Header, s->Operand, 8))
            return null;
        ulong requested = Requested(s), inUse = InUse(s);
        ulong bits = (*(ulong*)s->Operand & ~requested) | (requested & inUse);
        ulong written = optimized ? requested & inUse : requested;
        if ((requested & (Sse | Avx)) != 0)
            WriteMxcsr(s, op, linear);
        Write(s, op, linear, written, wide);
        LinearMemory.WriteBytes(s, op, linear + Header, (byte*)&bits, sizeof(ulong));
        return op + 1;
    }

    private static Op* SaveCompacted(CpuState* s, Op* op, bool wide)
    {
        if (!Begin(s, op, true, out ulong linear))
            return null;
        ulong requested = Requested(s), inUse = InUse(s);
        if (s->Mxcsr != DefaultMxcsr)
            inUse |= Sse;
        ulong* header = stackalloc ulong[2];
        header[0] = requested & inUse;
        header[1] = CompactedFormat | requested;
        if ((header[0] & Sse) != 0)
            WriteMxcsr(s, op, linear);
        Write(s, op, linear, header[0], wide);
        LinearMemory.WriteBytes(s, op, linear + Header, (byte*)header, 2 * sizeof(ulong));
        return op + 1;
    }

    /// <summary>Writes components to memory that has been probed. AVX state is the first extended one: both formats have it in one place.</summary>
    private static void Write(CpuState* s, Op* op, ulong linear, ulong components, bool wide)
    {
        byte* image = stackalloc byte[FxImage.Size];
        if ((components & X87) != 0)
        {
            FxImage.StoreX87(s, image, wide);
            LinearMemory.WriteBytes(s, op, linear, image, FxImage.Mxcsr);
            LinearMemory.WriteBytes(s, op, linear + FxImage.Registers, image + FxImage.Registers, FxImage.Xmm - FxImage.Registers);
        }
        int vectors = FxImage.XmmCount(s) * 16;
        if ((components & Sse) != 0)
        {
            FxImage.StoreXmm(s, image);
            LinearMemory.WriteBytes(s, op, linear + FxImage.Xmm, image + FxImage.Xmm, vectors);
        }
        if ((components & Avx) != 0)
        {
            for (int i = 0; i < FxImage.XmmCount(s); i++)
                *(Vector128<byte>*)(image + i * 16) = *(Vector128<byte>*)(s->Vectors + i * CpuState.VectorSize + 16);
            LinearMemory.WriteBytes(s, op, linear + YmmHigh, image, vectors);
        }
    }

    private static void WriteMxcsr(CpuState* s, Op* op, ulong linear)
    {
        uint* words = stackalloc uint[2] { s->Mxcsr, SimdException.WritableMxcsr };
        LinearMemory.WriteBytes(s, op, linear + FxImage.Mxcsr, (byte*)words, 2 * sizeof(uint));
    }

    private static Op* Restore(CpuState* s, Op* op, bool wide)
    {
        if (!Begin(s, op, false, out ulong linear))
            return null;
        byte* area = stackalloc byte[AreaSize];
        if (!LinearMemory.ReadBytes(s, op, linear, area, AreaSizeFor(s)))
            return null;
        ulong requested = Requested(s);
        ulong* header = (ulong*)(area + Header);
        bool compacted = (header[1] & CompactedFormat) != 0;
        if (!ValidHeader(s, header, compacted))
            return Fault.GeneralProtection(s, op);
        ulong present = header[0];
        ulong mxcsrOwners = compacted ? present & requested & Sse : requested & (Sse | Avx);
        uint mxcsr = *(uint*)(area + FxImage.Mxcsr);
        if (mxcsrOwners != 0 && (mxcsr & ~SimdException.WritableMxcsr) != 0)
            return Fault.GeneralProtection(s, op);

        if ((requested & X87) != 0)
        {
            if ((present & X87) != 0)
                FxImage.LoadX87(s, area, wide);
            else
                InitializeX87(s);
        }
        if (mxcsrOwners != 0)
            s->Mxcsr = mxcsr;
        else if (compacted && (requested & Sse) != 0)
            s->Mxcsr = DefaultMxcsr;
        if ((requested & Sse) != 0)
        {
            if ((present & Sse) == 0)
                new Span<byte>(area + FxImage.Xmm, 16 * 16).Clear();
            FxImage.LoadXmm(s, area);
        }
        if ((requested & Avx) != 0)
        {
            if ((present & Avx) == 0)
                new Span<byte>(area + YmmHigh, 16 * 16).Clear();
            for (int i = 0; i < FxImage.XmmCount(s); i++)
                *(Vector128<byte>*)(s->Vectors + i * CpuState.VectorSize + 16) = *(Vector128<byte>*)(area + YmmHigh + i * 16);
        }
        return ModeChange.MasksLoaded(s, op);
    }

    private static bool ValidHeader(CpuState* s, ulong* header, bool compacted)
    {
        if ((header[0] & ~s->Xcr0) != 0)
            return false;
        if (!compacted)
            return header[1] == 0 && header[2] == 0;
        ulong layout = header[1] & ~CompactedFormat;
        if ((layout & ~s->Xcr0) != 0 || (header[0] & ~layout) != 0)
            return false;
        for (int i = 2; i < HeaderSize / sizeof(ulong); i++)
        {
            if (header[i] != 0)
                return false;
        }
        return true;
    }

    private static void InitializeX87(CpuState* s)
    {
        X87State.Initialize(s);
        new Span<byte>(s->Fx + X87State.Registers, 8 * 16).Clear();
    }

    private static Op* GetControl(CpuState* s, Op* op)
    {
        if ((s->Cr4 & Cr4.Osxsave) == 0)
            return Fault.InvalidOpcode(s, op);
        ulong value;
        switch ((uint)s->Rcx)
        {
            case 0:
                value = s->Xcr0;
                break;
            case 1:
                value = s->Xcr0 & (InUse(s) | (s->Mxcsr != DefaultMxcsr ? Sse : 0));
                break;
            default:
                return Fault.GeneralProtection(s, op);
        }
        s->Rax = (uint)value;
        s->Rdx = value >> 32;
        return op + 1;
    }

    private static Op* SetControl(CpuState* s, Op* op)
    {
        if ((s->Cr4 & Cr4.Osxsave) == 0)
            return Fault.InvalidOpcode(s, op);
        if (Intercept.Takes(s, op, SvmExitCode.Xsetbv))
            return null;
        ulong value = (uint)s->Rax | (s->Rdx << 32);
        if (s->Cpl != 0 || (uint)s->Rcx != 0 || (value & X87) == 0 || (value & ~Cpu.Of(s).Model.StateComponents) != 0
            || (value & (Sse | Avx)) == Avx)
            return Fault.GeneralProtection(s, op);
        s->Xcr0 = value;
        s->ForgetDerived();
        ModeChange.Update(Cpu.Of(s));
        return Control.Complete(s, op);
    }
}
