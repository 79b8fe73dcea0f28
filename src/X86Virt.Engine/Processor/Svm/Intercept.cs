using System.Runtime.CompilerServices;

namespace X86Virt.Engine.Processor;

/// <summary>
/// The question that handlers ask where the manual has an instruction's intercept checked (AMD volume 2, 15.9). A true answer means that the #VMEXIT is
/// under way: the handler returns null, and nothing of the instruction is done.
/// </summary>
internal static unsafe class Intercept
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Has(CpuState* s, SvmExitCode code) => (s->Intercepts[(int)code >> 5] >> (int)code & 1) != 0;

    /// <summary>Whether an instruction leaves guest mode; <paramref name="op"/> is the instruction.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Takes(CpuState* s, Op* op, SvmExitCode code, ulong info1 = 0, ulong info2 = 0)
    {
        if (!Has(s, code))
            return false;
        Exit(s, op, code, info1, info2);
        return true;
    }

    /// <summary>MOV to or from a control register, with the decode assist.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TakesMovCr(CpuState* s, Op* op, SvmExitCode first, int number, int register)
        => Takes(s, op, first + (ulong)number, MovCr(register));

    /// <summary>EXITINFO1 of a MOV: the general-purpose register, and that it is no other instruction.</summary>
    public static ulong MovCr(int register) => 1UL << 63 | ((uint)register >> 3);

    /// <summary>Leaves guest mode for an instruction.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static void Exit(CpuState* s, Op* op, SvmExitCode code, ulong info1, ulong info2)
        => Cpu.Of(s).Svm!.RaiseExit(op, code, info1, info2, op == null ? 0 : Control.NextRip(s, op));

    /// <summary>RDMSR and WRMSR, by the permission map.</summary>
    public static bool TakesMsr(CpuState* s, Op* op, uint index, bool write)
    {
        if (!Has(s, SvmExitCode.Msr) || !Cpu.Of(s).Svm!.InterceptsMsr(index, write))
            return false;
        Exit(s, op, SvmExitCode.Msr, write ? 1u : 0, 0);
        return true;
    }

    /// <summary>IN, OUT, INS and OUTS, by the permission map.</summary>
    public static bool TakesPort(CpuState* s, Op* op, ushort port, int size, bool isIn, bool isString)
    {
        if (!Has(s, SvmExitCode.Port) || !Cpu.Of(s).Svm!.InterceptsPort(port, size))
            return false;
        const ulong In = 1, String = 4, Rep = 8;
        ulong info = (ulong)port << 16 | (ulong)size << 4 | (isIn ? In : 0);
        if (isString)
        {
            int addressSize = (op->Flags & OpFlags.Address16) != 0 ? 1 : (op->Flags & OpFlags.Address32) != 0 ? 2 : 4;
            info |= String | (ulong)addressSize << 7 | (ulong)(isIn ? Segment.Es : op->Segment) << 10;
            if ((op->Flags & (OpFlags.Rep | OpFlags.Repne)) != 0)
                info |= Rep;
        }
        Exit(s, op, SvmExitCode.Port, info, Control.NextRip(s, op));
        return true;
    }

    /// <summary>PAUSE: taken when the filter has counted down, if there is one.</summary>
    public static bool TakesPause(CpuState* s, Op* op)
    {
        if (!Has(s, SvmExitCode.Pause) || !Cpu.Of(s).Svm!.PausedTooOften())
            return false;
        Exit(s, op, SvmExitCode.Pause, 0, 0);
        return true;
    }

    /// <summary>A write of CR0 that changes more than TS and MP, where writes of CR0 are not intercepted anyway.</summary>
    public static bool TakesSelectiveCr0(CpuState* s, Op* op, ulong value, ulong info1)
        => Has(s, SvmExitCode.Cr0SelectiveWrite) && ((value ^ s->Cr0) & ~(Cr0.Ts | Cr0.Mp)) != 0 && Takes(s, op, SvmExitCode.Cr0SelectiveWrite, info1);

    /// <summary>An exception on its way to delivery; DR6 and DR7 are what a handler would see.</summary>
    public static bool TakesException(CpuState* s)
    {
        ref PendingException e = ref s->Exception;
        SvmExitCode code = SvmExitCode.Exception0 + (ulong)e.Vector;
        if (!Has(s, code))
            return false;
        if (e.Vector == Vector.Debug)
            DebugRegisters.Report(s, (uint)e.Address);
        bool page = e.Vector == Vector.PageFault;
        Cpu.Of(s).Svm!.RaiseExit(null, code, e.HasErrorCode ? e.ErrorCode : 0, page ? e.Address : 0, 0);
        if (page && ((PageFaultCode)e.ErrorCode & PageFaultCode.Fetch) == 0)
            Cpu.Of(s).Svm!.FetchForAssist();
        return true;
    }

    /// <summary>INT3 and INTO, which leave guest mode with RIP still on them.</summary>
    public static bool TakesTrap(CpuState* s, Op* op, Vector vector) => Takes(s, op, SvmExitCode.Exception0 + (ulong)vector);
}
