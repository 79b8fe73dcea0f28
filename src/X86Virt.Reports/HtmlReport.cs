using System.Globalization;
using System.Net;
using System.Text;

namespace X86Virt.Reports;

/// <summary>A report as one HTML page that needs nothing besides itself. All text is escaped, so that no guest can write markup.</summary>
public static class HtmlReport
{
    private const string Style = """
        :root { color-scheme: light; }
        body { font: 15px/1.5 system-ui, sans-serif; color: #1b1f24; max-width: 1320px; margin: 2rem auto; padding: 0 1rem; }
        h1 { font-size: 1.7rem; } h2 { font-size: 1.3rem; border-bottom: 1px solid #ccd2d9; margin-top: 2.5rem; }
        figure { margin: 1rem 0; } svg { width: 100%; height: auto; }
        .scroll { overflow-x: auto; }
        table { border-collapse: collapse; width: max-content; margin: .5rem 0 1.5rem; font-variant-numeric: tabular-nums; }
        caption { text-align: left; font-weight: 600; padding: .3rem 0; }
        th, td { padding: .2rem .7rem; border-bottom: 1px solid #e3e7eb; text-align: left; vertical-align: top; max-width: 32rem; }
        thead th { background: #f3f5f7; } .number { text-align: right; white-space: nowrap; }
        pre { background: #f6f8fa; padding: .7rem; overflow-x: auto; white-space: pre-wrap; overflow-wrap: anywhere; }
        summary { cursor: pointer; }
        """;

    public static string Of(Report report)
    {
        var html = new StringBuilder();
        html.Append("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\" />\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\" />\n");
        // Even if there were markup where none is meant, the page could load and run nothing.
        html.Append("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\" />\n");
        html.Append(CultureInfo.InvariantCulture, $"<title>{Escape(report.Title)}</title>\n<style>\n{Style}\n</style>\n</head>\n<body>\n<h1>{Escape(report.Title)}</h1>\n");
        int chart = 0;
        foreach (ReportSection section in report.Sections)
            WriteSection(html, section, ref chart);
        if (report.Host.Count > 0)
        {
            html.Append("<h2>Measured on</h2>\n");
            WriteTable(html, new ReportTable("", [new("What"), new("Value")], [.. report.Host.Select(p => new[] { p.Key, p.Value })]));
        }
        if (report.Commands.Count > 0)
            html.Append(CultureInfo.InvariantCulture, $"<h2>How to repeat it</h2>\n<pre>{Escape(string.Join("\n", report.Commands))}</pre>\n");
        return html.Append("</body>\n</html>\n").ToString();
    }

    private static void WriteSection(StringBuilder html, ReportSection section, ref int chart)
    {
        html.Append(CultureInfo.InvariantCulture, $"<section>\n<h2>{Escape(section.Title)}</h2>\n");
        foreach (string paragraph in section.Paragraphs)
            html.Append(CultureInfo.InvariantCulture, $"<p>{Escape(paragraph)}</p>\n");
        foreach (Chart one in section.Charts)
            html.Append(CultureInfo.InvariantCulture, $"<figure aria-label=\"{Escape(one.Description)}\">\n{ChartRenderer.ToSvg(one, $"c{++chart}")}\n</figure>\n");
        foreach (ReportTable table in section.Tables)
            WriteTable(html, table);
        foreach (ReportText text in section.Texts)
            html.Append(CultureInfo.InvariantCulture, $"<details><summary>{Escape(text.Title)}</summary>\n<pre>{Escape(text.Text)}</pre></details>\n");
        html.Append("</section>\n");
    }

    private static void WriteTable(StringBuilder html, ReportTable table)
    {
        html.Append("<div class=\"scroll\"><table>\n");
        if (table.Title.Length > 0)
            html.Append(CultureInfo.InvariantCulture, $"<caption>{Escape(table.Title)}</caption>\n");
        html.Append("<thead><tr>");
        foreach (ReportColumn column in table.Columns)
            html.Append(CultureInfo.InvariantCulture, $"<th scope=\"col\"{Class(column)}>{Escape(column.Name)}</th>");
        html.Append("</tr></thead>\n<tbody>\n");
        foreach (IReadOnlyList<string> row in table.Rows)
        {
            html.Append("<tr>");
            for (int i = 0; i < row.Count; i++)
                html.Append(CultureInfo.InvariantCulture, $"<td{Class(table.Columns[i])}>{Escape(row[i])}</td>");
            html.Append("</tr>\n");
        }
        html.Append("</tbody>\n</table></div>\n");
    }

    private static string Class(ReportColumn column) => column.IsNumber ? " class=\"number\"" : "";

    /// <summary>Control characters, which HTML cannot have, become their pictures.</summary>
    private static string Escape(string text)
    {
        var printable = new StringBuilder(text.Length);
        foreach (char c in text.ReplaceLineEndings("\n"))
            printable.Append(c is '\n' or '\t' || !char.IsControl(c) ? c : c < ' ' ? (char)('\u2400' + c) : '\uFFFD');
        return WebUtility.HtmlEncode(printable.ToString());
    }
}
