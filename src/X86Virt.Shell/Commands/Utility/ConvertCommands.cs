using System.Collections;
using System.Globalization;
using System.Management.Automation;
using System.Text;
using System.Text.Json;

namespace X86Virt.Shell.Commands.Utility;

[Cmdlet(VerbsData.ConvertTo, "Json")]
public sealed class ConvertToJsonCommand : PSCmdlet
{
    private readonly List<object?> _items = [];

    [Parameter(Position = 0, Mandatory = true, ValueFromPipeline = true), AllowNull] public object? InputObject { get; set; }
    [Parameter, ValidateRange(0, 100)] public int Depth { get; set; } = 2;
    [Parameter] public SwitchParameter Compress { get; set; }
    [Parameter] public SwitchParameter AsArray { get; set; }
    [Parameter] public SwitchParameter EnumsAsStrings { get; set; }

    protected override void ProcessRecord() => _items.Add(InputObject);

    protected override void EndProcessing()
    {
        using var stream = new MemoryStream();
        using (var writer = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = !Compress, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
            Write(writer, _items.Count == 1 && !AsArray ? _items[0] : _items.ToArray(), 0);
        WriteObject(Encoding.UTF8.GetString(stream.ToArray()));
    }

    private void Write(Utf8JsonWriter writer, object? value, int depth)
    {
        object? raw = value is PSObject wrapped && wrapped.BaseObject is not PSCustomObject ? wrapped.BaseObject : value;
        switch (raw)
        {
            case null or DBNull:
                writer.WriteNullValue();
                break;
            case bool flag:
                writer.WriteBooleanValue(flag);
                break;
            case string or char or Guid or Uri or Version or TimeSpan:
                writer.WriteStringValue(raw.ToString());
                break;
            case DateTime time:
                writer.WriteStringValue(time);
                break;
            case DateTimeOffset time:
                writer.WriteStringValue(time);
                break;
            case Enum name when EnumsAsStrings:
                writer.WriteStringValue(name.ToString());
                break;
            case Enum name:
                writer.WriteNumberValue(Convert.ToInt64(name, CultureInfo.InvariantCulture));
                break;
            case double number when !double.IsFinite(number):
                writer.WriteStringValue(number.ToString(CultureInfo.InvariantCulture));
                break;
            case byte or sbyte or short or ushort or int or uint or long or ulong or float or double or decimal or System.Numerics.BigInteger:
                writer.WriteRawValue(((IFormattable)raw).ToString(null, CultureInfo.InvariantCulture));
                break;
            default:
                if (depth > Depth)
                    writer.WriteStringValue(LanguagePrimitives.ConvertTo<string>(raw));
                else
                    WriteComposite(writer, raw, depth);
                break;
        }
    }

    private void WriteComposite(Utf8JsonWriter writer, object raw, int depth)
    {
        if (raw is IDictionary table)
        {
            writer.WriteStartObject();
            foreach (DictionaryEntry entry in table)
            {
                writer.WritePropertyName(entry.Key.ToString()!);
                Write(writer, entry.Value, depth + 1);
            }
            writer.WriteEndObject();
        }
        else if (raw is IEnumerable items)
        {
            writer.WriteStartArray();
            foreach (object? item in items)
                Write(writer, item, depth + 1);
            writer.WriteEndArray();
        }
        else
        {
            writer.WriteStartObject();
            foreach (PSPropertyInfo property in PSObject.AsPSObject(raw).Properties)
            {
                if (!property.IsGettable)
                    continue;
                writer.WritePropertyName(property.Name);
                Write(writer, new PropertyExpression(property.Name).Evaluate(PSObject.AsPSObject(raw)), depth + 1);
            }
            writer.WriteEndObject();
        }
    }
}

[Cmdlet(VerbsData.ConvertFrom, "Json")]
public sealed class ConvertFromJsonCommand : PSCmdlet
{
    private readonly StringBuilder _text = new();

    [Parameter(Position = 0, Mandatory = true, ValueFromPipeline = true), AllowEmptyString] public string InputObject { get; set; } = "";
    [Parameter] public SwitchParameter AsHashtable { get; set; }
    [Parameter] public SwitchParameter NoEnumerate { get; set; }
    [Parameter] public int Depth { get; set; } = 1024;

    protected override void ProcessRecord() => _text.AppendLine(InputObject);

    protected override void EndProcessing()
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(_text.ToString(), new JsonDocumentOptions { MaxDepth = Depth, CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true });
            WriteObject(Read(document.RootElement), !NoEnumerate);
        }
        catch (JsonException e)
        {
            ThrowTerminatingError(new ErrorRecord(new ArgumentException("Conversion from JSON failed with error: " + e.Message, e),
                "System.ArgumentException,Microsoft.PowerShell.Commands.ConvertFromJsonCommand", ErrorCategory.NotSpecified, null));
        }
    }

    private object? Read(JsonElement element)
    {
        switch (element.ValueKind)
        {
            case JsonValueKind.String:
                string text = element.GetString()!;
                return element.TryGetDateTime(out DateTime time) && text.Contains('T', StringComparison.Ordinal) ? time : text;
            case JsonValueKind.Number:
                return element.TryGetInt64(out long whole) ? whole : element.TryGetDecimal(out _) && element.GetRawText().All(char.IsAsciiDigit)
                    ? System.Numerics.BigInteger.Parse(element.GetRawText(), CultureInfo.InvariantCulture) : element.GetDouble();
            case JsonValueKind.True or JsonValueKind.False:
                return element.GetBoolean();
            case JsonValueKind.Array:
                return element.EnumerateArray().Select(Read).ToArray();
            case JsonValueKind.Object when AsHashtable:
                var table = new System.Collections.Specialized.OrderedDictionary();
                foreach (JsonProperty property in element.EnumerateObject())
                    table[property.Name] = Read(property.Value);
                return table;
            case JsonValueKind.Object:
                var result = new PSObject();
                foreach (JsonProperty property in element.EnumerateObject())
                    result.Properties.Add(new PSNoteProperty(property.Name, Read(property.Value)));
                return result;
            default:
                return null;
        }
    }
}

