using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>CPUID, time-stamp and performance counters, RDRAND, RDSEED, MSRs, TLB and cache invalidation (AMD volume 3).</summary>
internal static unsafe class ProcessorFamily
{
    public static Handler Bind(in Instruction instruction)
    {
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Cpuid:
                return &CpuIdentification;
            case Mnemonic.Rdtsc:
                return &ReadTimeStamp;
            case Mnemonic.Rdtscp:
                return &ReadTimeStampAndProcessor;
            case Mnemonic.Rdpmc:
                return &ReadPerformanceCounter;
            case Mnemonic.Rdmsr:
                return &ReadMsr;
            case Mnemonic.Wrmsr:
                return &WriteMsr;
            case Mnemonic.Invlpg:
                return &InvalidatePage;
            case Mnemonic.Invpcid:
                return &InvalidateContext;
            case Mnemonic.Invd:
                return &InvalidateCaches;
            case Mnemonic.Wbinvd:
                return &WriteBackCaches;
            case Mnemonic.Rdrand or Mnemonic.Rdseed:
                return OperandShape.Size(instruction, 0) switch { 2 => &Random<ushort>, 4 => &Random<uint>, _ => &Random<ulong> };
            default:
                return null;
        }
    }

    private static Op* CpuIdentification(CpuState* s, Op* op)
    {
        if (Intercept.Takes(s, op, SvmExitCode.Cpuid))
            return null;
        Cpu cpu = Cpu.Of(s);
        cpu.Statistics.Cpuids++;
        (uint eax, uint ebx, uint ecx, uint edx) = CpuidLeaves.Read(cpu, (uint)s->Rax, (uint)s->Rcx);
        (s->CpuidKey, s->CpuidKnown) = ((uint)s->Rax | s->Rcx << 32, true);
        (s->CpuidValues[0], s->CpuidValues[1], s->CpuidValues[2], s->CpuidValues[3]) = (eax, ebx, ecx, edx);
        (s->Rax, s->Rbx, s->Rcx, s->Rdx) = (eax, ebx, ecx, edx);
        return op + 1;
    }

    private static void SetPair(CpuState* s, ulong value)
    {
        s->Rax = (uint)value;
        s->Rdx = value >> 32;
    }

    private static Op* ReadTimeStamp(CpuState* s, Op* op)
    {
        if (s->Cpl != 0 && (s->Cr4 & Cr4.Tsd) != 0)
            return Fault.GeneralProtection(s, op);
        if (!Intercept.Takes(s, op, SvmExitCode.Rdtsc))
            ReadCounter(s, op);
        return null;
    }

    private static void ReadCounter(CpuState* s, Op* op)
    {
        Cpu cpu = Cpu.Of(s);
        cpu.Statistics.TimeStampReads++;
        Control.Complete(s, op);
        SetPair(s, cpu.TimeStamp);
        if (!cpu.Bus.TimeStampCountsInstructions || (s->Cr4 & Cr4.Tsd) != 0 || (s->GuestMode && !cpu.Svm!.LeavesTimeStamp))
            return;
        s->TimeStampKnown = true;
        s->TimeStampBase = cpu.TimeStamp - (ulong)s->Retired;
    }

    private static Op* ReadTimeStampAndProcessor(CpuState* s, Op* op)
    {
        if (s->Cpl != 0 && (s->Cr4 & Cr4.Tsd) != 0)
            return Fault.GeneralProtection(s, op);
        if (Intercept.Takes(s, op, SvmExitCode.Rdtscp))
            return null;
        ReadCounter(s, op);
        s->Rcx = (uint)s->TscAux;
        return null;
    }

    /// <summary>There are no performance counters.</summary>
    private static Op* ReadPerformanceCounter(CpuState* s, Op* op)
        => (s->Cpl == 0 || (s->Cr4 & Cr4.Pce) != 0) && Intercept.Takes(s, op, SvmExitCode.Rdpmc) ? null : Fault.GeneralProtection(s, op);

    private static Op* ReadMsr(CpuState* s, Op* op)
    {
        if (s->Cpl != 0)
            return Fault.GeneralProtection(s, op);
        Cpu cpu = Cpu.Of(s);
        if (Intercept.TakesMsr(s, op, (uint)s->Rcx, write: false))
            return null;
        cpu.Statistics.MsrReads.Note((uint)s->Rcx);
        if (!ModelSpecificRegisters.TryRead(cpu, (uint)s->Rcx, out ulong value))
            return Fault.GeneralProtection(s, op);
        SetPair(s, value);
        return Control.Complete(s, op);
    }

    private static Op* WriteMsr(CpuState* s, Op* op)
    {
        if (s->Cpl != 0)
            return Fault.GeneralProtection(s, op);
        Cpu cpu = Cpu.Of(s);
        if (Intercept.TakesMsr(s, op, (uint)s->Rcx, write: true))
            return null;
        cpu.Statistics.MsrWrites.Note((uint)s->Rcx);
        if (!ModelSpecificRegisters.TryWrite(cpu, (uint)s->Rcx, (uint)s->Rax | s->Rdx << 32))
            return Fault.GeneralProtection(s, op);
        return Control.Complete(s, op);
    }

    private static Op* InvalidatePage(CpuState* s, Op* op)
    {
        if (s->Cpl != 0)
            return Fault.GeneralProtection(s, op);
        ulong linear = Operand.EffectiveAddress(s, op) + s->AddressBase[(int)op->Segment];
        if (!s->Code64)
            linear = (uint)linear;
        if (Intercept.Takes(s, op, SvmExitCode.Invlpg, linear))
            return null;
        Cpu cpu = Cpu.Of(s);
        cpu.Statistics.PageInvalidations++;
        // An address that is not canonical is in no entry.
        if (Canonical.Is(s, linear))
            cpu.FlushTlbPage(linear);
        return Control.Complete(s, op);
    }

    /// <summary>Individual address, single context, all contexts, all but global entries: type 0 to 3.</summary>
    private static Op* InvalidateContext(CpuState* s, Op* op)
    {
        if (s->Cpl != 0)
            return Fault.GeneralProtection(s, op);
        ulong address = Operand.EffectiveAddress(s, op);
        ulong type = s->Code64 ? Operand.Register<ulong>(s, op->Destination) : Operand.Register<uint>(s, op->Destination);
        if (Intercept.Has(s, SvmExitCode.Invpcid))
        {
            ulong descriptor = address + s->AddressBase[(int)op->Segment];
            Intercept.Exit(s, op, SvmExitCode.Invpcid, s->Code64 ? descriptor : (uint)descriptor, type);
            return null;
        }
        if (!Operand.Linear(s, op, op->Segment, address, 16, false, out ulong linear)
            || !LinearMemory.Read(s, op, linear, out ulong context) || !LinearMemory.Read(s, op, linear + 8, out ulong page))
            return null;
        Cpu cpu = Cpu.Of(s);
        bool usesContext = type <= 1;
        if (type > 3 || context >> 12 != 0 || (usesContext && context != 0 && (s->Cr4 & Cr4.Pcide) == 0) || (type == 0 && !Canonical.Is(s, page)))
            return Fault.GeneralProtection(s, op);
        cpu.Statistics.PageInvalidations++;
        if (type == 0)
            cpu.FlushTlbPage(page);
        else
            cpu.FlushTlb(keepGlobal: type is 1 or 3);
        return Control.Complete(s, op);
    }

    /// <summary>Memory is coherent: there is nothing to write back or to drop.</summary>
    private static Op* InvalidateCaches(CpuState* s, Op* op, SvmExitCode intercept)
    {
        if (s->Cpl != 0)
            return Fault.GeneralProtection(s, op);
        return Intercept.Takes(s, op, intercept) ? null : Control.Complete(s, op);
    }

    private static Op* InvalidateCaches(CpuState* s, Op* op) => InvalidateCaches(s, op, SvmExitCode.Invd);

    private static Op* WriteBackCaches(CpuState* s, Op* op) => InvalidateCaches(s, op, SvmExitCode.Wbinvd);

    /// <summary>From a generator that starts alike in every machine (SplitMix64); always succeeds: CF set, the other flags clear.</summary>
    private static Op* Random<T>(CpuState* s, Op* op) where T : unmanaged
    {
        s->RandomState += 0x9E37_79B9_7F4A_7C15;
        ulong z = s->RandomState;
        z = (z ^ (z >> 30)) * 0xBF58_476D_1CE4_E5B9;
        z = (z ^ (z >> 27)) * 0x94D0_49BB_1331_11EB;
        Operand.SetRegister<T>(s, op->Destination, z ^ (z >> 31));
        s->StatusFlags = Flags.Cf;
        return op + 1;
    }
}
