namespace X86Virt.Shell.Prompt;

/// <summary>Lines typed before, in this session and earlier ones.</summary>
internal sealed class History
{
    private const int Kept = 1000;

    private readonly string _path;
    private readonly List<string> _lines;

    private History(string path, IEnumerable<string> lines)
    {
        _path = path;
        _lines = [.. lines];
    }

    public IReadOnlyList<string> Lines => _lines;

    public static History Load()
    {
        string folder = Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData), "x86virt");
        string path = Path.Combine(folder, "history.txt");
        try
        {
            return new History(path, File.Exists(path) ? File.ReadLines(path).TakeLast(Kept).Select(l => l.Replace('\u2028', '\n')) : []);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return new History(path, []);
        }
    }

    /// <summary>Adds a statement; lines of one statement stay together. A history that cannot be kept is no reason to fail.</summary>
    public void Add(string statement)
    {
        if (_lines.Count > 0 && _lines[^1] == statement)
            return;
        _lines.Add(statement);
        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(_path)!);
            File.AppendAllText(_path, statement.Replace('\n', '\u2028') + "\n");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
        }
    }
}
