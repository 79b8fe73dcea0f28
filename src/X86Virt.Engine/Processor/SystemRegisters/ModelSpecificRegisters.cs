namespace X86Virt.Engine.Processor;

/// <summary>
/// RDMSR and WRMSR (AMD volume 2, appendix A). An unknown register, a value with reserved bits or a write of a read-only register is
/// refused, which the caller makes #GP; unknown ones are counted for people who ask.
/// </summary>
internal static unsafe class ModelSpecificRegisters
{
    internal const uint EferIndex = 0xC000_0080;
    internal const uint ApicBase = 0x1B;

    private const uint PentiumMachineCheckAddress = 0, PentiumMachineCheckType = 1, TimeStampCounter = 0x10, PlatformId = 0x17, TscAdjust = 0x3B,
        MicrocodeRevision = 0x8B, SysenterCs = 0x174, SysenterEsp = 0x175, SysenterEip = 0x176, McgCapabilities = 0x179, McgStatus = 0x17A,
        MiscEnable = 0x1A0, DebugControl = 0x1D9, LastBranchFrom = 0x1DB, LastBranchTo = 0x1DC, LastInterruptFrom = 0x1DD, LastInterruptTo = 0x1DE, MachineCheckBank0 = 0x400, LastMachineCheck = 0x47F,
        TscDeadline = 0x6E0, FirstX2Apic = 0x800, LastX2Apic = 0x8FF,
        Efer = EferIndex, Star = 0xC000_0081, LStar = 0xC000_0082, CStar = 0xC000_0083, SfMask = 0xC000_0084,
        FsBase = 0xC000_0100, GsBase = 0xC000_0101, KernelGsBase = 0xC000_0102, TscAux = 0xC000_0103;

    private const ulong AutomaticIbrs = 1 << 21;
    private const ulong ApicExtendedMode = 1 << 10;

    /// <summary>Fast-string enable, which software may clear; nothing else can be changed.</summary>
    private const ulong MiscEnableWritable = 1;

    public static bool TryRead(Cpu cpu, uint index, out ulong value)
    {
        CpuState* s = cpu.State;
        value = 0;
        if (IsOnBus(cpu, index) && cpu.Bus.TryReadMsr(index, out value, out bool fault))
            return !fault;
        switch (index)
        {
            case PentiumMachineCheckAddress or PentiumMachineCheckType when HasPentiumMachineCheck(cpu):
                return true;
            case TimeStampCounter when cpu.Model.Has(ProcessorFeature.Tsc):
                value = cpu.TimeStamp;
                return true;
            case TscAdjust when cpu.Model.Has(ProcessorFeature.TscAdjust):
                value = s->TscAdjust;
                return true;
            // Recent ones of Haswell and Zen 2, so that guests see no need to work around what later ones mended.
            case MicrocodeRevision:
                value = cpu.Model.IsIntel ? 0x28UL << 32 : 0x0830_107A;
                return true;
            case PlatformId when cpu.Model.IsIntel:
                return true;
            case SysenterCs when cpu.Model.Has(ProcessorFeature.Sep):
                value = s->SysenterCs;
                return true;
            case SysenterEsp when cpu.Model.Has(ProcessorFeature.Sep):
                value = s->SysenterEsp;
                return true;
            case SysenterEip when cpu.Model.Has(ProcessorFeature.Sep):
                value = s->SysenterEip;
                return true;
            case McgCapabilities when cpu.Model.Has(ProcessorFeature.Mca):
                value = MachineCheckBanks(cpu);
                return true;
            case McgStatus when cpu.Model.Has(ProcessorFeature.Mca):
            case >= MachineCheckBank0 and <= LastMachineCheck when HasMachineCheckBank(cpu, index):
                return true;
            case MiscEnable when cpu.Model.IsIntel:
                value = s->MiscEnable;
                return true;
            case DebugControl:
                value = s->DebugCtl;
                return true;
            case LastBranchFrom:
                value = s->LastBranches.From;
                return true;
            case LastBranchTo:
                value = s->LastBranches.To;
                return true;
            case LastInterruptFrom:
                value = s->LastBranches.EventFrom;
                return true;
            case LastInterruptTo:
                value = s->LastBranches.EventTo;
                return true;
            case MemoryTypeRegisters.Pat when cpu.Model.Has(ProcessorFeature.Pat):
                value = s->Pat;
                return true;
            case Efer when HasEfer(cpu):
                value = s->Efer;
                return true;
            case TscAux when cpu.Model.Has(ProcessorFeature.Rdtscp) || cpu.Model.Has(ProcessorFeature.Rdpid):
                value = s->TscAux;
                return true;
            case Star when HasEfer(cpu):
                value = s->Star;
                return true;
        }
        if (cpu.Model.Has(ProcessorFeature.Mtrr) && MemoryTypeRegisters.IsRange(index))
        {
            value = MemoryTypeRegisters.ReadRange(s, index);
            return true;
        }
        if (cpu.Model.HasLongMode && TryFindLong(s, index, out ulong* register))
        {
            value = *register;
            return true;
        }
        if (cpu.Svm is { } svm && SvmRegisters.TryRead(svm, index, out value))
            return true;
        if (!cpu.Model.IsIntel && AmdRegisters.TryRead(s, index, out value))
            return true;
        cpu.Statistics.UnknownMsrs.Note(index);
        return false;
    }

