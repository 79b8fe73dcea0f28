namespace X86Virt.PowerShell;

/// <summary>Special keys as a terminal (VT220, xterm) sends them.</summary>
internal static class ConsoleKeys
{
    private static readonly Dictionary<string, string> s_keys = new(StringComparer.OrdinalIgnoreCase)
    {
        ["Enter"] = "\r",
        ["Tab"] = "\t",
        ["Escape"] = "\e",
        ["Backspace"] = "\x7f",
        ["Up"] = "\e[A",
        ["Down"] = "\e[B",
        ["Right"] = "\e[C",
        ["Left"] = "\e[D",
        ["Home"] = "\e[H",
        ["End"] = "\e[F",
        ["Insert"] = "\e[2~",
        ["Delete"] = "\e[3~",
        ["PageUp"] = "\e[5~",
        ["PageDown"] = "\e[6~",
        ["F1"] = "\eOP",
        ["F2"] = "\eOQ",
        ["F3"] = "\eOR",
        ["F4"] = "\eOS",
        ["F5"] = "\e[15~",
        ["F6"] = "\e[17~",
        ["F7"] = "\e[18~",
        ["F8"] = "\e[19~",
        ["F9"] = "\e[20~",
        ["F10"] = "\e[21~",
        ["F11"] = "\e[23~",
        ["F12"] = "\e[24~",
    };

    /// <summary>Ctrl+2 to Ctrl+7.</summary>
    private const string ControlDigits = "\0\e\x1c\x1d\x1e\x1f";

    /// <summary>Names, and those with Ctrl.</summary>
    public static IEnumerable<string> Names => s_keys.Keys.Concat(Enumerable.Range('A', 26).Select(c => $"Ctrl+{(char)c}"));

    /// <summary>What a key sends; null if there is none of that name.</summary>
    public static string? Sequence(string name)
    {
        if (s_keys.TryGetValue(name, out string? sequence))
            return sequence;
        const string Control = "Ctrl+";
        if (name.Length != Control.Length + 1 || !name.StartsWith(Control, StringComparison.OrdinalIgnoreCase))
            return null;
        char c = char.ToUpperInvariant(name[^1]);
        return c is >= '@' and <= '_' ? ((char)(c - '@')).ToString() : null;
    }

    /// <summary>What a key that was pressed at the host's console sends; empty if it sends nothing.</summary>
    public static string Sequence(ConsoleKeyInfo key)
    {
        string name = key.Key.ToString().Replace("Arrow", "", StringComparison.Ordinal);
        if (s_keys.TryGetValue(name, out string? sequence))
            return sequence;
        string prefix = (key.Modifiers & ConsoleModifiers.Alt) != 0 ? "\e" : "";
        // Terminals send the control characters behind Ctrl+Z for Ctrl with a digit too, and .NET reports them so.
        if (key.KeyChar == 0 && (key.Modifiers & ConsoleModifiers.Control) != 0 && key.Key is >= ConsoleKey.D2 and <= ConsoleKey.D7)
            return prefix + ControlDigits[key.Key - ConsoleKey.D2];
        return key.KeyChar == 0 ? "" : prefix + key.KeyChar;
    }
}
