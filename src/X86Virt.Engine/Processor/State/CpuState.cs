using System.Runtime.InteropServices;

namespace X86Virt.Engine.Processor;

/// <summary>
/// All architectural state of one virtual processor: one unmanaged struct at a fixed address, shared by every handler and by
/// translated code. Offsets below 256 are what a decoded operand or an 8-bit displacement can name; keep the hot fields there.
/// </summary>
[StructLayout(LayoutKind.Explicit, Size = SizeInBytes)]
public unsafe struct CpuState
{
    public const int SizeInBytes = 0x1000;

    /// <summary>Offset of a register that always reads 0: an absent base or index.</summary>
    public const int ZeroOffset = 0x80;

    /// <summary>Offset of <see cref="BlockRip"/>, the base of RIP-relative operands.</summary>
    public const int BlockRipOffset = 0x88;

    // Fields that translated code names.
    internal const int RipOffset = 0x90;
    internal const int StatusFlagsOffset = 0x98;
    internal const int SystemFlagsOffset = 0x9C;
    internal const int BudgetOffset = 0xA8;
    internal const int AttentionOffset = 0xB8;
    internal const int AddressBaseOffset = 0xC0;
    internal const int CplOffset = 0xF0;
    internal const int ReadableSegmentsOffset = 0xF6;
    internal const int WritableSegmentsOffset = 0xF7;
    internal const int SegmentsOffset = 0x190;
    internal const int LookupKeyOffset = 0x2B0;
    internal const int ExitOpOffset = 0x2B8;
    internal const int ExitResumeOffset = 0x2BC;
    internal const int ExitLinkOffset = 0x2C4;
    internal const int JumpTargetOffset = 0x2C8;
    internal const int LiveUnitsOffset = 0x2D0;
    internal const int ReturnStackBaseOffset = 0x2D8;
    internal const int ReturnStackLimitOffset = 0x2E0;
    internal const int DeadlineOffset = 0xB0;
    internal const int ShadowOffset = 0xF3;
    internal const int BoundaryRetiredOffset = 0x800;
    internal const int InterruptDeferredOffset = 0x80C;
    internal const int CpuidKnownOffset = 0x7C8;
    internal const int CpuidKeyOffset = 0x7D0;
    internal const int CpuidCountOffset = 0x7D8;
    internal const int CpuidValuesOffset = 0x7E0;
    internal const int LStarOffset = 0x218;
    internal const int KernelGsBaseOffset = 0x230;
    internal const int TlbFieldOffset = 0xA0;
    internal const int AccessModeOffset = 0xF1;
    internal const int Cr0Offset = 0x100;
    internal const int Cr2Offset = 0x108;
    internal const int Cr3Offset = 0x110;
    internal const int Cr4Offset = 0x118;
    internal const int TscAuxOffset = 0x238;
    internal const int InterceptsOffset = 0xBA0;
    internal const int SystemCallsOffset = 0xC00;
    internal const int TimeStampKnownOffset = 0xCA0;
    internal const int TimeStampBaseOffset = 0xCA8;
    internal const int TimeStampCountOffset = 0xCB0;
    internal const int ControlReadCountOffset = 0xCB8;
    internal const int AccessGroupsOffset = 0xCC0;
    internal const int IndirectBranchCountOffset = 0xD00;

    /// <summary>Groups of accesses that one unit can have.</summary>
    internal const int AccessGroupSlots = 8;

    /// <summary>Offset from the state of the TLBs of all access modes, which share its allocation; those of guest mode (SVM) stand behind.</summary>
    internal const int TlbOffset = SizeInBytes;

    /// <summary>Offset from the state of the table that leads from linear addresses to code.</summary>
    internal const int LookupOffset = TlbOffset + 2 * Processor.Tlb.SizeInBytes;
    internal const int AllocationSize = LookupOffset + CodeLookup.SizeInBytes;

