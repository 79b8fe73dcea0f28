using System.Runtime.InteropServices;
using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>Fetches, decodes and executes one instruction at a time, remembering nothing: the reference for every other engine.</summary>
public sealed unsafe class Interpreter : ExecutionEngine
{
    private readonly InstructionDecoder _decoder;
    private readonly HandlerTable _handlers;

    // A block of one instruction, then its terminator.
    private readonly Block* _block;
    private bool _disposed;

    public Interpreter(Cpu cpu) : base(cpu)
    {
        _decoder = new InstructionDecoder(cpu);
        _handlers = cpu.Handlers;
        _block = (Block*)NativeMemory.AlignedAlloc((nuint)(sizeof(Block) + 2 * sizeof(Op)), 64);
        *_block = new Block { Count = 1, Valid = true, SecondPage = -1 };
    }

    public override string Name => "Interpreter";

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
                    EventDelivery.StepWatched(Cpu, this);
                    continue;
                }
            }
            if (s->Budget <= 0 || Cpu.StopsAtBreakpoint())
                return;
            Execute();
        }
    }

    public override bool Step()
    {
        if (!EventDelivery.Service(Cpu))
            return false;
        EventDelivery.StepWatched(Cpu, this);
        return true;
    }

    /// <summary>The instruction executed last.</summary>
    internal Op* Executed => Block.Ops(_block);

    /// <summary>Executes the instruction at RIP, with no look at events.</summary>
    internal void Execute()
    {
        CpuState* s = Cpu.State;
        CodeMode mode = s->Mode;
        ulong rip = s->Rip;
        ulong linear = (mode & CodeMode.SizeMask) == CodeMode.Code64 ? rip : (uint)(CpuState.Seg(s, Segment.Cs)->Base + rip);
        if (!_decoder.Decode(linear, mode, rip, out Instruction instruction))
            return;
        if ((mode & CodeMode.Flat) == 0 && rip + (ulong)(instruction.Length - 1) > CpuState.Seg(s, Segment.Cs)->Limit)
        {
            Fault.GeneralProtection(s, null);
            return;
        }

        Op* op = Block.Ops(_block);
        Lowering.Lower(instruction, mode, rip, 0, op, _handlers);
        op[1] = new Op { Handler = &Control.EndOfBlock, Offset = op->Length, Ordinal = 1 };
        s->BlockRip = rip;
        s->Budget--;
        do
        {
            op = op->Handler(s, op);
        }
        while (op != null);
    }

    protected override void Dispose(bool disposing)
    {
        if (!_disposed)
        {
            _disposed = true;
            NativeMemory.AlignedFree(_block);
        }
        base.Dispose(disposing);
    }
}
