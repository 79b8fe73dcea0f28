using System.Runtime.CompilerServices;

namespace X86Virt.Engine.Processor;

/// <summary>
/// Decodes each run of instructions once into entries with pre-bound handlers, and executes those. Blocks are kept by physical address and
/// mode; a small direct-mapped cache by linear address finds the next one. Agrees with <see cref="Interpreter"/> to the instruction.
/// </summary>
public sealed unsafe class DecodedCache : ExecutionEngine
{
    private const int BlockLimit = 48;

    private readonly Interpreter _interpreter;
    private readonly BlockDecoder _decoder;
    private readonly BlockCache _blocks;
    private bool _disposed;

    public DecodedCache(Cpu cpu) : base(cpu)
    {
        _interpreter = new Interpreter(cpu);
        _blocks = new BlockCache(cpu);
        _decoder = new BlockDecoder(cpu, _blocks);
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
                    if (s->Budget <= 0 || Cpu.StopsAtBreakpoint())
                        return;
                    EventDelivery.StepWatched(Cpu, _interpreter);
                    continue;
                }
            }

            ulong rip = s->Rip;
            ulong linear = (s->Mode & CodeMode.SizeMask) == CodeMode.Code64 ? rip : (uint)(CpuState.Seg(s, Segment.Cs)->Base + rip);
            Block* block = CodeLookup.Find(s, linear);
            if (block == null)
            {
                // One that is passed is executed alone, and gets no entry.
                bool breakpoint = Cpu.Breakpoints.IsAt(linear);
                if (breakpoint && s->Budget > 0 && Cpu.Breakpoints.Stops(linear, s->Retired))
                    return;
                block = breakpoint ? null : FindOrDecode(linear, rip);
                if (block == null)
                {
                    if (s->Attention != Attention.None)
                        continue;
                    if (s->Budget <= 0)
                        return;
                    _interpreter.Execute();
                    continue;
                }
                CodeLookup.Set(s, linear, block, null);
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

    public override bool Step() => _interpreter.Step();

    public override void ForgetCode() => _blocks.Flush();

    /// <summary>The block at an address; null if a fault was raised or the code must be interpreted (devices, faults within).</summary>
    private Block* FindOrDecode(ulong linear, ulong rip)
    {
        // At the deadline nothing may happen any more, not even a fetch fault.
        if (Cpu.State->Budget <= 0)
            return null;
        Block* block = _decoder.FindOrDecode(linear, rip, Cpu.State->Mode, 0, BlockLimit, out bool isNew);
        if (block != null && isNew)
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