    // Fields that stubs of host-executed instructions name.
    internal const int RaxOffset = 0x00;
    internal const int RcxOffset = 0x08;
    internal const int RdxOffset = 0x10;
    internal const int MxcsrOffset = 0x2C0;
    internal const int FxOffset = 0x300;
    internal const int VectorsOffset = 0x500;
    internal const int OperandOffset = 0x700;
    internal const int HostX87Offset = 0x740;
    internal const int HostMxcsrOffset = 0x7C0;

    /// <summary>Bytes of one entry of <see cref="Vectors"/>.</summary>
    public const int VectorSize = 32;

    [FieldOffset(0x00)] public fixed ulong Gpr[16];
    [FieldOffset(0x00)] public ulong Rax;
    [FieldOffset(0x08)] public ulong Rcx;
    [FieldOffset(0x10)] public ulong Rdx;
    [FieldOffset(0x18)] public ulong Rbx;
    [FieldOffset(0x20)] public ulong Rsp;
    [FieldOffset(0x28)] public ulong Rbp;
    [FieldOffset(0x30)] public ulong Rsi;
    [FieldOffset(0x38)] public ulong Rdi;
    [FieldOffset(ZeroOffset)] public ulong Zero;

    /// <summary>RIP of the first instruction of the block being executed.</summary>
    [FieldOffset(BlockRipOffset)] public ulong BlockRip;

    /// <summary>Offset in CS of the next instruction; exact at block boundaries (see <see cref="Op"/> for inside a block).</summary>
    [FieldOffset(RipOffset)] public ulong Rip;

    /// <summary>CF, PF, AF, ZF, SF, OF in the layout that LAHF and SETO AL leave in AX (see <see cref="Flags"/>).</summary>
    [FieldOffset(StatusFlagsOffset)] public uint StatusFlags;

    /// <summary>All other bits of RFLAGS in their places, bit 1 set, the status bits clear.</summary>
    [FieldOffset(SystemFlagsOffset)] public uint SystemFlags;

    /// <summary>The TLB of the access mode in force (<see cref="AccessMode"/>).</summary>
    [FieldOffset(0xA0)] public TlbEntry* Tlb;

    /// <summary>Instructions that may still retire before <see cref="Deadline"/>; a block deducts all of its own on entry.</summary>
    [FieldOffset(BudgetOffset)] public long Budget;

    /// <summary>The value of the retired-instruction counter at which the run loop wants control back.</summary>
    [FieldOffset(DeadlineOffset)] public long Deadline;

    /// <summary>Why the dispatch loop must look up before the next block; 0 almost always.</summary>
    [FieldOffset(AttentionOffset)] public Attention Attention;
    [FieldOffset(AttentionOffset)] private byte _ownAttention;

    /// <summary>What decoding depends on: part of the key of every decoded or translated block.</summary>
    [FieldOffset(0xBC)] public CodeMode Mode;

    /// <summary>Segment bases as address generation adds them: 0 for ES, CS, SS, DS in 64-bit mode.</summary>
    [FieldOffset(AddressBaseOffset)] public fixed ulong AddressBase[6];

    [FieldOffset(CplOffset)] public byte Cpl;
    [FieldOffset(0xF1)] public AccessMode AccessMode;
    [FieldOffset(0xF2)] public bool Halted;

    /// <summary>What STI, MOV SS or POP SS hold off at the instruction boundary <see cref="BoundaryRetired"/>.</summary>
    [FieldOffset(ShadowOffset)] public InterruptShadow Shadow;

    /// <summary>NMIs are blocked until the next IRET.</summary>
    [FieldOffset(0xF4)] public bool NmiBlocked;
    [FieldOffset(0xF5)] public bool NmiPending;

    /// <summary>A bit for each segment register that is present, grows up and may be read (see <see cref="ModeChange"/>).</summary>
    [FieldOffset(ReadableSegmentsOffset)] internal byte ReadableSegments;

    /// <summary>The same for writing.</summary>
    [FieldOffset(WritableSegmentsOffset)] internal byte WritableSegments;

    /// <summary>16-bit, 32-bit or 64-bit stack pointer arithmetic: RSP is masked with this.</summary>
    [FieldOffset(0xF8)] public ulong StackMask;

