using System.Management.Automation;

namespace X86Virt.Shell.Host;

/// <summary>Progress as one line at the bottom, which other output takes away and the next record brings back; nothing where redirected.</summary>
internal sealed class ProgressLine
{
    private bool _shown;

    public void Show(ProgressRecord record)
    {
        if (Console.IsErrorRedirected || Console.IsOutputRedirected)
            return;
        Clear();
        if (record.RecordType == ProgressRecordType.Completed)
            return;
        string percent = record.PercentComplete >= 0 ? $" {record.PercentComplete} %" : "";
        string text = $"{record.Activity}: {record.StatusDescription}{percent}";
        int width = Math.Max(10, ShellRawUserInterface.Width - 1);
        Console.Error.Write("\r" + (text.Length > width ? text[..width] : text));
        _shown = true;
    }

    public void Clear()
    {
        if (!_shown)
            return;
        Console.Error.Write("\r\e[K");
        _shown = false;
    }
}
