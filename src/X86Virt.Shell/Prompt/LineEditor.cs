using System.Management.Automation;
using System.Text;

namespace X86Virt.Shell.Prompt;

/// <summary>Edits one line: cursor and Emacs keys, history, completion with Tab. Where there is no terminal it reads lines as they come.</summary>
internal sealed class LineEditor(Session session, History history)
{
    private readonly StringBuilder _text = new();
    private string _prompt = "";
    private int _cursor;

    private CommandCompletion? _completion;
    private int _completionStart, _completionLength;

    /// <summary>The line, or null at the end of input.</summary>
    public string? Read(string prompt)
    {
        if (Console.IsInputRedirected || Console.IsOutputRedirected)
        {
            if (!Console.IsInputRedirected)
                Console.Out.Write(prompt);
            return Console.In.ReadLine();
        }
        _prompt = prompt;
        _text.Clear();
        _cursor = 0;
        int recalled = history.Lines.Count;
        string draft = "";
        bool treated = Console.TreatControlCAsInput;
        Console.TreatControlCAsInput = true;
        try
        {
            Draw();
            while (true)
            {
                ConsoleKeyInfo key = Console.ReadKey(intercept: true);
                bool control = (key.Modifiers & ConsoleModifiers.Control) != 0;
                if (key.Key != ConsoleKey.Tab)
                    _completion = null;
                switch (key.Key)
                {
                    case ConsoleKey.Enter:
                        _cursor = _text.Length;
                        Draw();
                        Console.Out.WriteLine();
                        return _text.ToString();
                    case ConsoleKey.C when control:
                        Console.Out.WriteLine("^C");
                        return "";
                    case ConsoleKey.D when control && _text.Length == 0:
                        Console.Out.WriteLine();
                        return null;
                    case ConsoleKey.L when control:
                        Console.Clear();
                        break;
                    case ConsoleKey.Escape:
                        SetText("");
                        break;
                    case ConsoleKey.Tab:
                        Complete(forward: (key.Modifiers & ConsoleModifiers.Shift) == 0);
                        break;
                    case ConsoleKey.UpArrow:
                        if (recalled == history.Lines.Count)
                            draft = _text.ToString();
                        recalled = Math.Max(0, recalled - 1);
                        Recall(recalled, draft);
                        break;
                    case ConsoleKey.DownArrow:
                        recalled = Math.Min(history.Lines.Count, recalled + 1);
                        Recall(recalled, draft);
                        break;
                    case ConsoleKey.LeftArrow:
                        _cursor = control ? WordLeft() : Math.Max(0, _cursor - 1);
                        break;
                    case ConsoleKey.RightArrow:
                        _cursor = control ? WordRight() : Math.Min(_text.Length, _cursor + 1);
                        break;
                    case ConsoleKey.Home:
                    case ConsoleKey.A when control:
                        _cursor = 0;
                        break;
                    case ConsoleKey.End:
                    case ConsoleKey.E when control:
                        _cursor = _text.Length;
                        break;
                    case ConsoleKey.U when control:
                        Delete(0);
                        break;
                    case ConsoleKey.K when control:
                        _text.Length = _cursor;
                        break;
                    case ConsoleKey.W when control:
                        Delete(WordLeft());
                        break;
                    case ConsoleKey.Backspace when _cursor > 0:
                        _text.Remove(--_cursor, 1);
                        break;
                    case ConsoleKey.Delete when _cursor < _text.Length:
                        _text.Remove(_cursor, 1);
                        break;
                    default:
                        if (key.KeyChar >= ' ' && key.KeyChar != '\x7F')
                            _text.Insert(_cursor++, key.KeyChar);
                        break;
                }
                Draw();
            }
        }
        finally
        {
            Console.TreatControlCAsInput = treated;
        }
    }

    private void Recall(int index, string draft) => SetText(index < history.Lines.Count ? history.Lines[index] : draft);

    /// <summary>Deletes from there to the cursor.</summary>
    private void Delete(int from)
    {
        _text.Remove(from, _cursor - from);
        _cursor = from;
    }

    private void SetText(string text)
    {
        _text.Clear().Append(text);
        _cursor = _text.Length;
    }

    private int WordLeft()
    {
        int i = _cursor;
        while (i > 0 && !char.IsLetterOrDigit(_text[i - 1]))
            i--;
        while (i > 0 && char.IsLetterOrDigit(_text[i - 1]))
            i--;
        return i;
    }

    private int WordRight()
    {
        int i = _cursor;
        while (i < _text.Length && char.IsLetterOrDigit(_text[i]))
            i++;
        while (i < _text.Length && !char.IsLetterOrDigit(_text[i]))
            i++;
        return i;
    }

    /// <summary>Puts in the first completion; the next Tab the next one.</summary>
    private void Complete(bool forward)
    {
        if (_completion == null)
        {
            _completion = session.Complete(_text.ToString(), _cursor);
            _completionStart = _completion.ReplacementIndex;
            _completionLength = _completion.ReplacementLength;
        }
        if (_completion.CompletionMatches.Count == 0 || _completionStart < 0)
            return;
        CompletionResult? result = _completion.GetNextResult(forward);
        if (result == null)
            return;
        _text.Remove(_completionStart, _completionLength).Insert(_completionStart, result.CompletionText);
        _completionLength = result.CompletionText.Length;
        _cursor = _completionStart + _completionLength;
    }

    /// <summary>Shows the part of the line around the cursor that fits behind the prompt.</summary>
    private void Draw()
    {
        int width = Math.Max(20, Host.ShellRawUserInterface.Width);
        int room = Math.Max(10, width - _prompt.Length - 1);
        int first = Math.Max(0, _cursor - room + 1);
        // A statement of several lines is edited in one.
        string visible = _text.ToString(first, Math.Min(room, _text.Length - first)).Replace('\n', '↵');
        Console.Out.Write($"\r\e[K{_prompt}{visible}");
        int back = visible.Length - (_cursor - first);
        if (back > 0)
            Console.Out.Write($"\e[{back}D");
    }
}
