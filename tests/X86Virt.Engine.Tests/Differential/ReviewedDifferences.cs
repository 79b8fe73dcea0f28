using Iced.Intel;

namespace X86Virt.Engine.Tests.Differential;

/// <summary>What may differ from the host by review: reviewed.txt, which says why.</summary>
internal sealed class ReviewedDifferences
{
    private const Mnemonic Any = (Mnemonic)(-1);
    private const string FlagLetters = "C.P.A.ZS..DO";

    private readonly Dictionary<Mnemonic, uint> _flags = [];
    private readonly HashSet<Mnemonic> _partial = [];
    private readonly HashSet<(string, Mnemonic)> _others = [];

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
                Add(columns[0], name == "*" ? Any : Enum.Parse<Mnemonic>(name, ignoreCase: true));
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
            default:
                _others.Add((what, mnemonic));
                break;
        }
    }

    /// <summary>Flags that the manuals leave undefined and that we do not reproduce.</summary>
    public uint UndefinedFlags(in Instruction instruction) => _flags.GetValueOrDefault(instruction.Mnemonic);

    /// <summary>Whether the host leaves registers or memory half-changed when the instruction faults in the middle.</summary>
    public bool HasPartialEffects(in Instruction instruction) => _partial.Contains(instruction.Mnemonic);

    /// <summary>Whether a difference found, by the name that reports give it, is a reviewed one.</summary>
    public bool Allows(string what, in Instruction instruction) => _others.Contains((what, instruction.Mnemonic)) || _others.Contains((what, Any));
}
