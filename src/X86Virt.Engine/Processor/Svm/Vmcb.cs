using System.Runtime.InteropServices;

namespace X86Virt.Engine.Processor;

/// <summary>The virtual machine control block: a page of host-physical memory (AMD volume 2, appendix B).</summary>
[StructLayout(LayoutKind.Explicit, Size = 0x1000)]
internal unsafe struct Vmcb
{
    public const int InterceptWords = 6;

    /// <summary>Bytes of both areas as far as they are written.</summary>
    public const int UsedSize = 0x698;

    // The control area.
    [FieldOffset(0x000)] public fixed uint Intercepts[InterceptWords];
    [FieldOffset(0x03C)] public ushort PauseFilterThreshold;
    [FieldOffset(0x03E)] public ushort PauseFilterCount;
    [FieldOffset(0x040)] public ulong PortMap;
    [FieldOffset(0x048)] public ulong MsrMap;
    [FieldOffset(0x050)] public ulong TscOffset;
    [FieldOffset(0x058)] public uint Asid;
    [FieldOffset(0x05C)] public TlbControl TlbControl;
    [FieldOffset(0x060)] public VirtualInterrupt VirtualInterrupt;
    [FieldOffset(0x068)] public ulong InterruptShadow;
    [FieldOffset(0x070)] public SvmExitCode ExitCode;
    [FieldOffset(0x078)] public ulong ExitInfo1;
    [FieldOffset(0x080)] public ulong ExitInfo2;
    [FieldOffset(0x088)] public VmcbEvent ExitIntInfo;
    [FieldOffset(0x090)] public ulong NestedControl;
    [FieldOffset(0x0A8)] public VmcbEvent EventInjection;
    [FieldOffset(0x0B0)] public ulong NestedCr3;
    [FieldOffset(0x0B8)] public VmcbVirtualization Virtualization;
    [FieldOffset(0x0C0)] public VmcbClean Clean;
    [FieldOffset(0x0C8)] public ulong NextRip;
    [FieldOffset(0x0D0)] public byte FetchedCount;
    [FieldOffset(0x0D1)] public fixed byte FetchedBytes[15];

    // The state-save area.
    [FieldOffset(0x400)] public SegmentRegister Es;
    [FieldOffset(0x410)] public SegmentRegister Cs;
    [FieldOffset(0x420)] public SegmentRegister Ss;
    [FieldOffset(0x430)] public SegmentRegister Ds;
    [FieldOffset(0x440)] public SegmentRegister Fs;
    [FieldOffset(0x450)] public SegmentRegister Gs;
    [FieldOffset(0x460)] public SegmentRegister Gdtr;
    [FieldOffset(0x470)] public SegmentRegister Ldtr;
    [FieldOffset(0x480)] public SegmentRegister Idtr;
    [FieldOffset(0x490)] public SegmentRegister Tr;
    [FieldOffset(0x4CB)] public byte Cpl;
    [FieldOffset(0x4D0)] public ulong Efer;
    [FieldOffset(0x548)] public ulong Cr4;
    [FieldOffset(0x550)] public ulong Cr3;
    [FieldOffset(0x558)] public ulong Cr0;
    [FieldOffset(0x560)] public ulong Dr7;
    [FieldOffset(0x568)] public ulong Dr6;
    [FieldOffset(0x570)] public ulong Rflags;
    [FieldOffset(0x578)] public ulong Rip;
    [FieldOffset(0x5D8)] public ulong Rsp;
    [FieldOffset(0x5F8)] public ulong Rax;
    [FieldOffset(0x600)] public ulong Star;
    [FieldOffset(0x608)] public ulong LStar;
    [FieldOffset(0x610)] public ulong CStar;
    [FieldOffset(0x618)] public ulong SfMask;
    [FieldOffset(0x620)] public ulong KernelGsBase;
    [FieldOffset(0x628)] public ulong SysenterCs;
    [FieldOffset(0x630)] public ulong SysenterEsp;
    [FieldOffset(0x638)] public ulong SysenterEip;
    [FieldOffset(0x640)] public ulong Cr2;
    [FieldOffset(0x668)] public ulong GuestPat;
    [FieldOffset(0x670)] public ulong DebugCtl;
    [FieldOffset(0x678)] public LastBranches LastBranches;

    public readonly bool HasNestedPaging => (NestedControl & 1) != 0;

    public bool Has(SvmExitCode intercept) => (Intercepts[(int)intercept >> 5] >> (int)intercept & 1) != 0;

    public void SetIntercept(SvmExitCode intercept, bool on)
    {
        if (Has(intercept) == on)
            return;
        Intercepts[(int)intercept >> 5] ^= 1u << (int)intercept;
        Clean &= ~VmcbClean.Intercepts;
    }
}

