using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>Decodes a run of instructions into a block: up to the first that must end it, a breakpoint, a limit, or the end of the page.</summary>
internal sealed unsafe class BlockDecoder(Cpu cpu, BlockCache blocks)
{
    public const int MaximumLimit = 64;

    private readonly InstructionDecoder _decoder = new(cpu);
    private readonly HandlerTable _handlers = cpu.Handlers;

    /// <summary>Whether blocks go on behind conditional jumps (superblocks); what executes them must know how to leave in the middle.</summary>
    public bool PastConditionalJumps { get; set; }

    /// <summary>How often a loop is put into its block one behind the other, as far as the limit allows; 1 if loops stay as they are.</summary>
    public int Turns { get; set; } = 1;

    /// <summary>Called before a block is decoded, with its place in host memory.</summary>
    public Action<ulong>? Decoding { get; init; }

    /// <summary>What Iced made of the block decoded last, in order.</summary>
    public Instruction[] Instructions { get; } = new Instruction[MaximumLimit];

    /// <summary>
    /// Looks up or decodes the block at the current RIP. Null if a fault was raised, or if the code must be interpreted (in a device,
    /// or faulting when decoded). <paramref name="isNew"/> tells a block that was just decoded; the caller adds it to the cache.
    /// </summary>
    public Block* FindOrDecode(ulong linear, ulong rip, CodeMode mode, ulong keyRip, int limit, out bool isNew)
    {
        isNew = false;
        if (!_decoder.Fetch(linear, out byte* host, out _) || host == null)
            return null;
        ulong start = (ulong)(host - cpu.Memory.Block);
        Block* block = blocks.Find(start, mode, keyRip, out bool crosses);
        if (block == null && crosses)
        {
            if (!SecondPage(linear, out int secondPage))
                return null;
            block = blocks.FindCrossing(start, mode, keyRip, secondPage);
        }
        if (block != null)
            return block;
        isNew = true;
        Decoding?.Invoke(start);
        return Decode(host, start, linear, mode, rip, keyRip, limit);
    }

    /// <summary>A near conditional jump forwards, to a target that cannot fault. One backwards closes a loop: what is behind it runs seldom.</summary>
    private bool IsPassable(in Instruction instruction, CodeMode mode)
        => instruction.IsJccShortOrNear && (mode & CodeMode.Flat) != 0 && instruction.Op0Kind != OpKind.NearBranch16
            && instruction.NearBranchTarget >= instruction.NextIP
            && ((mode & CodeMode.SizeMask) != CodeMode.Code64 || Canonical.Is(cpu.State, instruction.NearBranchTarget));

    /// <summary>A near conditional jump back to where the block starts.</summary>
    private static bool ClosesLoop(in Instruction instruction, CodeMode mode, ulong rip)
        => instruction.IsJccShortOrNear && (mode & CodeMode.Flat) != 0 && instruction.Op0Kind != OpKind.NearBranch16 && instruction.NearBranchTarget == rip;

    /// <summary>Puts further turns of a loop behind the first; its jump is not taken in line, but where it leaves. Returns the number of entries.</summary>
    private int Unroll(Op* ops, int body, int limit)
    {
        int count = body;
        for (int turn = 1; turn < Turns && count + body <= limit; turn++)
        {
            for (int i = 0; i < body; i++, count++)
            {
                ops[count] = ops[i];
                ops[count].Ordinal = (ushort)count;
                Instructions[count] = Instructions[i];
            }
        }
        return count;
    }

    private bool SecondPage(ulong linear, out int page)
    {
        page = -1;
        ulong next = (linear & ~0xFFFUL) + 0x1000;
        if (!_decoder.Fetch(cpu.State->LongMode ? next : (uint)next, out byte* host, out _) || host == null)
            return false;
        page = cpu.Memory.PageIndex(host);
        return true;
    }

    private Block* Decode(byte* host, ulong start, ulong linear, CodeMode mode, ulong rip, ulong keyRip, int limit)
    {
        Block* block = blocks.Reserve(limit);
        Op* ops = Block.Ops(block);
        int available = 0x1000 - (int)(linear & 0xFFF);
        int offset = 0, count = 0, secondPage = -1;
        while (count < limit && offset < available && (count == 0 || !cpu.Breakpoints.EndsBlock(linear + (ulong)offset)))
        {
            DecodeResult result = _decoder.Decode(host + offset, available - offset, mode, rip + (ulong)offset, out Instruction instruction);
            if (result != DecodeResult.Decoded)
            {
                if (count > 0)
                    break;
                // The first instruction runs into the next page: a block of its own.
                if (result == DecodeResult.TooLong || !SecondPage(linear, out secondPage)
                    || !_decoder.Decode(linear, mode, rip, out instruction))
                    return null;
            }
            Lowering.Lower(instruction, mode, rip, offset, ops + count, _handlers);
            ops[count].Ordinal = (ushort)count;
            Instructions[count] = instruction;
            count++;
            offset += instruction.Length;
            if (secondPage >= 0 || (BlockEnd.Is(instruction) && !(PastConditionalJumps && IsPassable(instruction, mode))))
                break;
        }
        bool loops = secondPage < 0 && ClosesLoop(Instructions[count - 1], mode, rip);
        if (loops && Turns > 1 && !cpu.Breakpoints.EndsBlock(linear))
        {
            int body = count;
            count = Unroll(ops, body, limit);
            loops = count == body;
        }
        ops[count] = new Op { Handler = &Control.EndOfBlock, Offset = (ushort)offset, Ordinal = (ushort)count };
        *block = new Block
        {
            Start = start, Mode = mode, Rip = keyRip, Count = (ushort)count, Bytes = (ushort)offset, SecondPage = secondPage, Valid = true, Loops = loops,
        };
        return block;
    }
}
