using Iced.Intel;
using X86Virt.Engine.Memory;

namespace X86Virt.Engine.Processor;

/// <summary>VMRUN, VMLOAD, VMSAVE, VMMCALL, STGI, CLGI, INVLPGA, SKINIT and RSM (AMD volume 3; volume 2, chapter 15).</summary>
internal static unsafe class SvmFamily
{
    public static Handler Bind(in Instruction instruction)
    {
        switch (instruction.Code)
        {
            case Code.Vmrunw:
                return &Run<ushort>;
            case Code.Vmrund:
                return &Run<uint>;
            case Code.Vmrunq:
                return &Run<ulong>;
            case Code.Vmloadw:
                return &Load<ushort>;
            case Code.Vmloadd:
                return &Load<uint>;
            case Code.Vmloadq:
                return &Load<ulong>;
            case Code.Vmsavew:
                return &Save<ushort>;
            case Code.Vmsaved:
                return &Save<uint>;
            case Code.Vmsaveq:
                return &Save<ulong>;
            case Code.Invlpgaw:
                return &InvalidatePage<ushort>;
            case Code.Invlpgad:
                return &InvalidatePage<uint>;
            case Code.Invlpgaq:
                return &InvalidatePage<ulong>;
            case Code.Vmmcall or Code.Vmgexit or Code.Vmgexit_F2:
                return &CallMonitor;
            case Code.Stgi:
                return &SetGlobalInterrupts;
            case Code.Clgi:
                return &ClearGlobalInterrupts;
            case Code.Rsm:
                return &Resume;
            default:
                return null;
        }
    }

    /// <summary>What all of them but VMMCALL ask first; the intercept comes behind.</summary>
    private static bool Open(CpuState* s, Op* op)
    {
        if ((s->Efer & Efer.Svme) == 0 || !s->ProtectedMode || s->Virtual8086)
            Fault.InvalidOpcode(s, op);
        else if (s->Cpl != 0)
            Fault.GeneralProtection(s, op);
        else
            return true;
        return false;
    }

    /// <summary>The VMCB that rAX names: a page of memory.</summary>
    private static Vmcb* Find<T>(CpuState* s, Op* op) where T : unmanaged
    {
        Cpu cpu = Cpu.Of(s);
        ulong address = Operand.Register<T>(s, 0);
        byte* host = null;
        if ((address & 0xFFF) == 0 && address >> cpu.PhysicalAddressBits == 0 && cpu.Memory.Lookup(address, out host) == RegionKind.Ram)
            return (Vmcb*)host;
        Fault.GeneralProtection(s, op);
        return null;
    }

    private static Op* Run<T>(CpuState* s, Op* op) where T : unmanaged
    {
        if (!Open(s, op) || Intercept.Takes(s, op, SvmExitCode.Vmrun))
            return null;
        Vmcb* vmcb = Find<T>(s, op);
        if (vmcb != null)
            Cpu.Of(s).Svm!.Run(op, vmcb);
        return null;
    }

    private static Op* Load<T>(CpuState* s, Op* op) where T : unmanaged
    {
        if (!Open(s, op) || Intercept.Takes(s, op, SvmExitCode.Vmload))
            return null;
        Vmcb* v = Find<T>(s, op);
        if (v == null)
            return null;
        Cpu.Of(s).Svm!.LoadRest(v);
        return Control.Complete(s, op);
    }

    private static Op* Save<T>(CpuState* s, Op* op) where T : unmanaged
    {
        if (!Open(s, op) || Intercept.Takes(s, op, SvmExitCode.Vmsave))
            return null;
        Vmcb* v = Find<T>(s, op);
        if (v == null)
            return null;
        Cpu.Of(s).Svm!.SaveRest(v);
        Control.Complete(s, op);
        Cpu.Of(s).Memory.NotifyWrite((byte*)v, Vmcb.UsedSize);
        return null;
    }

    private static Op* InvalidatePage<T>(CpuState* s, Op* op) where T : unmanaged
    {
        if (!Open(s, op) || Intercept.Takes(s, op, SvmExitCode.Invlpga))
            return null;
        ulong linear = Operand.Register<T>(s, 0);
        if (Canonical.Is(s, linear))
            Cpu.Of(s).Svm!.InvalidatePage(linear, (uint)s->Rcx);
        return Control.Complete(s, op);
    }

    /// <summary>Nothing but a reason to leave guest mode.</summary>
    private static Op* CallMonitor(CpuState* s, Op* op) => Intercept.Takes(s, op, SvmExitCode.Vmmcall) ? null : Fault.InvalidOpcode(s, op);

    private static Op* SetGlobalInterrupts(CpuState* s, Op* op)
    {
        if (!Open(s, op) || Intercept.Takes(s, op, SvmExitCode.Stgi))
            return null;
        Cpu.Of(s).Svm!.SetGlobalInterrupts(true);
        return Control.Complete(s, op);
    }

    private static Op* ClearGlobalInterrupts(CpuState* s, Op* op)
    {
        if (!Open(s, op) || Intercept.Takes(s, op, SvmExitCode.Clgi))
            return null;
        Cpu.Of(s).Svm!.SetGlobalInterrupts(false);
        return Control.Complete(s, op);
    }

    /// <summary>There is no system management mode to return from.</summary>
    private static Op* Resume(CpuState* s, Op* op) => Intercept.Takes(s, op, SvmExitCode.Rsm) ? null : Fault.InvalidOpcode(s, op);
}