/// <summary>What a hypervisor has not changed since the guest was left, so that VMRUN may go on with what the processor still has (AMD volume 2, 15.15).</summary>
[Flags]
internal enum VmcbClean : uint
{
    None = 0,
    Intercepts = 1 << 0,
    PermissionMaps = 1 << 1,
    Asid = 1 << 2,
    TaskPriority = 1 << 3,
    NestedPaging = 1 << 4,
    ControlRegisters = 1 << 5,
    DebugRegisters = 1 << 6,
    DescriptorTables = 1 << 7,
    Segments = 1 << 8,
    Cr2 = 1 << 9,
    LastBranches = 1 << 10,
    All = (1 << 11) - 1,
}

/// <summary>What the processor virtualizes besides, in the control area, 0B8h (AMD volume 2, 15.23 and 15.33).</summary>
[Flags]
internal enum VmcbVirtualization : ulong
{
    None = 0,

    /// <summary>The guest has DebugCtl and the last-branch registers for itself.</summary>
    LastBranches = 1 << 0,
}

/// <summary>What VMRUN does to the TLB (AMD volume 2, 15.16.2).</summary>
internal enum TlbControl : byte
{
    Nothing = 0,
    FlushAll = 1,
    FlushGuest = 3,
    FlushGuestNonGlobal = 7,
}

/// <summary>The virtual interrupt's fields of the control area, 060h (AMD volume 2, 15.21).</summary>
internal struct VirtualInterrupt(ulong value)
{
    private const ulong Irq = 1 << 8, Gif = 1 << 9, IgnorePriority = 1 << 20, Masking = 1 << 24, GifEnable = 1 << 25;

    public ulong Value = value;

    /// <summary>V_TPR as CR8 shows it.</summary>
    public ulong TaskPriority
    {
        readonly get => Value & 0xF;
        set => Value = (Value & ~0xFFUL) | (value & 0xF);
    }

    public bool Requested
    {
        readonly get => (Value & Irq) != 0;
        set => Value = value ? Value | Irq : Value & ~Irq;
    }

    /// <summary>Requests one of whatever priority.</summary>
    public void RequestWindow() => Value |= Irq | IgnorePriority;

    public readonly bool IgnoresPriority => (Value & IgnorePriority) != 0;

    /// <summary>The virtual interrupt's priority passes V_TPR, or need not.</summary>
    public readonly bool Passes => IgnoresPriority || ((Value >> 16) & 0xF) > TaskPriority;

    /// <summary>RFLAGS.IF and CR8 of the guest concern virtual interrupts only.</summary>
    public bool MasksPhysical
    {
        readonly get => (Value & Masking) != 0;
        init => Value = value ? Value | Masking : Value & ~Masking;
    }

    /// <summary>The guest's STGI and CLGI concern V_GIF, which holds virtual interrupts off (AMD volume 2, 15.33.2).</summary>
    public readonly bool VirtualizesGif => (Value & GifEnable) != 0;

    /// <summary>V_GIF.</summary>
    public bool GlobalInterrupts
    {
        readonly get => (Value & Gif) != 0;
        set => Value = value ? Value | Gif : Value & ~Gif;
    }

    public readonly byte Vector => (byte)(Value >> 32);
}

/// <summary>An event as EVENTINJ and EXITINTINFO describe it (AMD volume 2, 15.20 and 15.7.2).</summary>
internal readonly record struct VmcbEvent(ulong Value)
{
    private const int TypeShift = 8;
    private const ulong HasCode = 1 << 11, ValidBit = 1UL << 31;

    public byte Vector => (byte)Value;
    public VmcbEventType Type => (VmcbEventType)(Value >> TypeShift & 7);
    public bool HasErrorCode => (Value & HasCode) != 0;
    public bool IsValid => (Value & ValidBit) != 0;
    public uint ErrorCode => (uint)(Value >> 32);

    /// <summary>An event that could not be delivered.</summary>
    public static VmcbEvent Of(in InterruptEvent e)
    {
        VmcbEventType type = e.Source switch
        {
            EventSource.Exception or EventSource.SoftwareException => VmcbEventType.Exception,
            EventSource.Software => VmcbEventType.SoftwareInterrupt,
            EventSource.Nmi => VmcbEventType.Nmi,
            _ => VmcbEventType.Intr,
        };
        return new VmcbEvent(e.Vector | (ulong)type << TypeShift | ValidBit | (e.HasErrorCode ? HasCode | (ulong)e.ErrorCode << 32 : 0));
    }
}

internal enum VmcbEventType
{
    Intr = 0, Nmi = 2, Exception = 3, SoftwareInterrupt = 4,
}
