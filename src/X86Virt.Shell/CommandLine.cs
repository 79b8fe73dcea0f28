namespace X86Virt.Shell;

/// <summary>What the program was started to do: a script with arguments, a command, or the prompt.</summary>
internal sealed record CommandLine
{
    public const string Usage = "usage: x86virt [-NoExit] [script.ps1 [arguments...] | -File script.ps1 [arguments...] | -Command text | -Help]";

    /// <summary>Module to import first; null for none.</summary>
    public string? Module { get; private init; }
    public string? File { get; private init; }
    public string? Command { get; private init; }

    /// <summary>Stay at the prompt after the script or command.</summary>
    public bool NoExit { get; private init; }

    /// <summary>Only say what can be given.</summary>
    public bool Help { get; private init; }

    /// <summary>The script's, not yet told apart into names and values.</summary>
    public IReadOnlyList<string> Rest { get; private init; } = [];

    /// <summary>Null with a message for the user if the arguments make no sense.</summary>
    public static CommandLine? Parse(string[] args, out string? error)
    {
        error = null;
        string? module = null;
        bool noExit = false;
        for (int i = 0; i < args.Length; i++)
        {
            string name = args[i].TrimStart('-').ToUpperInvariant();
            bool isSwitch = args[i].StartsWith('-');
            if (!isSwitch)
                return new CommandLine { Module = module, NoExit = noExit, File = args[i], Rest = args[(i + 1)..] };
            switch (name)
            {
                case "MODULE" when i + 1 < args.Length:
                    module = args[++i];
                    break;
                case "NOPROFILE" or "NOLOGO" or "NONINTERACTIVE":
                    break;
                case "HELP" or "H" or "?":
                    return new CommandLine { Help = true };
                case "NOEXIT":
                    noExit = true;
                    break;
                case "FILE" or "F" when i + 1 < args.Length:
                    return new CommandLine { Module = module, NoExit = noExit, File = args[i + 1], Rest = args[(i + 2)..] };
                case "COMMAND" or "C" when i + 1 < args.Length:
                    string text = string.Join(' ', args[(i + 1)..]);
                    return new CommandLine { Module = module, NoExit = noExit, Command = text == "-" ? Console.In.ReadToEnd() : text };
                default:
                    error = $"'{args[i]}' is not understood, or something is missing behind it.\n{Usage}";
                    return null;
            }
        }
        if (!Console.IsInputRedirected)
            return new CommandLine { Module = module, NoExit = true };
        return new CommandLine { Module = module, Command = Console.In.ReadToEnd() };
    }
}
