using System.Runtime.InteropServices;
using Iced.Intel;
using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Monitors;

/// <summary>
/// Instructions from one that exited up to the last of those behind it that exit, too, or jump back among them: decoded once, and executed by the monitor on its record
/// of the guest without going back to the silicon in between.
/// </summary>
internal sealed unsafe class ExitCluster : IDisposable
{
    public const int MostSteps = 16, MostBytes = 96;

    private readonly byte[] _bytes = new byte[MostBytes];
    private readonly ClusterStep[] _steps = new ClusterStep[MostSteps];
    private readonly byte* _blocks;
    private int _length, _count;

    public ExitCluster() => _blocks = (byte*)NativeMemory.AlignedAlloc(MostSteps * BlockSize, 64);

    private static nuint BlockSize => (nuint)(sizeof(Block) + 2 * sizeof(Op));

    /// <summary>Linear address of the first instruction; RIP may differ where another segment has the same code.</summary>
    public ulong Linear { get; private set; }
    public CodeMode Mode { get; private set; }

    /// <summary>There is something to gain.</summary>
    public bool Exists => _count > 1;

    /// <summary>
    /// Decodes a cluster anew.
    /// </summary>
    /// <param name="guest">The processor that is to execute it.</param>
    /// <param name="decoder">Of that processor.</param>
    /// <param name="code">The first instruction's bytes.</param>
    /// <param name="available">How many there are, up to the end of the page.</param>
    /// <param name="linear">Its linear address.</param>
    /// <param name="rip">Its RIP.</param>
    /// <param name="hasExited">Whether the instruction at a linear address is known to have exited.</param>
    public void Decode(Cpu guest, InstructionDecoder decoder, byte* code, int available, ulong linear, ulong rip, Predicate<ulong> hasExited)
    {
        Mode = guest.State->Mode;
        Linear = linear;
        int steps = 0, offset = 0, count = 0, length = 0;
        while (steps < MostSteps && offset < available)
        {
            ulong at = rip + (ulong)offset;
            if (decoder.Decode(code + offset, available - offset, Mode, at, out Instruction instruction) != DecodeResult.Decoded || offset + instruction.Length > MostBytes)
                break;
            StepKind kind = ClusterStep.KindOf(instruction);
            // What exited is the monitor's to begin with, whatever it is.
            if (kind == StepKind.None && steps > 0)
                break;
            _steps[steps] = new ClusterStep
            {
                Offset = (ushort)offset, Length = (byte)instruction.Length, Kind = kind,
                Block = kind == StepKind.None ? null : Lower(steps, instruction, at, guest.Handlers),
            };
            steps++;
            offset += instruction.Length;
            bool exits = kind is StepKind.Exit or StepKind.Msr || (kind == StepKind.Memory && hasExited(linear + (ulong)_steps[steps - 1].Offset));
            if (exits || (_steps[0].Block != null && instruction.IsJccShortOrNear && instruction.NearBranchTarget == rip))
                (count, length) = (steps, offset);
        }
        (_count, _length) = (count, length);
        new Span<byte>(code, length).CopyTo(_bytes);
    }

    /// <summary>Whether the code is what was decoded.</summary>
    public bool Matches(byte* code, int available) => _length <= available && new Span<byte>(code, _length).SequenceEqual(_bytes.AsSpan(0, _length));

    /// <summary>The number of the instruction at a distance from the start; -1 if none begins there, or none that may be executed.</summary>
    public int Find(ulong offset)
    {
        for (int i = 0; i < _count; i++)
        {
            if (_steps[i].Offset == offset)
                return _steps[i].Block == null ? -1 : i;
        }
        return -1;
    }

    public ref readonly ClusterStep this[int step] => ref _steps[step];

    private Block* Lower(int step, in Instruction instruction, ulong rip, HandlerTable handlers)
    {
        var block = (Block*)(_blocks + (nuint)step * BlockSize);
        *block = new Block { Count = 1, Valid = true, SecondPage = -1 };
        Op* op = Block.Ops(block);
        Lowering.Lower(instruction, Mode, rip, 0, op, handlers);
        op[1] = new Op { Handler = &Control.EndOfBlock, Offset = op->Length, Ordinal = 1 };
        return block;
    }

    public void Dispose() => NativeMemory.AlignedFree(_blocks);
}
