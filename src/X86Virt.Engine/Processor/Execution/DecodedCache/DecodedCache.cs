using System.Runtime.CompilerServices;
using Iced.Intel;
using X86Virt.Engine.Memory;

namespace X86Virt.Engine.Processor;

/// <summary>
/// Decodes each run of instructions once into entries with pre-bound handlers, and executes those. Blocks are kept by physical address and
/// mode; a small direct-mapped cache by linear address finds the next one. Agrees with <see cref="Interpreter"/> to the instruction.
/// </summary>
public sealed unsafe class DecodedCache : ExecutionEngine
{
    private const int BlockLimit = 48;

    private readonly Interpreter _interpreter;
    private readonly InstructionDecoder _decoder;
    private readonly HandlerTable _handlers;
    private readonly BlockCache _blocks;
    private bool _disposed;

    public DecodedCache(Cpu cpu) : base(cpu)
    {
        _interpreter = new Interpreter(cpu);
        _decoder = new InstructionDecoder(cpu);
        _handlers = cpu.Handlers;
        _blocks = new BlockCache(cpu);
    }

    public override string Name => "DecodedCache";

    /// <summary>Blocks decoded since the machine was made.</summary>
    public long BlocksDecoded => _blocks.Decoded;

    /// <summary>Blocks dropped because the guest stored into their code.</summary>
    public long BlocksInvalidated => _blocks.Invalidated;

    public override void Run()
    {
        CpuState* s = Cpu.State;
        while (true)
        {
            if (s->Attention != Attention.None)
            {
                if (!EventDelivery.Service(Cpu))
                    return;
                if (s->Attention != Attention.None)
                {
                    if (s->Budget <= 0)
                        return;
                    EventDelivery.StepWatched(Cpu, _interpreter);
                    continue;
                }
            }

            ulong rip = s->Rip;
            ulong linear = (s->Mode & CodeMode.SizeMask) == CodeMode.Code64 ? rip : (uint)(CpuState.Seg(s, Segment.Cs)->Base + rip);
            CodeLookup* entry = CodeLookup.Entry(s, linear);
            Block* block = entry->Block;
            if (entry->Linear != linear || entry->Key != s->LookupKey)
            {
                block = FindOrDecode(linear, rip);
                if (block == null)
                {
                    if (s->Attention != Attention.None)
                        continue;
                    if (s->Budget <= 0)
                        return;
                    _interpreter.Execute();
                    continue;
                }
                *entry = new CodeLookup { Linear = linear, Key = s->LookupKey, Block = block };
            }

            if (s->Budget < block->Count || ((s->Mode & CodeMode.Flat) == 0 && rip + block->Bytes - 1 > CpuState.Seg(s, Segment.Cs)->Limit))
            {
                if (s->Budget <= 0)
                    return;
                _interpreter.Execute();
                continue;
            }
            s->BlockRip = rip;
            s->Budget -= block->Count;
            Execute(s, Block.Ops(block));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Execute(CpuState* s, Op* op)
    {
        do
        {
            op = op->Handler(s, op);
        }
        while (op != null);
    }

    public override void Step() => _interpreter.Step();

    /// <summary>The block at an address; null if a fault was raised or the code must be interpreted (devices, faults within).</summary>
    private Block* FindOrDecode(ulong linear, ulong rip)
    {
        CpuState* s = Cpu.State;
        // At the deadline nothing may happen any more, not even a fetch fault.
        if (s->Budget <= 0 || !_decoder.Fetch(linear, out byte* host, out _) || host == null)
            return null;
        PhysicalMemory memory = Cpu.Memory;
        ulong start = (ulong)(host - memory.Block);
        CodeMode mode = s->Mode;
        int secondPage = -1;
        if (_blocks.HasCrossing(start, mode))
        {
            if (!SecondPage(linear, out secondPage))
                return null;
        }
        Block* block = _blocks.Find(start, mode, secondPage);
        return block != null ? block : Decode(host, start, linear, mode, rip);
    }

    private bool SecondPage(ulong linear, out int page)
    {
        page = -1;
        ulong next = (linear & ~0xFFFUL) + 0x1000;
        if (!_decoder.Fetch(Cpu.State->LongMode ? next : (uint)next, out byte* host, out _) || host == null)
            return false;
        page = Cpu.Memory.PageIndex(host);
        return true;
    }

    private Block* Decode(byte* host, ulong start, ulong linear, CodeMode mode, ulong rip)
    {
        Block* block = _blocks.Reserve(BlockLimit);
        Op* ops = Block.Ops(block);
        int available = 0x1000 - (int)(linear & 0xFFF);
        int offset = 0, count = 0, secondPage = -1;
        while (count < BlockLimit && offset < available)
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
            count++;
            offset += instruction.Length;
            if (secondPage >= 0 || BlockEnd.Is(instruction))
                break;
        }
        ops[count] = new Op { Handler = &Control.EndOfBlock, Offset = (ushort)offset, Ordinal = (ushort)count };
        *block = new Block { Start = start, Mode = mode, Count = (ushort)count, Bytes = (ushort)offset, SecondPage = secondPage, Valid = true };
        _blocks.Add(block);
        return block;
    }

    protected override void Dispose(bool disposing)
    {
        if (!_disposed)
        {
            _disposed = true;
            _interpreter.Dispose();
            _blocks.Dispose();
        }
        base.Dispose(disposing);
    }
}