    /// <summary>
    /// Goes into the tag of every lookup by linear address (<see cref="CodeLookup"/>): the access mode in bits 53:52, above it a generation that
    /// a flush of the TLB, a change of the physical map or an invalidation advances.
    /// </summary>
    [FieldOffset(LookupKeyOffset)] public ulong LookupKey;

    /// <summary>The entry that translated code wants executed, as an offset in the arena of decoded entries.</summary>
    [FieldOffset(ExitOpOffset)] internal uint ExitOp;

    /// <summary>Where translated code goes on behind it, as an offset in the translation cache.</summary>
    [FieldOffset(ExitResumeOffset)] internal uint ExitResume;

    /// <summary>The jump that translated code left by and that may be chained, as an offset in the translation cache; 0 if none.</summary>
    [FieldOffset(ExitLinkOffset)] internal uint ExitLink;

    /// <summary>Where an indirect call goes once its return address is pushed.</summary>
    [FieldOffset(JumpTargetOffset)] internal ulong JumpTarget;

    /// <summary>Whose registers the host's own hold, not the state; None but while translated code runs.</summary>
    [FieldOffset(LiveUnitsOffset)] internal DataUnits LiveUnits;

    /// <summary>An access had to go the slow way, and the next one like it would have to: a device, a tracked page, a page crossing.</summary>
    [FieldOffset(0x2D1)] internal bool Trapped;

    /// <summary>The host's stack while translated code runs and no call is on it, and how low calls may bring it.</summary>
    [FieldOffset(ReturnStackBaseOffset)] internal ulong ReturnStackBase;
    [FieldOffset(ReturnStackLimitOffset)] internal ulong ReturnStackLimit;

    /// <summary>Which pages may have entries in <see cref="CodeLookup"/>.</summary>
    [FieldOffset(0xB00)] internal fixed ulong LookupPages[CodeLookup.PageBits / 64];

    /// <summary>A bit for each mode that has had entries in <see cref="CodeLookup"/>.</summary>
    [FieldOffset(0xB80)] internal fixed ulong LookupModes[CodeLookup.Modes / 64];

    /// <summary>Entries of <see cref="CodeLookup"/> for code in pages that are not global, since they were last dropped; more than are listed if they are too many.</summary>
    [FieldOffset(0x2F0)] internal int LocalLookups;

    /// <summary>The TLBs in force, the host's or the guest's: that of the first access mode.</summary>
    [FieldOffset(0x2E8)] internal TlbEntry* Tlbs;

    /// <summary>The VMCB's intercept words while a guest runs, zero otherwise: a bit for each <see cref="SvmExitCode"/> below 0xC0.</summary>
    [FieldOffset(0xBA0)] internal fixed uint Intercepts[Vmcb.InterceptWords];

    /// <summary>VMRUN has entered a guest.</summary>
    [FieldOffset(0xBB8)] internal bool GuestMode;

    /// <summary>GIF is clear: interrupts and NMIs wait.</summary>
    [FieldOffset(0xBB9)] internal bool GlobalInterruptsOff;

    /// <summary>An INIT or an SMI waits for GIF, or for the hypervisor that intercepts it.</summary>
    [FieldOffset(0xBBA)] internal bool InitPending;
    [FieldOffset(0xBBB)] internal bool SmiPending;

    /// <summary>In guest mode, the event whose delivery did not succeed.</summary>
    [FieldOffset(0xBC0)] internal VmcbEvent EventInFlight;

    [FieldOffset(0x100)] public ulong Cr0;
    [FieldOffset(0x108)] public ulong Cr2;
    [FieldOffset(0x110)] public ulong Cr3;
    [FieldOffset(0x118)] public ulong Cr4;
    [FieldOffset(0x120)] public ulong Efer;
    [FieldOffset(0x128)] public ulong Xcr0;
    [FieldOffset(0x130)] public fixed ulong Dr[8];
    [FieldOffset(0x170)] public DescriptorTableRegister Gdtr;
    [FieldOffset(0x180)] public DescriptorTableRegister Idtr;

    /// <summary>ES, CS, SS, DS, FS, GS, LDTR, TR: index with <see cref="Segment"/> through <see cref="Seg"/>.</summary>
    [FieldOffset(SegmentsOffset)] private fixed byte _segments[8 * 16];

