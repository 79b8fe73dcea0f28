using Iced.Intel;
using X86Virt.Engine.Memory;

namespace X86Virt.Engine.Processor;

/// <summary>
/// MONITOR and MWAIT (AMD volume 3). A wait is a halt, which an interrupt ends; it is left out where the line has changed since MONITOR,
/// where an event came in between, and where interrupts are off. (Ending a wait early is always allowed.)
/// </summary>
internal static unsafe class MonitorFamily
{
    private const ulong LineSize = 64;
    private const int LineWords = 8;

    public static Handler Bind(in Instruction instruction) => instruction.Mnemonic switch
    {
        Mnemonic.Monitor => &Arm,
        Mnemonic.Mwait => &Wait,
        _ => null,
    };

    private static Op* Arm(CpuState* s, Op* op)
    {
        if (s->Cpl != 0)
            return Fault.InvalidOpcode(s, op);
        if ((uint)s->Rcx != 0)
            return Fault.GeneralProtection(s, op);
        Cpu cpu = Cpu.Of(s);
        if (!Operand.Linear(s, op, 1, false, out ulong linear) || !LinearMemory.ProbeRead(s, op, linear, 1)
            || !SlowMemory.Translate(cpu, op, s->AccessMode, linear, PagePermissions.Read, out ulong physical)
            || Intercept.Takes(s, op, SvmExitCode.Monitor))
            return null;
        cpu.Memory.Lookup(physical & ~(LineSize - 1), out byte* line);
        s->MonitorLine = (ulong*)line;
        s->MonitorArmed = line != null;
        for (int i = 0; s->MonitorArmed && i < LineWords; i++)
            s->MonitorContent[i] = s->MonitorLine[i];
        return Control.Complete(s, op);
    }

    private static Op* Wait(CpuState* s, Op* op)
    {
        if (s->Cpl != 0)
            return Fault.InvalidOpcode(s, op);
        if ((uint)s->Rcx != 0)
            return Fault.GeneralProtection(s, op);
        if (Intercept.Takes(s, op, SvmExitCode.Mwait) || (s->MonitorArmed && Intercept.Takes(s, op, SvmExitCode.MwaitArmed)))
            return null;
        if (s->MonitorArmed && (s->SystemFlags & Flags.If) != 0 && IsUnchanged(s))
        {
            s->Halted = true;
            s->Attend(Attention.Halt);
            Cpu.Of(s).Statistics.Halts++;
        }
        s->MonitorArmed = false;
        return Control.Complete(s, op);
    }

    private static bool IsUnchanged(CpuState* s)
        => new Span<ulong>(s->MonitorLine, LineWords).SequenceEqual(new Span<ulong>(s->MonitorContent, LineWords));
}
