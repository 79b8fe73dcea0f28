using System.Globalization;
using System.Text;

namespace X86Virt.Engine;

/// <summary>A guest's physical address space as a drawing: rows of cells, each of so many bytes, and a legend.</summary>
/// <param name="title">Written above it.</param>
/// <param name="regions">The map, by address.</param>
public sealed class MemoryMapDrawing(string title, IReadOnlyList<MemoryMapRegion> regions)
{
    private const int Columns = 64, MostRows = 96, CellSize = 9, Left = 110, Margin = 16, LineHeight = 18, RowsPerLabel = 8, LegendWidth = 330;
    private const ulong Page = 0x1000, LargeGap = 1 << 20, Mib = 1 << 20;

    /// <summary>A part of the address space without a large gap; cells are of a power of two of bytes.</summary>
    private sealed record Area(ulong Start, ulong End, ulong Cell)
    {
        public int Rows => (int)((End - Start + Cell * Columns - 1) / (Cell * Columns));
    }

    /// <summary>Something that has a colour of its own; the first of those in a cell is what the cell shows.</summary>
    private readonly record struct Look(MemoryMapState State, ulong? PageSize, bool Dirty);

    private static readonly (Look Look, string Color, string Text)[] s_looks =
    [
        (new(MemoryMapState.Device, null, false), "#f28e2b", "device"),
        (new(MemoryMapState.PageTable, null, false), "#d62728", "page table with a shadow, traced"),
        (new(MemoryMapState.Rom, null, false), "#8c6d4f", "ROM"),
        (new(MemoryMapState.Mapped, 4 << 10, true), "#1f5fa8", "nested page of 4 KiB, dirty"),
        (new(MemoryMapState.Mapped, 2 << 20, true), "#1e8449", "nested page of 2 MiB, dirty"),
        (new(MemoryMapState.Mapped, 1 << 30, true), "#6c3483", "nested page of 1 GiB, dirty"),
        (new(MemoryMapState.Mapped, 4 << 10, false), "#9cc4ea", "nested page of 4 KiB"),
        (new(MemoryMapState.Mapped, 2 << 20, false), "#a3d9a5", "nested page of 2 MiB"),
        (new(MemoryMapState.Mapped, 1 << 30, false), "#d2b4de", "nested page of 1 GiB"),
        (new(MemoryMapState.Code, null, false), "#7d5ba6", "RAM with code that was executed"),
        (new(MemoryMapState.Ram, null, false), "#5b8db8", "RAM that holds data"),
        (new(MemoryMapState.Zero, null, false), "#e4eaf0", "RAM, all zero"),
        (new(MemoryMapState.Untouched, null, false), "#e4eaf0", "RAM that was not touched"),
    ];

    /// <summary>The map as SVG.</summary>
    public string ToSvg()
    {
        var body = new StringBuilder();
        int width = Left + Columns * CellSize + Margin * 2 + LegendWidth, top = Margin + LineHeight;
        body.Append(CultureInfo.InvariantCulture, $"<text x=\"{Margin}\" y=\"{top}\" font-size=\"15\" font-weight=\"bold\">{Escape(title)}</text>\n");
        top += LineHeight;
        int legendTop = top;
        foreach (Area area in Areas())
        {
            top += LineHeight;
            body.Append(CultureInfo.InvariantCulture, $"<text x=\"{Left}\" y=\"{top - 5}\">0x{area.Start:x} to 0x{area.End - 1:x}, {SizeText(area.Cell)} a cell</text>\n");
            Draw(body, area, top);
            top += area.Rows * CellSize + Margin / 2;
        }
        int legendBottom = DrawLegend(body, Left + Columns * CellSize + Margin * 2, legendTop);
        int height = Math.Max(top, legendBottom) + Margin;
        return string.Create(CultureInfo.InvariantCulture, $"""
            <svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12" shape-rendering="crispEdges">
            <rect width="{width}" height="{height}" fill="#ffffff"/>
            {body}</svg>

            """);
    }

    private IEnumerable<Area> Areas()
    {
        for (int i = 0; i < regions.Count;)
        {
            ulong start = regions[i].Start, end = start;
            while (i < regions.Count && regions[i].Start - end <= LargeGap)
            {
                end = regions[i].Start + regions[i].Length;
                i++;
            }
            ulong cell = Page;
            while (cell * Columns * MostRows < end - start)
                cell *= 2;
            yield return new Area(start, end, cell);
        }
    }

