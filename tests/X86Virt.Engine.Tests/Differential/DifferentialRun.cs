using System.Runtime.CompilerServices;
using System.Text;
using Iced.Intel;
using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Tests.Differential;

/// <summary>Random instructions executed by us and by the host, batch by batch, and what was different.</summary>
internal sealed unsafe class DifferentialRun : IDisposable
{
    private const int Batch = 4096;

    private sealed class Finding
    {
        public int Count;
        public required string Sample;
    }

    private readonly ReviewedDifferences _reviewed = new(Path.Combine(AppContext.BaseDirectory, "Differential", "reviewed.txt"));
    private readonly HostOracle _oracle = HostOracle.Start(Batch);
    private readonly GuestRunner _guest;

    /// <summary>Whether flags must agree that the manuals leave undefined. Translated code does not keep what may be overwritten.</summary>
    private readonly bool _undefinedFlags;
    private readonly RandomSource _random;
    private readonly InstructionGenerator[] _generators;
    private readonly Outcome[] _ours = GC.AllocateArray<Outcome>(Batch, pinned: true);
    private readonly byte[] _ourVectors = GC.AllocateArray<byte>(Batch * XsaveImage.Size, pinned: true);
    private readonly Instruction[] _instructions = new Instruction[Batch];
    private readonly SortedDictionary<string, Finding> _findings = new(StringComparer.Ordinal);
    private readonly bool[] _seen = new bool[8192];

    public DifferentialRun(ulong seed, IEnumerable<int> modes, Func<Instruction, bool> allowed, bool vectors, string engine)
    {
        _guest = new GuestRunner(engine);
        _undefinedFlags = engine != "BinaryTranslation";
        _random = new RandomSource(seed);
        _generators = [.. modes.Select(bitness => new InstructionGenerator(_random, bitness, allowed, vectors))];
    }

    /// <summary>Instructions compared so far.</summary>
    public long Compared { get; private set; }

    /// <summary>Of those, how many raised an exception on the host.</summary>
    public long Faulted { get; private set; }

    /// <summary>Encoding forms among them.</summary>
    public int Forms => _seen.Count(s => s);

    public long Differences => _findings.Values.Sum(f => f.Count);

    public void Run(long count)
    {
        long end = Compared + count;
        while (Compared < end)
            RunBatch((int)Math.Min(Batch, end - Compared));
    }

    private void RunBatch(int count)
    {
        for (int i = 0; i < OracleLayout.MemorySize; i += 8)
            BitConverter.TryWriteBytes(_oracle.Memory[i..], _random.Interesting());
        _guest.SetMemory(_oracle.Memory);
        InstructionGenerator generator = _generators[_random.Below(_generators.Length)];
        for (int i = 0; i < count;)
        {
            OracleCase* c = _oracle.Case(i);
            byte* image = _oracle.VectorState(i);
            _instructions[i] = generator.Next(c, image);
            fixed (Outcome* ours = &_ours[i])
            {
                _guest.Execute(c, _instructions[i], image, ours, OurVectors(i));
                if (!IsSafe(c, *ours))
                    continue;
            }
            i++;
        }
        _oracle.Run(count);
        for (int i = 0; i < count; i++)
        {
            OracleCase* c = _oracle.Case(i);
            fixed (Outcome* ours = &_ours[i])
                Compare(i, c, ours);
        }
        Compared += count;
    }

    private byte* OurVectors(int index) => (byte*)Unsafe.AsPointer(ref _ourVectors[index * XsaveImage.Size]);