    [FieldOffset(0x210)] public ulong Star;
    [FieldOffset(0x218)] public ulong LStar;
    [FieldOffset(0x220)] public ulong CStar;
    [FieldOffset(0x228)] public ulong SfMask;
    [FieldOffset(0x230)] public ulong KernelGsBase;
    [FieldOffset(0x238)] public ulong TscAux;
    [FieldOffset(0x240)] public ulong SysenterCs;
    [FieldOffset(0x248)] public ulong SysenterEsp;
    [FieldOffset(0x250)] public ulong SysenterEip;
    [FieldOffset(0x258)] public ulong Pat;

    /// <summary>Added to the platform's time-stamp counter (WRMSR TSC, TSC_ADJUST).</summary>
    [FieldOffset(0x260)] public ulong TscOffset;

    /// <summary>The exception that a handler raised and the dispatch loop has still to deliver.</summary>
    [FieldOffset(0x268)] public PendingException Exception;

    /// <summary>A handle to the <see cref="Cpu"/> that owns this state (slow paths only).</summary>
    [FieldOffset(0x280)] public nint Owner;

    /// <summary>The entry whose handler was replaced to leave its block early, and what stood there.</summary>
    [FieldOffset(0x288)] public Op* PatchedOp;
    [FieldOffset(0x290)] public void* PatchedHandler;

    /// <summary>Where a read-modify-write that cannot go straight to memory keeps its operand (see <see cref="LinearMemory"/>).</summary>
    [FieldOffset(0x298)] public ulong ModifyAddress;
    [FieldOffset(0x2A0)] public fixed byte ModifyBuffer[16];

    [FieldOffset(MxcsrOffset)] public uint Mxcsr;

    /// <summary>
    /// The x87 and MMX state as in an FXSAVE image, but registers by physical number (<see cref="X87State"/>); no XMM part: vectors
    /// live in <see cref="Vectors"/>.
    /// </summary>
    [FieldOffset(FxOffset)] public fixed byte Fx[512];

    /// <summary>YMM0 to YMM15, 32 bytes each; XMM registers are their low halves.</summary>
    [FieldOffset(VectorsOffset)] public fixed byte Vectors[16 * VectorSize];

    /// <summary>Scratch for memory operands of instructions that the host executes.</summary>
    [FieldOffset(OperandOffset)] public fixed byte Operand[64];

    /// <summary>Scratch: an FNSAVE image (108 bytes) to hand the x87 state to the host.</summary>
    [FieldOffset(HostX87Offset)] public fixed byte HostX87[128];

    /// <summary>Scratch: what stubs load into the host's MXCSR.</summary>
    [FieldOffset(HostMxcsrOffset)] public uint HostMxcsr;

    /// <summary>Whether the fields behind are what CPUID gave last, and would give again: EAX and ECX (above) before, EAX to EDX after.</summary>
    [FieldOffset(CpuidKnownOffset)] internal bool CpuidKnown;
    [FieldOffset(CpuidKeyOffset)] internal ulong CpuidKey;

    /// <summary>How often translated code executed CPUID by that.</summary>
    [FieldOffset(CpuidCountOffset)] internal long CpuidCount;
    [FieldOffset(CpuidValuesOffset)] internal fixed uint CpuidValues[4];

    /// <summary>What SYSCALL and SYSRET do in 64-bit mode.</summary>
    [FieldOffset(SystemCallsOffset)] internal SystemCallPath SystemCalls;

    /// <summary>Whether the field behind, added to the retired-instruction count, is the time-stamp counter that any code may read.</summary>
    [FieldOffset(TimeStampKnownOffset)] internal bool TimeStampKnown;
    [FieldOffset(TimeStampBaseOffset)] internal ulong TimeStampBase;

    /// <summary>How often translated code read it.</summary>
    [FieldOffset(TimeStampCountOffset)] internal long TimeStampCount;

    /// <summary>How often translated code read a control register.</summary>
    [FieldOffset(ControlReadCountOffset)] internal long ControlReadCount;