    /// <summary>Cells that look alike and are next to each other in a row are one rectangle.</summary>
    private void Draw(StringBuilder body, Area area, int top)
    {
        int[] looks = Looks(area);
        for (int row = 0; row < area.Rows; row++)
        {
            int y = top + row * CellSize, rowEnd = Math.Min((row + 1) * Columns, looks.Length);
            if (row % RowsPerLabel == 0)
                body.Append(CultureInfo.InvariantCulture, $"<text x=\"{Left - 8}\" y=\"{y + CellSize}\" text-anchor=\"end\" font-size=\"10\" fill=\"#555555\">0x{area.Start + (ulong)(row * Columns) * area.Cell:x}</text>\n");
            for (int from = row * Columns, to; from < rowEnd; from = to)
            {
                to = from + 1;
                while (to < rowEnd && looks[to] == looks[from])
                    to++;
                if (looks[from] == s_looks.Length)
                    continue;
                (_, string color, string text) = s_looks[looks[from]];
                body.Append(CultureInfo.InvariantCulture, $"<rect x=\"{Left + from % Columns * CellSize}\" y=\"{y}\" width=\"{(to - from) * CellSize - 1}\" height=\"{CellSize - 1}\" fill=\"{color}\">");
                body.Append(CultureInfo.InvariantCulture, $"<title>0x{area.Start + (ulong)from * area.Cell:x} to 0x{area.Start + (ulong)to * area.Cell - 1:x}: {text}</title></rect>\n");
            }
        }
    }

    /// <summary>For each cell the number of its look; one more than there are if nothing answers there.</summary>
    private int[] Looks(Area area)
    {
        int[] looks = new int[(area.End - area.Start + area.Cell - 1) / area.Cell];
        Array.Fill(looks, s_looks.Length);
        foreach (MemoryMapRegion region in regions.Where(r => r.Start >= area.Start && r.Start < area.End))
        {
            int look = LookOf(region);
            for (ulong cell = (region.Start - area.Start) / area.Cell; cell <= (region.Start + region.Length - 1 - area.Start) / area.Cell; cell++)
                looks[cell] = Math.Min(looks[cell], look);
        }
        return looks;
    }

    private static int LookOf(MemoryMapRegion region) => Array.FindIndex(s_looks, l => l.Look == new Look(region.State, region.PageSize, region.Dirty));

    /// <summary>The looks that there are, with the bytes of each.</summary>
    private int DrawLegend(StringBuilder body, int left, int top)
    {
        body.Append(CultureInfo.InvariantCulture, $"<text x=\"{left}\" y=\"{top + 13}\" font-size=\"11\" fill=\"#555555\">A cell shows the first of these that is in it.</text>\n");
        foreach (IGrouping<int, MemoryMapRegion> group in regions.GroupBy(LookOf).OrderBy(g => g.Key))
        {
            top += LineHeight;
            (_, string color, string text) = s_looks[group.Key];
            body.Append(CultureInfo.InvariantCulture, $"<rect x=\"{left}\" y=\"{top + 4}\" width=\"12\" height=\"12\" fill=\"{color}\"/><text x=\"{left + 20}\" y=\"{top + 14}\">{text}</text>");
            body.Append(CultureInfo.InvariantCulture, $"<text x=\"{left + LegendWidth - Margin}\" y=\"{top + 14}\" text-anchor=\"end\">{SizeText(group.Aggregate(0UL, (sum, r) => sum + r.Length))}</text>\n");
        }
        return top + LineHeight;
    }

    private static string SizeText(ulong bytes)
        => bytes < Mib ? string.Create(CultureInfo.InvariantCulture, $"{bytes / 1024} KiB") : string.Create(CultureInfo.InvariantCulture, $"{bytes / (double)Mib:0.##} MiB");

    private static string Escape(string text)
        => text.Replace("&", "&amp;", StringComparison.Ordinal).Replace("<", "&lt;", StringComparison.Ordinal).Replace(">", "&gt;", StringComparison.Ordinal);
}