    public static bool TryWrite(Cpu cpu, uint index, ulong value)
    {
        CpuState* s = cpu.State;
        s->ForgetDerived();
        if (index == ApicBase && (value & ApicExtendedMode) != 0 && !cpu.Model.Has(ProcessorFeature.X2Apic))
            return false;
        if (IsOnBus(cpu, index) && cpu.Bus.TryWriteMsr(index, value, out bool fault))
            return !fault;
        switch (index)
        {
            case TimeStampCounter when cpu.Model.Has(ProcessorFeature.Tsc):
                SetTimeStamp(cpu, value);
                return true;
            case TscAdjust when cpu.Model.Has(ProcessorFeature.TscAdjust):
                s->TscOffset += value - s->TscAdjust;
                s->TscAdjust = value;
                return true;
            case MicrocodeRevision:
                return true;
            case SysenterCs when cpu.Model.Has(ProcessorFeature.Sep):
                s->SysenterCs = (uint)value;
                return true;
            case SysenterEsp when cpu.Model.Has(ProcessorFeature.Sep):
                return SetAddress(s, &s->SysenterEsp, value);
            case SysenterEip when cpu.Model.Has(ProcessorFeature.Sep):
                return SetAddress(s, &s->SysenterEip, value);
            case McgStatus when cpu.Model.Has(ProcessorFeature.Mca):
                return true;
            case >= MachineCheckBank0 and <= LastMachineCheck when HasMachineCheckBank(cpu, index):
                // Status, address and miscellaneous registers may only be cleared.
                return index % 4 == 0 || value == 0;
            case MiscEnable when cpu.Model.IsIntel:
                s->MiscEnable = (s->MiscEnable & ~MiscEnableWritable) | (value & MiscEnableWritable);
                return true;
            case DebugControl:
                s->DebugCtl = value & DebugRegisters.ControlWritable;
                FlagsChange.Watch(s);
                return true;
            case MemoryTypeRegisters.Pat when cpu.Model.Has(ProcessorFeature.Pat):
                return MemoryTypeRegisters.TryWritePat(s, value);
            case Efer when HasEfer(cpu):
                return TrySetEfer(cpu, value);
            case TscAux when cpu.Model.Has(ProcessorFeature.Rdtscp) || cpu.Model.Has(ProcessorFeature.Rdpid):
                s->TscAux = (uint)value;
                return true;
            case Star when HasEfer(cpu):
                s->Star = value;
                return true;
        }
        if (cpu.Model.Has(ProcessorFeature.Mtrr) && MemoryTypeRegisters.IsRange(index))
            return MemoryTypeRegisters.TryWriteRange(cpu, index, value);
        if (cpu.Model.HasLongMode && TryFindLong(s, index, out ulong* register))
        {
            if (index == SfMask)
                s->SfMask = (uint)value;
            else if (!SetAddress(s, register, value))
                return false;
            if (index is FsBase or GsBase)
                s->AddressBase[(int)(index == FsBase ? Segment.Fs : Segment.Gs)] = value;
            return true;
        }
        if (cpu.Svm is { } svm && SvmRegisters.Exists(index))
            return SvmRegisters.TryWrite(cpu, svm, index, value);
        if (!cpu.Model.IsIntel && AmdRegisters.TryWrite(s, index, value))
            return true;
        cpu.Statistics.UnknownMsrs.Note(index);
        return false;
    }