    /// <summary>Host addends that the unit being run found for groups of accesses (<see cref="Processor.AccessGroups"/>); 0 for none.</summary>
    [FieldOffset(AccessGroupsOffset)] internal fixed long AccessGroups[AccessGroupSlots];

    /// <summary>Near returns, indirect jumps and indirect calls executed at privilege levels 0 to 2.</summary>
    [FieldOffset(IndirectBranchCountOffset)] internal long IndirectBranchCount;

    /// <summary>Retired-instruction count of the one boundary at which <see cref="Shadow"/> and RFLAGS.RF hold (<see cref="InstructionBoundary"/>).</summary>
    [FieldOffset(BoundaryRetiredOffset)] public long BoundaryRetired;

    /// <summary>DR6 bits of a debug trap to be taken before the next instruction.</summary>
    [FieldOffset(0x808)] public uint PendingDebug;

    /// <summary>An interrupt may be waiting that IF or NMI blocking held off when it was last looked at.</summary>
    [FieldOffset(InterruptDeferredOffset)] public bool InterruptDeferred;

    /// <summary>After a triple fault, until RESET.</summary>
    [FieldOffset(0x80D)] public bool ShutDown;

    /// <summary>TF was set when the instruction being stepped began, so that a trap follows it.</summary>
    [FieldOffset(0x80E)] public bool StepArmed;

    [FieldOffset(0x810)] public ulong TscAdjust;
    [FieldOffset(0x818)] public ulong MiscEnable;
    [FieldOffset(0x820)] public ulong DebugCtl;
    [FieldOffset(0x828)] public ulong Hwcr;
    [FieldOffset(0x830)] public ulong SysCfg;
    [FieldOffset(0x838)] public ulong MtrrDefType;

    /// <summary>64K_00000, 16K_80000, 16K_A0000, 4K_C0000 to 4K_F8000.</summary>
    [FieldOffset(0x840)] public fixed ulong MtrrFixed[11];

    /// <summary>PhysBase0, PhysMask0, PhysBase1 …</summary>
    [FieldOffset(0x898)] public fixed ulong MtrrVariable[16];

    /// <summary>State of the generator behind RDRAND and RDSEED.</summary>
    [FieldOffset(0x918)] public ulong RandomState;

    /// <summary>TOP_MEM and TOP_MEM2: the end of RAM below and above 4 GiB, as firmware sets them.</summary>
    [FieldOffset(0x920)] public ulong TopMemory;
    [FieldOffset(0x928)] public ulong TopMemory2;

    /// <summary>MONITOR: the line in host memory, what stood there, and whether no event came since.</summary>
    [FieldOffset(0x930)] public ulong* MonitorLine;
    [FieldOffset(0x938)] public fixed ulong MonitorContent[8];
    [FieldOffset(0x978)] public bool MonitorArmed;

    internal const int CoreConfigurations = 16;

    /// <summary>C001_1020 to C001_102F.</summary>
    [FieldOffset(0x980)] internal fixed ulong CoreConfiguration[CoreConfigurations];
    [FieldOffset(0xA00)] public ulong NorthBridgeConfiguration;

    /// <summary>The page-directory-pointer entries of PAE paging, as they were when CR3 was loaded (<see cref="Processor.DirectoryPointers"/>).</summary>
    [FieldOffset(0xA08)] internal fixed ulong DirectoryPointers[4];
    [FieldOffset(0xA28)] internal LastBranches LastBranches;

    /// <summary>The segment register <paramref name="segment"/>; the state must be pinned, as it always is.</summary>
    public static SegmentRegister* Seg(CpuState* s, Segment segment) => (SegmentRegister*)s->_segments + (int)segment;

    /// <summary>Sets attention bits of the processor's own thread.</summary>
    public void Attend(Attention what) => _ownAttention |= (byte)what;

    /// <summary>Clears attention bits of the processor's own thread.</summary>
    public void Attended(Attention what) => _ownAttention &= (byte)~(uint)what;

