using System.Runtime.CompilerServices;
using System.Text;
using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>Console transcripts: lines, and how much of each Receive-VMConsole has given out.</summary>
internal static class ConsoleText
{
    private const int LineLimit = 200;

    private static readonly ConditionalWeakTable<ConsoleTranscript, StrongBox<int>> s_received = [];

    /// <summary>Characters of a transcript that were received.</summary>
    public static ref int Received(ConsoleTranscript console) => ref s_received.GetOrCreateValue(console).Value;

    /// <summary>Lines without their ends, and without the empty rest behind the last end.</summary>
    public static IEnumerable<string> Lines(string text)
    {
        int start = 0;
        for (int end; (end = text.IndexOf('\n', start)) >= 0; start = end + 1)
            yield return text[start..end].TrimEnd('\r');
        if (start < text.Length)
            yield return text[start..].TrimEnd('\r');
    }

    /// <summary>The last line that is not empty, for a progress display.</summary>
    public static string LastLine(ConsoleTranscript console)
    {
        string tail = console.Read(Math.Max(0, console.Length - LineLimit)).TrimEnd();
        string line = tail[(tail.LastIndexOf('\n') + 1)..];
        var plain = new StringBuilder();
        foreach (char c in line)
            plain.Append(char.IsControl(c) ? ' ' : c);
        return plain.ToString();
    }
}
