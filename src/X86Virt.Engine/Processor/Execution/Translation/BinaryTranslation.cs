using System.Diagnostics;

namespace X86Virt.Engine.Processor;

/// <summary>
/// Translates guest code to host code, unit by unit, on demand, and runs it from the translation cache. Whatever the translator leaves to the
/// interpreter's handlers, a memory access that needs more than the TLB's fast half included, is executed by the entry that was decoded
/// along with the unit; so this engine agrees with <see cref="DecodedCache"/> to the instruction.
/// </summary>
public sealed unsafe partial class BinaryTranslation : ExecutionEngine
{
    private readonly TranslationOptions _options;
    private const int UnrolledTurns = 4;
    private const CodeMode GuestUnit = (CodeMode)(1 << 10);

    private readonly int _unitLimit;
    private readonly Interpreter _interpreter;
    private readonly BlockCache _blocks;
    private readonly BlockDecoder _decoder;
    private readonly TranslationCache _cache;
    private readonly Translator _translator;
    private readonly HostAssembler _assembler = new();
    private readonly Adaptation _adaptation = new();
    private readonly bool _adapts, _superblocks, _unrolls;

    // Loops that are unrolled, by their place in host memory.
    private readonly HashSet<ulong> _hotLoops = [];

    // Whether the block being decoded is to be translated.
    private bool _stable;
    private long _translating;
    private bool _disposed;

    public BinaryTranslation(Cpu cpu, TranslationOptions options) : base(cpu)
    {
        _interpreter = new Interpreter(cpu);
        _blocks = new BlockCache(cpu) { Dropped = OnDropped };
        _decoder = new BlockDecoder(cpu, _blocks) { Decoding = OnDecoding };
        _cache = new TranslationCache(options.CacheSize, BlockCache.Parts, _assembler);
        _adapts = (options.Features & TranslationFeatures.Adaptation) != 0;
        _superblocks = (options.Features & TranslationFeatures.Superblocks) != 0 && options.UnitLimit > TranslationOptions.PaperUnitLimit;
        _unrolls = _superblocks && (options.Features & TranslationFeatures.Unrolling) != 0;
        _translator = new Translator(cpu.State, _cache, _blocks, _assembler, options, _adaptation, HandlerTable.InvalidHandler);
        _options = options;
        _unitLimit = options.UnitLimit;
    }

    /// <summary>Turns after which a loop is unrolled.</summary>
    internal int HotTurns { get; init; } = 64;

    public override string Name => "BinaryTranslation";

    public override PagingKind DefaultPaging => PagingKind.Shadow;

    /// <summary>Translation runs x86-64 code.</summary>
    public static bool IsSupported => System.Runtime.InteropServices.RuntimeInformation.ProcessArchitecture == System.Runtime.InteropServices.Architecture.X64;

    /// <summary>Times that translated code left to have a handler executed.</summary>
    public long Callouts { get; private set; }

    /// <summary>Times that it left to have the next unit found.</summary>
    public long Dispatches { get; private set; }

    public long UnitsTranslated => _translator.Units;

    public override bool Step() => _interpreter.Step();

    public override void ForgetCode() => _blocks.Flush();

    public override void Run()
    {
        CpuState* s = Cpu.State;
        // Whoever looked into the machine meanwhile may have changed exception masks, on which it depends whether code may run on the host's units.
        ModeChange.UpdateUnits(s);
        s->ForgetDerived();
        RunUnits(s);
        Cpu.CollectCounts();
    }

    private void RunUnits(CpuState* s)
    {
        uint link = 0;
        long evictions = 0;
        while (true)
        {
            if (s->Attention != Attention.None)
            {
                link = 0;
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
                if (Cpu.TranslationsLeft <= 0)
                    return;
                // One that is passed is executed alone, and gets no entry.
                bool breakpoint = Cpu.Breakpoints.IsAt(linear);
                if (breakpoint && s->Budget > 0 && Cpu.Breakpoints.Stops(linear, s->Retired))
                    return;
                block = breakpoint || s->AccessMode == AccessMode.UserAligned ? null : FindOrTranslate(linear, rip);
                if (block == null)
                {
                    link = 0;
                    if (s->Attention != Attention.None)
                        continue;
                    if (s->Budget <= 0)
                        return;
                    _interpreter.Execute();
                    continue;
                }
                if (block->HostCode != null)
                    CodeLookup.Set(s, linear, block, _cache.ToExecutable(block->HostCode));
            }

            if (s->Budget < block->Count || ((s->Mode & CodeMode.Flat) == 0 && rip + block->Bytes - 1 > CpuState.Seg(s, Segment.Cs)->Limit))
            {
                if (s->Budget <= 0)
                    return;
                link = 0;
                _interpreter.Execute();
                continue;
            }
            if (block->HostCode == null)
            {
                link = 0;
                ExecuteDecoded(s, block);
                continue;
            }
            // A unit that was just put in the place of the jump to it is fallen into.
            if (link != 0 && evictions == _blocks.Evictions && block->SecondPage < 0 && !_cache.Replaces(block, link))
            {
                if (_unrolls && block->Loops && _cache.IsIn(block, link))
                {
                    if (IsHot(block))
                    {
                        link = 0;
                        continue;
                    }
                }
                else
                {
                    _cache.Chain(link, block);
                    Tell(TranslationEventKind.Chained, block);
                }
            }
            link = Enter(s, _cache.ToExecutable(block->HostCode));
            evictions = _blocks.Evictions;
        }
    }

