using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace X86Virt.Engine.Processor;

/// <summary>
/// What all stubs share. A stub is <c>uint Stub(CpuState* s, Op* op)</c> and returns the unmasked exceptions that the instruction
/// raised, 0 if it completed. It uses no register that a callee must keep, calls nothing and cannot fault: memory operands are in
/// <see cref="CpuState.Operand"/>, exceptions of the host are masked.
/// </summary>
internal static unsafe class StubFrame
{
    public static readonly AssemblerRegister64 State = r10;
    public static readonly AssemblerRegister64 Entry = r11;

    /// <summary>Offsets of the register numbers in <see cref="Op"/>, in the order that <see cref="Lowering"/> assigns them.</summary>
    private static readonly int[] OperandFields = [24, 25, 20];

    /// <summary>Moves the arguments out of the way of implicit operands.</summary>
    public static void Begin(Assembler code)
    {
        code.mov(State, OperatingSystem.IsWindows() ? rcx : rdi);
        code.mov(Entry, OperatingSystem.IsWindows() ? rdx : rsi);
    }

    public static AssemblerMemoryOperand OperandField(int register) => __byte_ptr[Entry + OperandFields[register]];

    /// <summary>The guest's instruction with its memory operand replaced by <see cref="CpuState.Operand"/> and prefixes dropped.</summary>
    public static Instruction Redirect(in Instruction instruction)
    {
        Instruction host = instruction;
        host.HasRepPrefix = false;
        host.HasRepnePrefix = false;
        host.HasLockPrefix = false;
        host.SegmentPrefix = Register.None;
        for (int i = 0; i < host.OpCount; i++)
        {
            if (host.GetOpKind(i) != OpKind.Memory)
                continue;
            host.MemoryBase = Register.R10;
            host.MemoryIndex = Register.None;
            host.MemoryIndexScale = 1;
            host.MemoryDisplacement64 = CpuState.OperandOffset;
            host.MemoryDisplSize = 8;
        }
        return host;
    }

    public static bool ReadsFlags(in Instruction instruction) => (instruction.RflagsRead & Status) != 0;

    public static bool WritesFlags(in Instruction instruction) => (instruction.RflagsModified & Status) != 0;

    private const RflagsBits Status = RflagsBits.CF | RflagsBits.PF | RflagsBits.AF | RflagsBits.ZF | RflagsBits.SF | RflagsBits.OF;

    /// <summary>Loads the status flags from <see cref="CpuState.StatusFlags"/>; uses RAX.</summary>
    public static void LoadFlags(Assembler code)
    {
        code.mov(eax, __dword_ptr[State + CpuState.StatusFlagsOffset]);
        code.add(al, 0x7F);
        code.sahf();
    }

    /// <summary>Takes the status flags into EAX in the layout of <see cref="Flags"/>.</summary>
    public static void TakeFlags(Assembler code)
    {
        code.lahf();
        code.seto(al);
        code.and(eax, (int)Flags.All);
    }
}
