using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>
/// Reads translation units back from what is in memory: guest code next to host code, and the ways from unit to unit as the jumps in the
/// host code have them now. Nothing is kept for it while code is translated or run.
/// </summary>
internal sealed unsafe class UnitReader
{
    private readonly Cpu _cpu;
    private readonly TranslationCache _cache;
    private readonly bool _profiles;
    private readonly Adaptation _adaptation;
    private readonly Dictionary<nint, nint> _unitsByHostCode = [];
    private readonly NasmFormatter _hostFormatter;
    private readonly IntelFormatter _guestFormatter = new(Plain());
    private readonly StringOutput _output = new();
    private Block* _unit;

    public UnitReader(Cpu cpu, TranslationCache cache, IEnumerable<nint> units, Adaptation adaptation, bool profiles)
    {
        _cpu = cpu;
        _cache = cache;
        _profiles = profiles;
        _adaptation = adaptation;
        foreach (nint unit in units.Where(u => ((Block*)u)->HostCode != null))
            _unitsByHostCode[(nint)((Block*)unit)->HostCode] = unit;
        _hostFormatter = new NasmFormatter(Plain(), new HostSymbols(this));
    }

    private static FormatterOptions Plain() => new()
    {
        HexPrefix = "0x", HexSuffix = "", SpaceAfterOperandSeparator = true, SpaceBetweenMemoryAddOperators = true, UppercaseHex = false, ShowSymbolAddress = false, BranchLeadingZeros = false,
    };

    /// <summary>All units by address.</summary>
    public IReadOnlyList<TranslationUnit> Read(string machine)
    {
        var units = new List<TranslationUnit>();
        var linksIn = new Dictionary<ulong, List<ulong>>();
        foreach (nint pointer in _unitsByHostCode.Values)
        {
            TranslationUnit unit = Read((Block*)pointer, machine);
            units.Add(unit);
            foreach (TranslationLink link in unit.LinksOut)
            {
                if (link.Kind is not (TranslationLinkKind.Chained or TranslationLinkKind.FallThrough))
                    continue;
                if (!linksIn.TryGetValue(link.Target!.Value, out List<ulong>? from))
                    linksIn[link.Target.Value] = from = [];
                from.Add(unit.Address);
            }
        }
        return [.. units.OrderBy(u => u.Address).ThenBy(u => u.AccessMode)
            .Select(u => linksIn.TryGetValue(u.Address, out List<ulong>? from) ? u with { LinksIn = [.. from.Order()] } : u)];
    }

    private TranslationUnit Read(Block* unit, string machine)
    {
        _unit = unit;
        int bitness = (unit->Mode & CodeMode.SizeMask) switch { CodeMode.Code64 => 64, CodeMode.Code32 => 32, _ => 16 };
        var instructions = new List<TranslatedInstruction>();
        Op* ops = Block.Ops(unit);
        TranslatedOp* made = Block.Translated(unit);
        ulong codeBase = bitness == 64 ? 0 : CpuState.Seg(_cpu.State, Segment.Cs)->Base;
        Instruction last = default;
        for (int i = 0; i < unit->Count; i++)
        {
            byte[] bytes = GuestBytes(unit, ops + i);
            last = Decode(bytes, bitness, unit->Rip + ops[i].Offset);
            _guestFormatter.Format(last, _output);
            int end = i + 1 < unit->Count ? made[i + 1].HostOffset : unit->HostLength;
            instructions.Add(new TranslatedInstruction(codeBase + last.IP, Convert.ToHexStringLower(bytes), _output.ToStringAndReset(), made[i].Kind,
                HostCode(unit->HostCode + made[i].HostOffset, unit->HostCode + end), made[i].Callouts, made[i].Traps, _adaptation.ReversionsOf(unit, ops + i)));
        }
        return new TranslationUnit
        {
            Machine = machine,
            Address = codeBase + unit->Rip,
            Bitness = bitness,
            AccessMode = (AccessMode)((uint)unit->Mode >> 8),
            GuestBytes = unit->Bytes,
            HostOffset = _cache.OffsetOf(unit->HostCode),
            HostBytes = unit->HostLength,
            ColdBytes = unit->HostColdLength,
            Executions = _profiles ? unit->Executions : null,
            Head = HostCode(unit->HostCode, unit->HostCode + made[0].HostOffset),
            Instructions = instructions,
            LinksOut = Links(last, codeBase),
        };
    }

    private byte[] GuestBytes(Block* unit, Op* op)
    {
        var bytes = new byte[op->Length];
        for (int k = 0; k < bytes.Length; k++)
        {
            ulong at = (unit->Start & 0xFFF) + op->Offset + (ulong)k;
            ulong page = at < 0x1000 || unit->SecondPage < 0 ? unit->Start & ~0xFFFUL : (ulong)unit->SecondPage << 12;
            bytes[k] = _cpu.Memory.Block[page + (at & 0xFFF)];
        }
        return bytes;
    }

    private static Instruction Decode(byte[] bytes, int bitness, ulong rip)
    {
        var decoder = Decoder.Create(bitness, new ByteArrayCodeReader(bytes), DecoderOptions.AMD);
        decoder.IP = rip;
        return decoder.Decode();
    }

    private static List<Instruction> DecodeHost(byte* from, byte* to)
    {
        var code = new List<Instruction>();
        var decoder = Decoder.Create(64, new ByteArrayCodeReader(new ReadOnlySpan<byte>(from, (int)Math.Max(0, to - from)).ToArray()));
        decoder.IP = (ulong)from;
        while (decoder.IP < (ulong)to)
            code.Add(decoder.Decode());
        return code;
    }

