namespace X86Virt.Bench;

/// <summary>Markdown tables on the console, row by row as they are measured, and every measurement in a file for scripts.</summary>
internal sealed class Report(string? tablePath) : IDisposable
{
    private const int FirstWidth = 42;

    private readonly StreamWriter? _table = Open(tablePath);
    private int[] _widths = [];

    private static StreamWriter? Open(string? path)
    {
        if (path == null)
            return null;
        var writer = new StreamWriter(path) { AutoFlush = true };
        writer.WriteLine("Suite\tKernel\tBits\tTarget\tNanoseconds\tTimesNative\tPeerTimes");
        return writer;
    }

    public void Title(string text) => Console.WriteLine($"\n### {text}\n");

    public void Header(IReadOnlyList<string> names)
    {
        _widths = [.. names.Select((name, i) => i == 0 ? FirstWidth : Math.Max(6, name.Length))];
        Row(names);
        Console.WriteLine($"|{string.Join("|", _widths.Select((w, i) => i == 0 ? new string('-', w + 2) : new string('-', w + 1) + ":"))}|");
    }

    public void Row(IReadOnlyList<string> cells)
        => Console.WriteLine($"| {string.Join(" | ", cells.Select((c, i) => i == 0 ? c.PadRight(_widths[i]) : c.PadLeft(_widths[i])))} |");

    public void Record(string suite, string kernel, int bits, string target, double nanoseconds, double timesNative, double peerTimes)
        => _table?.WriteLine(string.Join('\t', suite, kernel, bits, target, nanoseconds, timesNative, peerTimes));

    public static void Complain(string text) => Console.Error.WriteLine($"bench: {text}");

    /// <summary>Three significant digits, or what there is before the point.</summary>
    public static string Number(double value) => double.IsNaN(value) ? "-" : value.ToString(value >= 100 ? "0" : value >= 10 ? "0.0" : "0.00");

    public void Dispose() => _table?.Dispose();
}