    /// <summary>
    /// Whether the host may execute it: an address that is unmapped here could be the oracle's own there (its program, heap, libraries and
    /// stack are at both ends of the lower half), and it can write to the code page and use the trampoline's. A branch must not lead to the
    /// instruction itself or into the jump behind it.
    /// </summary>
    private static bool IsSafe(OracleCase* c, in Outcome ours)
    {
        if (ours.Fault == (uint)Vector.PageFault)
            return IsUnmappedOnHost(ours.Address) && ours.Address >> 12 is not (OracleLayout.Code >> 12 or OracleLayout.Trampoline >> 12);
        if (ours.Fault != OracleLayout.NoFault)
            return true;
        ulong distance = ours.Rip - (c->Mode == 16 ? 0 : OracleLayout.Code) - c->CodeOffset;
        return IsUnmappedOnHost(ours.Rip) && ours.Rip >> 12 != OracleLayout.Trampoline >> 12 && (distance == c->Length || distance >= 32);
    }

    private static bool IsUnmappedOnHost(ulong address)
        => address is < 0x10000 or >= OracleLayout.Window and < 0x7000_0000_0000 or >= 1UL << 47 and < 0xFFFF_FFFF_FF60_0000 or >= 0xFFFF_FFFF_FF60_1000;

    private void Compare(int index, OracleCase* c, Outcome* ours)
    {
        Outcome* host = &c->Outcome;
        Instruction instruction = _instructions[index];
        _seen[(int)instruction.Code] = true;
        if (host->Fault != OracleLayout.NoFault)
            Faulted++;
        string? what = FirstDifference(c, instruction, ours, host);
        if (what == null && c->VectorState != 0)
            what = XsaveImage.FirstDifference(OurVectors(index), _oracle.VectorState(index) + OracleLayout.VectorOutput);
        if (what == null || _reviewed.Allows(what, instruction))
            return;
        string key = $"{instruction.Code} {what}";
        if (_findings.TryGetValue(key, out Finding? finding))
            finding.Count++;
        else
            _findings.Add(key, new Finding { Count = 1, Sample = Describe(c, instruction, ours, host) + (c->VectorState != 0 ? DescribeVectors(index) : "") });
    }

    private string DescribeVectors(int index)
    {
        byte[] Copy(byte* image) => new ReadOnlySpan<byte>(image, XsaveImage.Size).ToArray();
        byte* before = _oracle.VectorState(index);
        return string.Concat(XsaveImage.Describe(Copy(before), Copy(OurVectors(index)), Copy(before + OracleLayout.VectorOutput)).Select(l => $"    {l}\n"));
    }

    private string? FirstDifference(OracleCase* c, in Instruction instruction, Outcome* ours, Outcome* host)
    {
        if (ours->Fault == (uint)Vector.PageFault && host->Fault == (uint)Vector.GeneralProtection && !IsCanonical(ours->Address - OracleLayout.Window)
            && instruction.SegmentPrefix == Register.GS)
            return "offset not canonical";
        if (ours->Fault != host->Fault)
            return $"fault {FaultName(ours->Fault)} for {FaultName(host->Fault)}";
        if (host->Fault == (uint)Vector.PageFault)
        {
            // Above the lower half the kernel's own pages are present.
            uint mask = ours->Address >> 47 == 0 ? ~0u : ~1u;
            if (ours->Address != host->Address)
                return "fault address";
            if ((ours->ErrorCode & mask) != (host->ErrorCode & mask))
                return "error code";
        }
        else if (host->Fault != OracleLayout.NoFault && ours->ErrorCode != host->ErrorCode)
        {
            return "error code";
        }
        if (ours->Rip != host->Rip)
            return "RIP";
        if (host->Fault != OracleLayout.NoFault && _reviewed.HasPartialEffects(instruction))
            return null;
        int registers = c->Mode == 64 ? 16 : 8;
        ulong width = c->Mode == 64 ? ulong.MaxValue : uint.MaxValue;
        for (int i = 0; i < registers; i++)
        {
            if (((ours->Gpr[i] ^ host->Gpr[i]) & width) != 0)
                return "registers";
        }
        ulong flags = (Flags.RflagsStatus | Flags.Df) & ~(ulong)_reviewed.UndefinedFlags(instruction);
        if (!_undefinedFlags)
            flags &= ~(ulong)FlagsOf(instruction.RflagsUndefined);
        if (((ours->Flags ^ host->Flags) & flags) != 0)
            return $"flags {FlagNames((uint)((ours->Flags ^ host->Flags) & flags))}";
        if (ours->ChangeCount != host->ChangeCount)
            return "memory";
        for (int i = 0; i < (int)Math.Min(ours->ChangeCount, OracleCase.MaxChanges) * 2; i++)
        {
            if (ours->Changes[i] != host->Changes[i])
                return "memory";
        }
        return null;
    }

