using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace X86Virt.Engine.Processor;

/// <summary>
/// One decoded instruction: a handler and its operands, pre-bound. 32 bytes, two to a cache line. Registers are named by their byte
/// offset in <see cref="CpuState"/>, so that no handler computes one; vector and x87 registers by number.
/// Inside a block RIP is <see cref="CpuState.BlockRip"/> + <see cref="Offset"/>; nobody stores it per instruction.
/// </summary>
[StructLayout(LayoutKind.Explicit, Size = 32)]
public unsafe struct Op
{
    /// <summary>
    /// Executes the instruction and returns the next entry; null after a control transfer, a fault or anything after which
    /// the dispatch loop must look up (<see cref="CpuState.Rip"/> and <see cref="CpuState.Budget"/> are exact then).
    /// </summary>
    [FieldOffset(0)] public Handler Handler;

    /// <summary>The immediate, sign-extended as the instruction extends it; branch displacement; far or absolute offset.</summary>
    [FieldOffset(8)] public long Immediate;

    [FieldOffset(16)] public int Displacement;

    /// <summary>Offset of the base register (or <see cref="CpuState.ZeroOffset"/>, <see cref="CpuState.BlockRipOffset"/>); the third register operand where there is no memory operand.</summary>
    [FieldOffset(20)] public byte Base;
    [FieldOffset(21)] public byte Index;

    /// <summary>Shift count of the index, 0 to 3.</summary>
    [FieldOffset(22)] public byte Scale;

    /// <summary>Segment of the memory operand, overrides applied.</summary>
    [FieldOffset(23)] public Segment Segment;

    /// <summary>First register operand.</summary>
    [FieldOffset(24)] public byte Destination;

    /// <summary>Second register operand.</summary>
    [FieldOffset(25)] public byte Source;

    /// <summary>Length in bytes.</summary>
    [FieldOffset(26)] public byte Length;
    [FieldOffset(27)] public OpFlags Flags;

    /// <summary>Distance in bytes from the start of the block.</summary>
    [FieldOffset(28)] public ushort Offset;

    /// <summary>Number of instructions before this one in the block.</summary>
    [FieldOffset(30)] public ushort Ordinal;

    /// <summary>The header of the block that this entry belongs to.</summary>
    public static Block* BlockOf(Op* op) => (Block*)(op - op->Ordinal) - 1;
}

[Flags]
public enum OpFlags : byte
{
    None = 0,
    Address16 = 1,
    Address32 = 2,

    /// <summary>The effective address is narrower than 64 bits.</summary>
    Narrow = Address16 | Address32,

    /// <summary>The memory operand needs its segment's base, limit and type checked.</summary>
    Checked = 4,
    Rep = 8,
    Repne = 16,
    Lock = 32,
}

/// <summary>Header of a run of entries that are executed one after the other; the entries follow it in memory.</summary>
[StructLayout(LayoutKind.Sequential, Size = 128)]
public unsafe struct Block
{
    /// <summary>Index of the page in <see cref="Memory.PhysicalMemory"/> times 4096, plus offset: the key, with <see cref="Mode"/>.</summary>
    public ulong Start;
    public CodeMode Mode;

    /// <summary>Instructions in the block, the terminator not counted.</summary>
    public ushort Count;

    /// <summary>Bytes of guest code.</summary>
    public ushort Bytes;

    /// <summary>Next block with the same hash.</summary>
    public Block* NextInBucket;

    /// <summary>Next block that has bytes in the page it starts in.</summary>
    public Block* NextInPage;

    /// <summary>Page index where the block's last instruction ends if that is another page; -1 otherwise.</summary>
    public int SecondPage;
    public bool Valid;

    /// <summary>Ends in a conditional jump to its own start, and has that once.</summary>
    public bool Loops;

    /// <summary>Turns that were counted before it was unrolled.</summary>
    public ushort Turns;

    /// <summary>Linear address (and RIP) it was translated for; 0 where only decoded, which serves every address.</summary>
    public ulong Rip;

    /// <summary>Its host code in the write view of the translation cache; null where only decoded.</summary>
    public byte* HostCode;
    public int HostLength;

    /// <summary>The part of its host code that seldom runs (write view).</summary>
    public byte* HostCold;
    public int HostColdLength;

    /// <summary>Times that its host code ran; counted only where units are profiled.</summary>
    public long Executions;

    /// <summary>Where its host code leaves without having run: what its head jumps to once it is dropped. That jump may be chained then.</summary>
    public byte* HostExit;

    /// <summary>The first of the chained jumps that lead here, as an index among the translation cache's links; 0 if there is none.</summary>
    public int LinksIn;

    /// <summary>Next block that ends in <see cref="SecondPage"/> and starts elsewhere.</summary>
    public Block* NextInSecondPage;

    public static Op* Ops(Block* block) => (Op*)(block + 1);

    /// <summary>What became of each instruction, behind the terminator.</summary>
    public static TranslatedOp* Translated(Block* block) => (TranslatedOp*)(Ops(block) + block->Count + 1);
}