    /// <summary>The APIC's registers, as far as the model has them, are the platform's.</summary>
    private static bool IsOnBus(Cpu cpu, uint index) => index switch
    {
        ApicBase => cpu.Model.Has(ProcessorFeature.Apic),
        TscDeadline => cpu.Model.Has(ProcessorFeature.TscDeadline),
        >= FirstX2Apic and <= LastX2Apic => cpu.Model.Has(ProcessorFeature.X2Apic),
        _ => true,
    };

    /// <summary>Machine checks as Pentium processors report them, before there was an architecture for them.</summary>
    private static bool HasPentiumMachineCheck(Cpu cpu) => cpu.Model.IsIntel && cpu.Model.Has(ProcessorFeature.Mce) && !cpu.Model.Has(ProcessorFeature.Mca);

    /// <summary>AMD's processors have a fifth bank, of the northbridge, since the K8; software looks for its thresholds (MC4_MISC) wherever there is SVM.</summary>
    private static uint MachineCheckBanks(Cpu cpu) => !cpu.Model.IsIntel && cpu.Model.HasLongMode ? 5u : 4;

    private static bool HasMachineCheckBank(Cpu cpu, uint index)
        => cpu.Model.Has(ProcessorFeature.Mca) && (index - MachineCheckBank0) / 4 < MachineCheckBanks(cpu);

    private static void SetTimeStamp(Cpu cpu, ulong value)
    {
        CpuState* s = cpu.State;
        ulong before = s->TscOffset;
        s->TscOffset = value - cpu.Bus.TimeStamp;
        s->TscAdjust += s->TscOffset - before;
    }

    private static bool SetAddress(CpuState* s, ulong* register, ulong value)
    {
        if (!Canonical.Is(s, value))
            return false;
        *register = value;
        return true;
    }

    private static bool TryFindLong(CpuState* s, uint index, out ulong* register)
    {
        register = index switch
        {
            LStar => &s->LStar,
            CStar => &s->CStar,
            SfMask => &s->SfMask,
            FsBase => &CpuState.Seg(s, Segment.Fs)->Base,
            GsBase => &CpuState.Seg(s, Segment.Gs)->Base,
            KernelGsBase => &s->KernelGsBase,
            _ => null,
        };
        return register != null;
    }

    private static bool HasEfer(Cpu cpu)
        => cpu.Model.Has(ProcessorFeature.LongMode) || cpu.Model.Has(ProcessorFeature.Nx) || cpu.Model.Has(ProcessorFeature.Syscall);

    /// <summary>LMA follows paging and cannot be written; LME cannot change while paging is on (AMD volume 2, 3.1.7).</summary>
    private static bool TrySetEfer(Cpu cpu, ulong value)
    {
        CpuState* s = cpu.State;
        ulong changed = value ^ s->Efer;
        if ((value & ~(EferBits(cpu) | Processor.Efer.Lma)) != 0 || ((changed & Processor.Efer.Lme) != 0 && (s->Cr0 & Cr0.Pg) != 0))
            return false;
        s->Efer = (value & ~Processor.Efer.Lma) | (s->Efer & Processor.Efer.Lma);
        if ((changed & Processor.Efer.Nxe) != 0)
            cpu.FlushTlb(keepGlobal: false);
        ModeChange.Update(cpu);
        return true;
    }

    /// <summary>Bits of EFER that software may set.</summary>
    internal static ulong EferBits(Cpu cpu)
    {
        ulong allowed = 0;
        void Allow(ProcessorFeature feature, ulong bits)
        {
            if (cpu.Model.Has(feature))
                allowed |= bits;
        }
        Allow(ProcessorFeature.Syscall, Processor.Efer.Sce);
        Allow(ProcessorFeature.LongMode, Processor.Efer.Lme);
        Allow(ProcessorFeature.Nx, Processor.Efer.Nxe);
        Allow(ProcessorFeature.Ffxsr, Processor.Efer.Ffxsr);
        Allow(ProcessorFeature.AutomaticIbrs, AutomaticIbrs);
        if (cpu.Svm is { } svm && !SvmRegisters.IsDisabled(svm))
            allowed |= Processor.Efer.Svme;
        return allowed;
    }
}
