namespace X86Virt.Engine.Processor;

/// <summary>
/// RDMSR and WRMSR (AMD volume 2, appendix A). An unknown register, a value with reserved bits or a write of a read-only register is
/// refused, which the caller makes #GP; unknown ones are kept on a list for people who ask.
/// </summary>
internal static unsafe class ModelSpecificRegisters
{
    internal const uint ApicBase = 0x1B;

    private const uint TimeStampCounter = 0x10, PlatformId = 0x17, TscAdjust = 0x3B, MicrocodeRevision = 0x8B, MtrrCapabilities = 0xFE,
        SysenterCs = 0x174, SysenterEsp = 0x175, SysenterEip = 0x176, McgCapabilities = 0x179, McgStatus = 0x17A, McgControl = 0x17B,
        MiscEnable = 0x1A0, DebugControl = 0x1D9, LastBranchFrom = 0x1DB, LastInterruptTo = 0x1DE, MtrrPhysBase0 = 0x200, MtrrPhysMask7 = 0x20F,
        MtrrFixed64K = 0x250, MtrrFixed16K = 0x258, MtrrFixed4K = 0x268, PatMsr = 0x277, MtrrDefaultType = 0x2FF, MachineCheckBank0 = 0x400,
        Efer = 0xC000_0080, Star = 0xC000_0081, LStar = 0xC000_0082, CStar = 0xC000_0083, SfMask = 0xC000_0084,
        FsBase = 0xC000_0100, GsBase = 0xC000_0101, KernelGsBase = 0xC000_0102, TscAux = 0xC000_0103,
        SystemConfiguration = 0xC001_0010, HardwareConfiguration = 0xC001_0015, TopMemory = 0xC001_001A, TopMemory2 = 0xC001_001D,
        NorthBridgeConfiguration = 0xC001_001F, InterruptPendingMessage = 0xC001_0055, VmControl = 0xC001_0114,
        LoadStoreConfiguration = 0xC001_1020, DecodeConfiguration = 0xC001_1029;

    private const ulong AutomaticIbrs = 1 << 21;
    private const int Banks = 4, VariableRanges = 8;

    /// <summary>Fast-string enable, which software may clear; nothing else can be changed.</summary>
    private const ulong MiscEnableWritable = 1;

    private const ulong LfenceSerializes = 2;

    public static bool TryRead(Cpu cpu, uint index, out ulong value)
    {
        CpuState* s = cpu.State;
        if (cpu.Bus.TryReadMsr(index, out value, out bool fault))
            return !fault;
        switch (index)
        {
            case TimeStampCounter:
                value = cpu.Bus.TimeStamp + s->TscOffset;
                return true;
            case TscAdjust when cpu.Model.Has(ProcessorFeature.TscAdjust):
                value = s->TscAdjust;
                return true;
            case MicrocodeRevision:
                value = cpu.Model.IsIntel ? 1UL << 32 : 0x0830_107A;
                return true;
            case PlatformId when cpu.Model.IsIntel:
                return true;
            case SysenterCs:
                value = s->SysenterCs;
                return true;
            case SysenterEsp:
                value = s->SysenterEsp;
                return true;
            case SysenterEip:
                value = s->SysenterEip;
                return true;
            case McgCapabilities:
                value = Banks;
                return true;
            case McgStatus or McgControl:
                return true;
            case >= MachineCheckBank0 and < MachineCheckBank0 + 4 * Banks:
                return true;
            case MiscEnable when cpu.Model.IsIntel:
                value = s->MiscEnable;
                return true;
            case DebugControl:
                value = s->DebugCtl;
                return true;
            case >= LastBranchFrom and <= LastInterruptTo:
                return true;
            case MtrrCapabilities or MtrrDefaultType or MtrrFixed64K or MtrrFixed16K or MtrrFixed16K + 1
                or (>= MtrrFixed4K and < MtrrFixed4K + 8) or (>= MtrrPhysBase0 and <= MtrrPhysMask7) when cpu.Model.Has(ProcessorFeature.Mtrr):
                value = ReadMemoryType(s, index);
                return true;
            case PatMsr when cpu.Model.Has(ProcessorFeature.Pat):
                value = s->Pat;
                return true;
            case Efer when HasEfer(cpu):
                value = s->Efer;
                return true;
            case TscAux when cpu.Model.Has(ProcessorFeature.Rdtscp):
                value = s->TscAux;
                return true;
            case Star when HasEfer(cpu):
                value = s->Star;
                return true;
        }
        if (cpu.Model.HasLongMode && TryFindLong(s, index, out ulong* register))
        {
            value = *register;
            return true;
        }
        if (!cpu.Model.IsIntel)
        {
            switch (index)
            {
                case SystemConfiguration:
                    value = s->SysCfg;
                    return true;
                case HardwareConfiguration:
                    value = s->Hwcr;
                    return true;
                case TopMemory:
                    value = Math.Min(cpu.Memory.RamSize, 0xC000_0000);
                    return true;
                case TopMemory2 or InterruptPendingMessage or NorthBridgeConfiguration or LoadStoreConfiguration or VmControl:
                    return true;
                case DecodeConfiguration:
                    value = LfenceSerializes;
                    return true;
            }
        }
        cpu.UnknownMsrs.Note(index);
        return false;
    }

