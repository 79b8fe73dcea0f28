namespace X86Virt.Engine;

/// <summary>Exceptions as the manuals call them (AMD volume 2, table 8-1).</summary>
public static class ExceptionName
{
    private static readonly string[] s_names =
    [
        "#DE divide error", "#DB debug", "NMI", "#BP breakpoint", "#OF overflow", "#BR bound range", "#UD invalid opcode",
        "#NM device not available", "#DF double fault", "coprocessor segment overrun", "#TS invalid TSS", "#NP segment not present",
        "#SS stack fault", "#GP general protection", "#PF page fault", "vector 15", "#MF x87 floating point", "#AC alignment check",
        "#MC machine check", "#XF SIMD floating point",
    ];

    /// <summary>The mnemonics, without their #.</summary>
    public static IEnumerable<string> Mnemonics => s_names.Where(n => n[0] == '#').Select(MnemonicOf);

    /// <summary>The vector of a mnemonic, with or without #.</summary>
    public static bool TryParse(string mnemonic, out byte vector)
    {
        int found = Array.FindIndex(s_names, n => n[0] == '#' && MnemonicOf(n).Equals(mnemonic.TrimStart('#'), StringComparison.OrdinalIgnoreCase));
        vector = (byte)Math.Max(found, 0);
        return found >= 0;
    }

    private static string MnemonicOf(string name) => name[1..name.IndexOf(' ', StringComparison.Ordinal)];

    /// <summary>Mnemonic and name of a vector.</summary>
    public static string Of(int vector) => vector < s_names.Length ? s_names[vector] : $"vector {vector}";
}