    /// <summary>
    /// Forgets what handlers derived from registers for translated code. Called wherever EFER, CR0, CR4 or a model-specific register changes, between
    /// guest and host, and before translated code is entered anew, as anything may have changed then.
    /// </summary>
    public void ForgetDerived()
    {
        CpuidKnown = false;
        TimeStampKnown = false;
        SystemCalls.Ready = false;
    }

    /// <summary>Instructions retired since reset, exact at instruction boundaries.</summary>
    public readonly long Retired => Deadline - Budget;

    public readonly bool ProtectedMode => (Cr0 & 1) != 0;
    public readonly bool LongMode => (Efer & 0x400) != 0;
    public readonly bool Code64 => (Mode & CodeMode.SizeMask) == CodeMode.Code64;
    public readonly bool Virtual8086 => (SystemFlags & (1u << 17)) != 0;
    public readonly int Iopl => (int)(SystemFlags >> 12) & 3;
}

/// <summary>
/// What the dispatch loop must see to between two blocks. The low byte belongs to the thread that runs the processor, which changes it with
/// plain stores (<see cref="CpuState.Attend"/>); the bits above it are set by any thread, so they are changed with locked operations.
/// </summary>
[Flags]
public enum Attention : uint
{
    None = 0,

    /// <summary><see cref="CpuState.Exception"/> waits to be delivered.</summary>
    Exception = 1 << 0,

    /// <summary><see cref="CpuState.PatchedOp"/> is to be restored.</summary>
    Patched = 1 << 1,

    /// <summary>TF, an execution breakpoint or the recording of branches is on: one instruction at a time.</summary>
    Step = 1 << 2,

    /// <summary>The processor is halted, or shut down.</summary>
    Halt = 1 << 3,

    /// <summary><see cref="CpuState.PendingDebug"/> holds a debug trap.</summary>
    DebugTrap = 1 << 4,

    /// <summary>Guest mode is to be left (#VMEXIT).</summary>
    VmExit = 1 << 5,

    /// <summary>An interrupt controller, an NMI or IF changed: look whether an interrupt is due.</summary>
    Interrupt = 1 << 8,

    /// <summary>The run loop or another thread wants the engine to return.</summary>
    Stop = 1 << 9,
}

/// <summary>What the meaning of code bytes depends on.</summary>
[Flags]
public enum CodeMode : uint
{
    Code16 = 0,
    Code32 = 1,
    Code64 = 2,
    SizeMask = 3,

    /// <summary>Memory operands through ES, CS, SS, DS need no base, limit or type check (set in 64-bit mode too).</summary>
    Flat = 1 << 2,

    /// <summary>The stack pointer is 32 bits wide (16 where clear); ignored in 64-bit mode.</summary>
    Stack32 = 1 << 3,

    /// <summary>Legacy SSE instructions are enabled and raise no exception (all are masked), so that the host may execute them in line.</summary>
    Sse = 1 << 4,

    /// <summary>The same of VEX-encoded instructions.</summary>
    Avx = 1 << 5,

    /// <summary>The same of x87 and MMX instructions.</summary>
    X87 = 1 << 6,

    /// <summary>PUSHF, POPF or PAUSE may leave guest mode, so that their handlers must be asked.</summary>
    Intercepts = 1 << 7,

    Mask = 0xFF,
}

/// <summary>Which permissions data accesses are checked with; each has a TLB of its own.</summary>
public enum AccessMode : byte
{
    Supervisor,

    /// <summary>Supervisor with SMAP in force: user pages fault.</summary>
    SupervisorSmap,
    User,

    /// <summary>User accesses that must be looked at one by one (alignment check on): its TLB never matches.</summary>
    UserAligned,
}

public enum InterruptShadow : byte
{
    None,
    Sti,

    /// <summary>MOV SS and POP SS also hold off debug traps.</summary>
    MovSs,
}

[StructLayout(LayoutKind.Sequential, Size = 24)]
public struct PendingException
{
    public ulong Address;
    public uint ErrorCode;
    public Vector Vector;
    public bool HasErrorCode;

    /// <summary>Raised by INT n, INT3, INTO, INT1: gate DPL is checked, RIP is past the instruction.</summary>
    public bool Software;
}