/// <summary>Rows of text.</summary>
internal static class Csv
{
    public static string Row(IEnumerable<string?> cells, char delimiter)
        => string.Join(delimiter, cells.Select(c => $"\"{c?.Replace("\"", "\"\"", StringComparison.Ordinal)}\""));

    public static List<string> Cells(string row, char delimiter)
    {
        var cells = new List<string>();
        var cell = new StringBuilder();
        bool quoted = false;
        for (int i = 0; i < row.Length; i++)
        {
            char c = row[i];
            if (c == '"' && quoted && i + 1 < row.Length && row[i + 1] == '"')
            {
                cell.Append('"');
                i++;
            }
            else if (c == '"')
            {
                quoted = !quoted;
            }
            else if (c == delimiter && !quoted)
            {
                cells.Add(cell.ToString());
                cell.Clear();
            }
            else
            {
                cell.Append(c);
            }
        }
        cells.Add(cell.ToString());
        return cells;
    }
}

/// <summary>Makes rows of objects; the first one's properties are the columns.</summary>
public abstract class CsvOutputCommand : PSCmdlet
{
    private string[]? _columns;

    [Parameter(Mandatory = true, ValueFromPipeline = true)] public PSObject? InputObject { get; set; }
    [Parameter] public char Delimiter { get; set; } = ',';
    [Parameter] public SwitchParameter NoTypeInformation { get; set; }
    [Parameter] public SwitchParameter NoHeader { get; set; }

    protected abstract void Emit(string row);

    protected override void ProcessRecord()
    {
        PSObject item = InputObject!;
        if (item.BaseObject is IDictionary table)
        {
            var converted = new PSObject();
            foreach (DictionaryEntry entry in table)
                converted.Properties.Add(new PSNoteProperty(entry.Key.ToString(), entry.Value));
            item = converted;
        }
        if (_columns == null)
        {
            _columns = [.. item.Properties.Select(p => p.Name)];
            if (!NoHeader)
                Emit(Csv.Row(_columns, Delimiter));
        }
        Emit(Csv.Row(_columns.Select(c => new PropertyExpression(c).Evaluate(item)?.ToString()), Delimiter));
    }
}

[Cmdlet(VerbsData.ConvertTo, "Csv")]
public sealed class ConvertToCsvCommand : CsvOutputCommand
{
    protected override void Emit(string row) => WriteObject(row);
}

[Cmdlet(VerbsData.Export, "Csv")]
public sealed class ExportCsvCommand : CsvOutputCommand, IDisposable
{
    private StreamWriter? _writer;

    [Parameter(Position = 0, Mandatory = true), Alias("LiteralPath")] public string Path { get; set; } = "";
    [Parameter] public SwitchParameter Append { get; set; }
    [Parameter] public SwitchParameter Force { get; set; }

    protected override void BeginProcessing() => _writer = new StreamWriter(GetUnresolvedProviderPathFromPSPath(Path), Append);

    protected override void Emit(string row) => _writer!.WriteLine(row);

    public void Dispose() => _writer?.Dispose();
}

/// <summary>Makes objects of rows.</summary>
public abstract class CsvInputCommand : PSCmdlet
{
    private IReadOnlyList<string>? _columns;

    [Parameter] public char Delimiter { get; set; } = ',';
    [Parameter] public string[]? Header { get; set; }

    protected void Take(string row)
    {
        if (row.Length == 0 || row.StartsWith("#TYPE", StringComparison.Ordinal))
            return;
        _columns ??= Header;
        List<string> cells = Csv.Cells(row, Delimiter);
        if (_columns == null)
        {
            _columns = cells;
            return;
        }
        var item = new PSObject();
        for (int i = 0; i < _columns.Count; i++)
            item.Properties.Add(new PSNoteProperty(_columns[i], i < cells.Count ? cells[i] : null));
        WriteObject(item);
    }
}

[Cmdlet(VerbsData.ConvertFrom, "Csv")]
public sealed class ConvertFromCsvCommand : CsvInputCommand
{
    [Parameter(Position = 0, Mandatory = true, ValueFromPipeline = true), AllowEmptyString] public string[] InputObject { get; set; } = [];

    protected override void ProcessRecord()
    {
        foreach (string row in InputObject.SelectMany(t => t.Split('\n')))
            Take(row.TrimEnd('\r'));
    }
}

[Cmdlet(VerbsData.Import, "Csv")]
public sealed class ImportCsvCommand : CsvInputCommand
{
    [Parameter(Position = 0, Mandatory = true), Alias("LiteralPath")] public string Path { get; set; } = "";

    protected override void ProcessRecord()
    {
        foreach (string row in File.ReadLines(GetUnresolvedProviderPathFromPSPath(Path)))
            Take(row);
    }
}