    public static bool TryWrite(Cpu cpu, uint index, ulong value)
    {
        CpuState* s = cpu.State;
        if (cpu.Bus.TryWriteMsr(index, value, out bool fault))
            return !fault;
        switch (index)
        {
            case TimeStampCounter:
                SetTimeStamp(cpu, value);
                return true;
            case TscAdjust when cpu.Model.Has(ProcessorFeature.TscAdjust):
                s->TscOffset += value - s->TscAdjust;
                s->TscAdjust = value;
                return true;
            case MicrocodeRevision:
                return true;
            case SysenterCs:
                s->SysenterCs = (uint)value;
                return true;
            case SysenterEsp:
                return SetAddress(s, &s->SysenterEsp, value);
            case SysenterEip:
                return SetAddress(s, &s->SysenterEip, value);
            case McgStatus or McgControl:
                return true;
            case >= MachineCheckBank0 and < MachineCheckBank0 + 4 * Banks:
                // Status, address and miscellaneous registers may only be cleared.
                return index % 4 == 0 || value == 0;
            case MiscEnable when cpu.Model.IsIntel:
                s->MiscEnable = (s->MiscEnable & ~MiscEnableWritable) | (value & MiscEnableWritable);
                return true;
            case DebugControl:
                s->DebugCtl = value & 0x3F;
                return true;
            case MtrrDefaultType or MtrrFixed64K or MtrrFixed16K or MtrrFixed16K + 1
                or (>= MtrrFixed4K and < MtrrFixed4K + 8) or (>= MtrrPhysBase0 and <= MtrrPhysMask7) when cpu.Model.Has(ProcessorFeature.Mtrr):
                return TryWriteMemoryType(cpu, index, value);
            case PatMsr when cpu.Model.Has(ProcessorFeature.Pat):
                if (!IsPat(value))
                    return false;
                s->Pat = value;
                return true;
            case Efer when HasEfer(cpu):
                return TrySetEfer(cpu, value);
            case TscAux when cpu.Model.Has(ProcessorFeature.Rdtscp):
                s->TscAux = (uint)value;
                return true;
            case Star when HasEfer(cpu):
                s->Star = value;
                return true;
        }
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
        if (!cpu.Model.IsIntel)
        {
            switch (index)
            {
                case SystemConfiguration:
                    s->SysCfg = value;
                    return true;
                case HardwareConfiguration:
                    s->Hwcr = value;
                    return true;
                case TopMemory or TopMemory2 or InterruptPendingMessage or NorthBridgeConfiguration or LoadStoreConfiguration or DecodeConfiguration or VmControl:
                    return true;
            }
        }
        cpu.UnknownMsrs.Note(index);
        return false;
    }

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
        ulong allowed = Processor.Efer.Lma;
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
        ulong changed = value ^ s->Efer;
        if ((value & ~allowed) != 0 || ((changed & Processor.Efer.Lme) != 0 && (s->Cr0 & Cr0.Pg) != 0))
            return false;
        s->Efer = (value & ~Processor.Efer.Lma) | (s->Efer & Processor.Efer.Lma);
        if ((changed & Processor.Efer.Nxe) != 0)
            cpu.FlushTlb(keepGlobal: false);
        ModeChange.Update(cpu);
        return true;
    }

    private static ulong ReadMemoryType(CpuState* s, uint index) => index switch
    {
        // Fixed ranges and write-combining.
        MtrrCapabilities => VariableRanges | 1 << 8 | 1 << 10,
        MtrrDefaultType => s->MtrrDefType,
        MtrrFixed64K => s->MtrrFixed[0],
        MtrrFixed16K or MtrrFixed16K + 1 => s->MtrrFixed[1 + (int)(index - MtrrFixed16K)],
        >= MtrrFixed4K => s->MtrrFixed[3 + (int)(index - MtrrFixed4K)],
        _ => s->MtrrVariable[(int)(index - MtrrPhysBase0)],
    };

    private static bool TryWriteMemoryType(Cpu cpu, uint index, ulong value)
    {
        CpuState* s = cpu.State;
        ulong addressBits = ((1UL << cpu.PhysicalAddressBits) - 1) & ~0xFFFUL;
        switch (index)
        {
            case MtrrDefaultType:
                if ((value & ~0xCFFUL) != 0 || !IsMemoryType((byte)value))
                    return false;
                s->MtrrDefType = value;
                return true;
            case MtrrFixed64K:
                return SetFixed(s, 0, value);
            case MtrrFixed16K or MtrrFixed16K + 1:
                return SetFixed(s, 1 + (int)(index - MtrrFixed16K), value);
            case >= MtrrFixed4K:
                return SetFixed(s, 3 + (int)(index - MtrrFixed4K), value);
            default:
                bool mask = (index & 1) != 0;
                if ((value & ~(addressBits | (mask ? 0x800UL : 0xFFUL))) != 0 || (!mask && !IsMemoryType((byte)value)))
                    return false;
                s->MtrrVariable[(int)(index - MtrrPhysBase0)] = value;
                return true;
        }
    }

    private static bool SetFixed(CpuState* s, int i, ulong value)
    {
        // AMD's extension bits 3 and 4 of a type are refused: SYSCFG does not offer them.
        for (int shift = 0; shift < 64; shift += 8)
        {
            if (!IsMemoryType((byte)(value >> shift)))
                return false;
        }
        s->MtrrFixed[i] = value;
        return true;
    }

    /// <summary>UC, WC, WT, WP, WB.</summary>
    private static bool IsMemoryType(byte type) => type is 0 or 1 or 4 or 5 or 6;

    private static bool IsPat(ulong value)
    {
        for (int shift = 0; shift < 64; shift += 8)
        {
            byte type = (byte)(value >> shift);
            if (!IsMemoryType(type) && type != 7)
                return false;
        }
        return true;
    }
}

/// <summary>Registers that a guest asked for and that there are not, each once.</summary>
public sealed class UnknownMsrs
{
    private readonly SortedDictionary<uint, long> _counts = [];

    /// <summary>Register number and how often it was asked for.</summary>
    public IReadOnlyDictionary<uint, long> Counts
    {
        get
        {
            lock (_counts)
                return new SortedDictionary<uint, long>(_counts);
        }
    }

    internal void Note(uint index)
    {
        lock (_counts)
            _counts[index] = _counts.GetValueOrDefault(index) + 1;
    }
}
