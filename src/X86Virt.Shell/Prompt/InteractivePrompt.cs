using System.Management.Automation;
using System.Management.Automation.Language;
using X86Virt.Shell.Host;

namespace X86Virt.Shell.Prompt;

/// <summary>Reads, runs, again; a statement that is not finished goes on in the next line.</summary>
internal sealed class InteractivePrompt(Session session, ShellHost host)
{
    private readonly History _history = History.Load();

    /// <summary>Runs until "exit" or the end of input; the exit code.</summary>
    public int Run()
    {
        if (!Console.IsInputRedirected)
            host.UI.WriteLine("X86Virt. Get-Help about_X86Virt explains; exit leaves.");
        var editor = new LineEditor(session, _history);
        while (!host.ExitRequested)
        {
            string? text = ReadStatement(editor);
            if (text == null)
                return host.ExitCode ?? 0;
            if (string.IsNullOrWhiteSpace(text))
                continue;
            _history.Add(text);
            session.RunInteractive(text);
        }
        return host.ExitCode ?? 0;
    }

    private string? ReadStatement(LineEditor editor)
    {
        string? text = editor.Read(PromptText());
        while (text != null && IsIncomplete(text))
        {
            string? more = editor.Read(">> ");
            if (more == null)
                return text;
            text += "\n" + more;
            if (more.Length == 0)
                break;
        }
        return text;
    }

    private static bool IsIncomplete(string text)
    {
        Parser.ParseInput(text, out _, out ParseError[] errors);
        return errors.Any(e => e.IncompleteInput);
    }

    private string PromptText()
    {
        IReadOnlyList<PSObject> result = session.Evaluate("prompt");
        return result.Count > 0 && result[0] != null ? result[0].ToString() : "PS> ";
    }
}