    /// <summary>Iced's names of status flags as RFLAGS has them.</summary>
    internal static uint FlagsOf(RflagsBits bits)
    {
        uint flags = 0;
        foreach ((RflagsBits bit, int position) in ((RflagsBits, int)[])
            [(RflagsBits.CF, 0), (RflagsBits.PF, 2), (RflagsBits.AF, 4), (RflagsBits.ZF, 6), (RflagsBits.SF, 7), (RflagsBits.OF, 11)])
            flags |= (bits & bit) != 0 ? 1u << position : 0;
        return flags;
    }

    private static bool IsCanonical(ulong address) => (ulong)((long)address << 16 >> 16) == address;

    private static string FaultName(uint fault) => fault == OracleLayout.NoFault ? "none" : ((Vector)fault).ToString();

    private static string FlagNames(uint flags)
    {
        var names = new StringBuilder();
        foreach ((int bit, char name) in ((int, char)[])[(11, 'O'), (10, 'D'), (7, 'S'), (6, 'Z'), (4, 'A'), (2, 'P'), (0, 'C')])
        {
            if ((flags & (1u << bit)) != 0)
                names.Append(name);
        }
        return names.ToString();
    }

    private static string Describe(OracleCase* c, in Instruction instruction, Outcome* ours, Outcome* host)
    {
        var text = new StringBuilder();
        text.AppendLine($"    {c->Mode}-bit {Convert.ToHexString(new ReadOnlySpan<byte>(c->Bytes, c->Length))}  {instruction}");
        for (int i = 0; i < (c->Mode == 64 ? 16 : 8); i++)
        {
            text.Append($"    {(Register)((int)Register.RAX + i),-3} {c->Gpr[i]:x16}");
            text.AppendLine(ours->Gpr[i] == c->Gpr[i] && host->Gpr[i] == c->Gpr[i] ? "" : $" -> ours {ours->Gpr[i]:x16} host {host->Gpr[i]:x16}");
        }
        text.AppendLine($"    flags {FlagNames((uint)c->Flags)} -> ours {FlagNames((uint)ours->Flags)} host {FlagNames((uint)host->Flags)}");
        text.AppendLine($"    RIP ours {ours->Rip:x} host {host->Rip:x}; fault ours {FaultName(ours->Fault)} {ours->ErrorCode:x} {ours->Address:x} host {FaultName(host->Fault)} {host->ErrorCode:x} {host->Address:x}");
        text.AppendLine($"    memory ours {Changes(ours)} host {Changes(host)}");
        return text.ToString();
    }

    private static string Changes(Outcome* outcome)
    {
        var text = new StringBuilder($"{outcome->ChangeCount}:");
        for (int i = 0; i < (int)Math.Min(outcome->ChangeCount, 4); i++)
            text.Append($" [{OracleLayout.Writable + outcome->Changes[i * 2]:x}]={outcome->Changes[i * 2 + 1]:x16}");
        return text.ToString();
    }

    /// <summary>What was different, most frequent first; empty if nothing was.</summary>
    public string Report()
    {
        var text = new StringBuilder();
        foreach ((string key, Finding finding) in _findings.OrderByDescending(f => f.Value.Count))
            text.AppendLine($"{finding.Count,7}  {key}").Append(finding.Sample);
        return text.ToString();
    }

    public void Dispose()
    {
        _oracle.Dispose();
        _guest.Dispose();
    }
}
