using System.Collections.ObjectModel;
using System.Management.Automation;
using System.Management.Automation.Host;
using System.Management.Automation.Internal;
using System.Security;
using System.Text;

namespace X86Virt.Shell.Host;

/// <summary>Streams to the terminal: colours and progress where there is one, plain text where output is redirected.</summary>
internal sealed class ShellUserInterface : PSHostUserInterface
{
    private readonly ProgressLine _progress = new();

    public override PSHostRawUserInterface RawUI { get; } = new ShellRawUserInterface();
    public override bool SupportsVirtualTerminal => !Console.IsOutputRedirected;

    private static string Plain(string text) => new StringDecorated(text).ToString(OutputRendering.PlainText);

    public override void Write(string value)
    {
        _progress.Clear();
        Console.Out.Write(Console.IsOutputRedirected ? Plain(value) : value);
    }

    public override void Write(ConsoleColor foregroundColor, ConsoleColor backgroundColor, string value)
    {
        if (Console.IsOutputRedirected)
        {
            Write(value);
            return;
        }
        _progress.Clear();
        ConsoleColor before = Console.ForegroundColor, behind = Console.BackgroundColor;
        Console.ForegroundColor = foregroundColor;
        if (backgroundColor != behind)
            Console.BackgroundColor = backgroundColor;
        Console.Out.Write(value);
        Console.ResetColor();
        if (before != (ConsoleColor)(-1))
            Console.ForegroundColor = before;
    }

    public override void WriteLine(string value)
    {
        Write(value);
        Console.Out.WriteLine();
    }

    public override void WriteErrorLine(string value) => Message(Console.Error, Console.IsErrorRedirected, "31", value);

    public override void WriteDebugLine(string message) => Message(Console.Out, Console.IsOutputRedirected, "33", "DEBUG: " + message);

    public override void WriteVerboseLine(string message) => Message(Console.Out, Console.IsOutputRedirected, "33", "VERBOSE: " + message);

    public override void WriteWarningLine(string message) => Message(Console.Out, Console.IsOutputRedirected, "33", "WARNING: " + message);

    private void Message(TextWriter writer, bool plain, string colour, string text)
    {
        _progress.Clear();
        writer.WriteLine(plain ? Plain(text) : $"\e[{colour};1m{text}\e[0m");
    }

    public override void WriteProgress(long sourceId, ProgressRecord record) => _progress.Show(record);

    public override string ReadLine() => Console.In.ReadLine() ?? "";

    public override SecureString ReadLineAsSecureString()
    {
        var secret = new SecureString();
        while (true)
        {
            ConsoleKeyInfo key = Console.ReadKey(intercept: true);
            if (key.Key == ConsoleKey.Enter)
                break;
            if (key.Key == ConsoleKey.Backspace && secret.Length > 0)
                secret.RemoveAt(secret.Length - 1);
            else if (key.KeyChar >= ' ')
                secret.AppendChar(key.KeyChar);
        }
        Console.Out.WriteLine();
        return secret;
    }

    public override Dictionary<string, PSObject> Prompt(string caption, string message, Collection<FieldDescription> descriptions)
    {
        if (!string.IsNullOrEmpty(caption))
            WriteLine(caption);
        if (!string.IsNullOrEmpty(message))
            WriteLine(message);
        var answers = new Dictionary<string, PSObject>();
        foreach (FieldDescription field in descriptions)
        {
            if (Console.IsInputRedirected && Console.In.Peek() < 0)
                throw new PSInvalidOperationException($"A value for '{field.Name}' is missing, and nobody is there to be asked for it.");
            Write(field.Name + ": ");
            answers[field.Name] = PSObject.AsPSObject(ReadLine());
        }
        return answers;
    }

    public override int PromptForChoice(string caption, string message, Collection<ChoiceDescription> choices, int defaultChoice)
    {
        if (Console.IsInputRedirected && Console.In.Peek() < 0)
            return defaultChoice;
        if (!string.IsNullOrEmpty(caption))
            WriteLine(caption);
        if (!string.IsNullOrEmpty(message))
            WriteLine(message);
        var text = new StringBuilder();
        for (int i = 0; i < choices.Count; i++)
            text.Append('[').Append(Key(choices[i])).Append("] ").Append(choices[i].Label.Replace("&", "", StringComparison.Ordinal)).Append("  ");
        if (defaultChoice >= 0)
            text.Append("(default is \"").Append(Key(choices[defaultChoice])).Append("\"): ");
        while (true)
        {
            Write(text.ToString());
            string? answer = Console.In.ReadLine();
            if (string.IsNullOrWhiteSpace(answer))
                return defaultChoice;
            for (int i = 0; i < choices.Count; i++)
            {
                if (string.Equals(answer.Trim(), Key(choices[i]), StringComparison.OrdinalIgnoreCase)
                    || string.Equals(answer.Trim(), choices[i].Label.Replace("&", "", StringComparison.Ordinal), StringComparison.OrdinalIgnoreCase))
                    return i;
            }
        }
    }

    private static string Key(ChoiceDescription choice)
    {
        int mark = choice.Label.IndexOf('&', StringComparison.Ordinal);
        return mark >= 0 && mark + 1 < choice.Label.Length ? choice.Label[(mark + 1)..(mark + 2)].ToUpperInvariant() : choice.Label;
    }

    public override PSCredential PromptForCredential(string caption, string message, string userName, string targetName)
        => throw new NotSupportedException("This shell does not ask for credentials; use pwsh.");

    public override PSCredential PromptForCredential(string caption, string message, string userName, string targetName,
        PSCredentialTypes allowedCredentialTypes, PSCredentialUIOptions options)
        => throw new NotSupportedException("This shell does not ask for credentials; use pwsh.");
}