    /// <summary>Runs translated code until it must be dispatched anew; returns the jump to chain then, or 0.</summary>
    private uint Enter(CpuState* s, byte* code)
    {
        long[] callouts = Cpu.Statistics.Callouts;
        while (true)
        {
            var exit = (TranslationExit)_cache.Thunks.Enter(s, code);
            if (s->LiveUnits != DataUnits.None)
                X87Handlers.TakeHostImage(s);
            if (exit == TranslationExit.Dispatch)
                break;
            if (exit == TranslationExit.LoadX87)
            {
                X87Handlers.MakeHostImage(s);
                s->LiveUnits = DataUnits.X87;
                code = _cache.Executable(s->ExitResume);
                continue;
            }
            Callouts++;
            Op* op = (Op*)(_blocks.Arena + s->ExitOp);
            Block* block = Op.BlockOf(op);
            s->BlockRip = block->Rip;
            TranslatedOp* made = Block.Translated(block) + op->Ordinal;
            made->Callouts++;
            callouts[(int)made->Kind]++;
            Op* next = op->Handler(s, op);
            if (_adapts)
                Adapt(s, block, op);
            if (next == null)
                return 0;
            // The block's end, an invalidated block, or a device that wants attention: the entry leaves the block.
            if (next->Ordinal == block->Count || !block->Valid || s->PatchedOp == next)
            {
                next->Handler(s, next);
                return 0;
            }
            code = _cache.Executable(s->ExitResume);
        }
        Dispatches++;
        return s->ExitLink;
    }

    /// <summary>Behind a callout: what trapped is counted, and some of what did not.</summary>
    private void Adapt(CpuState* s, Block* block, Op* op)
    {
        bool again;
        if (s->Trapped)
        {
            s->Trapped = false;
            again = block->Valid && _adaptation.Trapped(block, op, s->Retired);
        }
        else
        {
            again = Callouts % Adaptation.LookedAt == 0 && block->Valid && _adaptation.WasInnocent(block, op);
        }
        if (again)
            _blocks.Drop(block);
    }

    /// <summary>Counts a turn of a loop, whose jump to itself is not chained before it is unrolled; true if that is now, and it was dropped for it.</summary>
    private bool IsHot(Block* block)
    {
        if (++block->Turns < HotTurns)
            return false;
        if (block->Count * 2 > _unitLimit)
        {
            // It would not fit twice.
            block->Loops = false;
            return false;
        }
        _hotLoops.Add(block->Start);
        _blocks.Drop(block);
        return true;
    }

    private void OnDecoding(ulong start)
    {
        _stable = !_adapts || !_adaptation.IsUnstable(start);
        // Handlers know only blocks that a jump taken leaves.
        _decoder.PastConditionalJumps = _stable && _superblocks;
        _decoder.Turns = _stable && _unrolls && _hotLoops.Contains(start) ? UnrolledTurns : 1;
    }

    /// <summary>Runs a block that is stored into too often to be worth translating.</summary>
    private void ExecuteDecoded(CpuState* s, Block* block)
    {
        s->BlockRip = s->Rip;
        s->Budget -= block->Count;
        Op* op = Block.Ops(block);
        do
        {
            op = op->Handler(s, op);
        }
        while (op != null);
        if (block->Valid && _adaptation.HasSettled(block))
            _blocks.Drop(block);
    }

    private Block* FindOrTranslate(ulong linear, ulong rip)
    {
        CpuState* s = Cpu.State;
        // At the deadline nothing may happen any more, not even a fetch fault.
        if (s->Budget <= 0)
            return null;
        if (!_translator.HasRoom || !_blocks.HasRoom(_unitLimit))
        {
            _blocks.NextPart();
            _cache.NextRegion(_blocks.Part);
        }
        // The TLB that a unit looks in is part of its code, and so of its key.
        CodeMode mode = s->Mode | (CodeMode)((uint)s->AccessMode << 8) | (s->GuestMode ? GuestUnit : 0);
        Block* block = _decoder.FindOrDecode(linear, rip, mode, rip, _unitLimit, out bool isNew);
        if (block == null || !isNew)
            return block;
        if (!_stable)
        {
            _blocks.Add(block);
            return block;
        }
        long start = Stopwatch.GetTimestamp();
        _translator.Translate(block, _decoder.Instructions.AsSpan(0, block->Count), s->AccessMode, s->GuestMode);
        _blocks.Add(block);
        _translating += Stopwatch.GetTimestamp() - start;
        Tell(TranslationEventKind.Translated, block);
        return block;
    }

    /// <summary>Control may still come to a dropped unit, from the one before it or in a loop of its own: its head leaves from now on.</summary>
    private void OnDropped(nint dropped, DropReason reason)
    {
        if (reason == DropReason.All)
        {
            Tell(TranslationEventKind.Cleared, null);
            _cache.Clear();
            _adaptation.Clear();
            _hotLoops.Clear();
            return;
        }
        Block* block = (Block*)dropped;
        Tell(reason switch
        {
            DropReason.Store => TranslationEventKind.StoredInto,
            DropReason.Room => TranslationEventKind.Evicted,
            _ => TranslationEventKind.Adapted,
        }, block);
        if (reason == DropReason.Store)
            _adaptation.StoredInto(block);
        if (block->HostCode == null)
            return;
        _cache.Unchain(block);
        _assembler.Cursor = block->HostCode;
        _assembler.JumpTo(block->HostExit);
    }

    protected override void Dispose(bool disposing)
    {
        if (!_disposed)
        {
            _disposed = true;
            _interpreter.Dispose();
            _blocks.Dispose();
            _cache.Dispose();
        }
        base.Dispose(disposing);
    }
}
