using Iced.Intel;

namespace X86Virt.Engine.Tests.Differential;

/// <summary>What may differ from the host by review: reviewed.txt, which says why.</summary>
internal sealed class ReviewedDifferences
{
    private const string FlagLetters = "C.P.A.ZS..DO";

    private readonly Dictionary<Mnemonic, uint> _flags = [];
    private readonly HashSet<Mnemonic> _partial = [];
    private readonly HashSet<Mnemonic> _faultAddress = [];

    public ReviewedDifferences(string path)
    {
        foreach (string line in File.ReadLines(path))
        {
            if (line.Length == 0 || line[0] == '#')
                continue;
            string[] columns = line.Split('|', StringSplitOptions.TrimEntries);
            if (columns.Length != 3 || columns[2].Length == 0)
                throw new FormatException($"{path}: '{line}' is not 'what | mnemonics | why'.");
            foreach (string name in columns[1].Split(' ', StringSplitOptions.RemoveEmptyEntries))
                Add(columns[0], Enum.Parse<Mnemonic>(name, ignoreCase: true));
        }
    }

    private void Add(string what, Mnemonic mnemonic)
    {
        switch (what.Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            case ["flags", string letters]:
                _flags[mnemonic] = letters.Aggregate(0u, (mask, letter) => mask | 1u << FlagLetters.IndexOf(letter, StringComparison.Ordinal));
                break;
            case ["partial"]:
                _partial.Add(mnemonic);
                break;
            case ["fault-address"]:
                _faultAddress.Add(mnemonic);
                break;
            default:
                throw new FormatException($"'{what}' is not a kind of difference.");
        }
    }

    /// <summary>Flags that the manuals leave undefined and that we do not reproduce.</summary>
    public uint UndefinedFlags(in Instruction instruction) => _flags.GetValueOrDefault(instruction.Mnemonic);

    /// <summary>Whether the host leaves registers or memory half-changed when the instruction faults in the middle.</summary>
    public bool HasPartialEffects(in Instruction instruction) => _partial.Contains(instruction.Mnemonic);

    /// <summary>Whether the address of a page fault may be another operand's.</summary>
    public bool MayFaultElsewhere(in Instruction instruction) => _faultAddress.Contains(instruction.Mnemonic);
}
