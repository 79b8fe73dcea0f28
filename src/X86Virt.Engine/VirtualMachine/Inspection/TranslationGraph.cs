using System.Globalization;
using System.Text;

namespace X86Virt.Engine;

/// <summary>Translation units as a drawing: a box for each, an arrow for each way from one to another.</summary>
/// <param name="units">The units, by address.</param>
public sealed class TranslationGraph(IReadOnlyList<TranslationUnit> units)
{
    /// <summary>More are not drawn.</summary>
    public const int MostUnits = 500;

    private const int CharacterWidth = 8, LineHeight = 15, Margin = 8, Gap = 60, Column = 90;

    public IReadOnlyList<TranslationUnit> Units { get; } = units;

    private static IEnumerable<string> Lines(TranslationUnit unit)
    {
        yield return $"0x{unit.Address:x}: {unit.Instructions.Count} instructions, {unit.HostBytes} bytes" + (unit.Executions is { } runs ? $", ran {runs} times" : "");
        foreach (TranslatedInstruction instruction in unit.Instructions)
            yield return $"{instruction.Text}  [{instruction.Kind}]";
    }

    private static string Style(TranslationLinkKind kind) => kind switch
    {
        TranslationLinkKind.FallThrough => "bold",
        TranslationLinkKind.Chained => "solid",
        TranslationLinkKind.Continuation => "dashed",
        _ => "dotted",
    };

    /// <summary>In the DOT language.</summary>
    public string ToDot()
    {
        var text = new StringBuilder("digraph translation {\n  node [shape=box, fontname=monospace];\n");
        var known = Units.Select(u => u.Address).ToHashSet();
        foreach (TranslationUnit unit in Units)
        {
            string label = string.Join("\\l", Lines(unit).Select(line => line.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal)));
            text.Append(CultureInfo.InvariantCulture, $"  \"{unit.Address:x}\" [label=\"{label}\\l\"];\n");
            foreach (TranslationLink link in unit.LinksOut.Where(l => l.Target != null))
            {
                if (!known.Contains(link.Target!.Value))
                    text.Append(CultureInfo.InvariantCulture, $"  \"{link.Target:x}\" [label=\"0x{link.Target:x}\", style=dashed];\n");
                text.Append(CultureInfo.InvariantCulture, $"  \"{unit.Address:x}\" -> \"{link.Target:x}\" [style={Style(link.Kind)}];\n");
            }
        }
        return text.Append("}\n").ToString();
    }

    /// <summary>Boxes one below the other by address; arrows forwards on the right, backwards on the left.</summary>
    public string ToSvg()
    {
        var boxes = new Dictionary<ulong, (int Top, int Bottom)>();
        int widest = Units.SelectMany(Lines).Select(l => l.Length).DefaultIfEmpty(1).Max() * CharacterWidth + 2 * Margin;
        int left = Column + Margin, right = left + widest, top = Margin;
        var body = new StringBuilder();
        foreach (TranslationUnit unit in Units)
        {
            string[] lines = [.. Lines(unit)];
            int height = lines.Length * LineHeight + Margin;
            boxes.TryAdd(unit.Address, (top, top + height));
            body.Append(CultureInfo.InvariantCulture, $"<rect x=\"{left}\" y=\"{top}\" width=\"{widest}\" height=\"{height}\" fill=\"#f4f6fa\" stroke=\"#345\"/>\n");
            for (int i = 0; i < lines.Length; i++)
            {
                string weight = i == 0 ? " font-weight=\"bold\"" : "";
                body.Append(CultureInfo.InvariantCulture, $"<text x=\"{left + Margin}\" y=\"{top + (i + 1) * LineHeight - 2}\"{weight}>{Escape(lines[i])}</text>\n");
            }
            top += height + Gap / 2;
        }
        int lane = 0;
        foreach (TranslationUnit unit in Units)
        {
            foreach (TranslationLink link in unit.LinksOut.Where(l => l.Target != null))
                body.Append(Arrow(boxes, boxes[unit.Address], link, left, right, lane++));
        }
        return string.Create(CultureInfo.InvariantCulture, $"""
            <svg xmlns="http://www.w3.org/2000/svg" width="{right + Column * 2}" height="{top + Margin}" font-family="monospace" font-size="12">
            <defs><marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerUnits="userSpaceOnUse" markerWidth="9" markerHeight="9" orient="auto"><path d="M0 0L8 4L0 8z" fill="#345"/></marker></defs>
            {body}</svg>

            """);
    }

    private static string Arrow(Dictionary<ulong, (int Top, int Bottom)> boxes, (int Top, int Bottom) from, TranslationLink link, int left, int right, int lane)
    {
        string line = link.Kind switch
        {
            TranslationLinkKind.FallThrough => "stroke-width=\"3\"",
            TranslationLinkKind.Chained => "stroke-width=\"1.2\"",
            TranslationLinkKind.Continuation => "stroke-dasharray=\"6 3\"",
            _ => "stroke-dasharray=\"2 3\"",
        };
        string title = $"<title>{link}</title>";
        if (!boxes.TryGetValue(link.Target!.Value, out (int Top, int Bottom) to))
        {
            int y = from.Bottom - LineHeight / 2;
            return $"<path d=\"M{right} {y}h40\" fill=\"none\" stroke=\"#345\" {line} marker-end=\"url(#head)\">{title}</path><text x=\"{right + 44}\" y=\"{y + 4}\">0x{link.Target:x}</text>\n";
        }
        if (link.Kind == TranslationLinkKind.FallThrough && to.Top > from.Bottom && to.Top - from.Bottom <= Gap)
            return $"<path d=\"M{(left + right) / 2} {from.Bottom}V{to.Top}\" fill=\"none\" stroke=\"#345\" {line} marker-end=\"url(#head)\">{title}</path>\n";
        bool back = to.Top <= from.Top;
        int side = back ? left : right, out1 = 12 + lane * 7 % (Column - 20), x = back ? side - out1 : side + out1;
        return $"<path d=\"M{side} {from.Bottom - 6}H{x}V{to.Top + 8}H{side}\" fill=\"none\" stroke=\"{(back ? "#a33" : "#345")}\" {line} marker-end=\"url(#head)\">{title}</path>\n";
    }

    private static string Escape(string text)
        => text.Replace("&", "&amp;", StringComparison.Ordinal).Replace("<", "&lt;", StringComparison.Ordinal).Replace(">", "&gt;", StringComparison.Ordinal);
}
