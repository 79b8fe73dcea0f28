namespace X86Virt.Reports;

/// <summary>A column of a table; numbers are aligned to the right.</summary>
public sealed record ReportColumn(string Name, bool IsNumber = false);

/// <summary>A table of text. Rows have a cell for each column.</summary>
public sealed record ReportTable(string Title, IReadOnlyList<ReportColumn> Columns, IReadOnlyList<IReadOnlyList<string>> Rows);

/// <summary>Text that is shown as it stands, when it is asked for.</summary>
public sealed record ReportText(string Title, string Text);

/// <summary>One subject of a report.</summary>
public sealed record ReportSection
{
    public required string Title { get; init; }

    /// <summary>Paragraphs in front of the charts.</summary>
    public IReadOnlyList<string> Paragraphs { get; init; } = [];
    public IReadOnlyList<Chart> Charts { get; init; } = [];
    public IReadOnlyList<ReportTable> Tables { get; init; } = [];
    public IReadOnlyList<ReportText> Texts { get; init; } = [];
}

/// <summary>Results, ready to be written or shown.</summary>
public sealed record Report
{
    public required string Title { get; init; }
    public required IReadOnlyList<ReportSection> Sections { get; init; }

    /// <summary>The machine that measured: name and value.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> Host { get; init; } = [];

    /// <summary>Command lines that measure it again.</summary>
    public IReadOnlyList<string> Commands { get; init; } = [];
    public IEnumerable<Chart> Charts => Sections.SelectMany(s => s.Charts);
}