    private List<string> HostCode(byte* from, byte* to)
    {
        var lines = new List<string>();
        foreach (Instruction instruction in DecodeHost(from, to))
        {
            _hostFormatter.Format(instruction, _output);
            lines.Add(_output.ToStringAndReset());
        }
        return lines;
    }

    /// <summary>Whether a jump there stays in the unit. One to its head does not: it is a loop's, chained to the unit itself.</summary>
    private bool IsWithin(ulong address)
        => address - (ulong)_unit->HostCode - 1 < (ulong)_unit->HostLength - 1 || address - (ulong)_unit->HostCold < (ulong)_unit->HostColdLength;

    private List<TranslationLink> Links(in Instruction last, ulong codeBase)
    {
        var links = new List<TranslationLink>();
        List<Instruction> cold = DecodeHost(_unit->HostCold, _unit->HostCold + _unit->HostColdLength);
        foreach (Instruction jump in DecodeHost(_unit->HostCode, _unit->HostCode + _unit->HostLength).Concat(cold))
        {
            if (jump.Op0Kind == OpKind.NearBranch64 && !IsWithin(jump.NearBranchTarget) && _unitsByHostCode.TryGetValue((nint)jump.NearBranchTarget, out nint target))
                links.Add(new TranslationLink(TranslationLinkKind.Chained, codeBase + ((Block*)target)->Rip));
        }
        AddExits(links, cold, codeBase);
        switch (last.FlowControl)
        {
            case FlowControl.Return when last.Mnemonic == Mnemonic.Ret:
                links.Add(new TranslationLink(TranslationLinkKind.Return, null));
                break;
            case FlowControl.IndirectBranch or FlowControl.IndirectCall:
                links.Add(new TranslationLink(TranslationLinkKind.Indirect, null));
                break;
        }
        return links;
    }

    /// <summary>Exits out of line set RIP, name the jump to chain if there is one, and leave; the head's are not among the links.</summary>
    private void AddExits(List<TranslationLink> links, List<Instruction> cold, ulong codeBase)
    {
        ulong rip = 0, rax = 0;
        foreach (Instruction instruction in cold)
        {
            switch (instruction.Mnemonic)
            {
                case Mnemonic.Mov when instruction.Op0Kind == OpKind.Register && instruction.Op0Register.GetFullRegister() == Register.RAX && instruction.Op1Kind != OpKind.Register && instruction.Op1Kind != OpKind.Memory:
                    rax = instruction.GetImmediate(1);
                    break;
                case Mnemonic.Mov when instruction.Op0Kind == OpKind.Memory && instruction.MemoryBase == Register.RBX && instruction.MemoryDisplacement32 == CpuState.RipOffset:
                    rip = instruction.Op1Kind == OpKind.Register ? rax : instruction.GetImmediate(1);
                    break;
                case Mnemonic.Jmp when instruction.NearBranchTarget == (ulong)_cache.Thunks.Dispatch:
                    if (KindOf((uint)rax, rip) is { } kind)
                        links.Add(new TranslationLink(kind, codeBase + rip));
                    break;
            }
        }
    }

    private TranslationLinkKind? KindOf(uint link, ulong rip)
    {
        if (link == 0)
            return rip == _unit->Rip ? null : TranslationLinkKind.Lookup;
        byte* jump = _cache.Written(link);
        byte* end = _unit->HostCode + _unit->HostLength;
        if (jump == _unit->HostCode + 1)
            return null;
        if (jump == end + 1)
            return _unitsByHostCode.ContainsKey((nint)end) ? TranslationLinkKind.FallThrough : TranslationLinkKind.Continuation;
        return IsWithin((ulong)(jump + 4 + *(int*)jump)) ? TranslationLinkKind.Continuation : null;
    }

    /// <summary>Names fields of the state, and places that jumps lead to.</summary>
    private sealed class HostSymbols(UnitReader reader) : ISymbolResolver
    {
        public bool TryGetSymbol(in Instruction instruction, int operand, int instructionOperand, ulong address, int addressSize, out SymbolResult symbol)
        {
            string? name = null;
            if (instruction.Op0Kind == OpKind.NearBranch64)
                name = reader.PlaceName(address);
            else if (instruction.MemoryBase == Register.RBX && instructionOperand >= 0 && instruction.GetOpKind(instructionOperand) == OpKind.Memory)
                name = StateFields.NameOf((int)instruction.MemoryDisplacement32);
            symbol = name == null ? default : new SymbolResult(address, name);
            return name != null;
        }
    }

    private string? PlaceName(ulong address)
    {
        if (address == (ulong)_cache.Thunks.Callout)
            return "callout";
        if (address == (ulong)_cache.Thunks.Dispatch)
            return "leave";
        if (address == (ulong)_cache.Thunks.LoadVectors || address == (ulong)_cache.Thunks.LoadX87)
            return "load_units";
        if (_unitsByHostCode.TryGetValue((nint)address, out nint unit))
            return $"unit_{((Block*)unit)->Rip:x}";
        if (address - (ulong)_unit->HostCold < (ulong)_unit->HostColdLength)
            return $"cold+0x{address - (ulong)_unit->HostCold:x}";
        return address - (ulong)_unit->HostCode <= (ulong)_unit->HostLength ? $"body+0x{address - (ulong)_unit->HostCode:x}" : null;
    }
}
