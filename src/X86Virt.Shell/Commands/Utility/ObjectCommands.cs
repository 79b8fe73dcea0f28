using System.Collections;
using System.Management.Automation;
using System.Reflection;

namespace X86Virt.Shell.Commands.Utility;

/// <summary>Cmdlets that take objects from the pipeline.</summary>
public abstract class ObjectCommand : PSCmdlet
{
    [Parameter(ValueFromPipeline = true)] public PSObject? InputObject { get; set; }
}

[Cmdlet(VerbsCommon.Select, "Object", DefaultParameterSetName = "Default")]
public sealed class SelectObjectCommand : ObjectCommand
{
    private readonly List<PSObject> _kept = [];
    private readonly HashSet<string> _seen = new(StringComparer.OrdinalIgnoreCase);
    private PropertyExpression[] _properties = [];
    private WildcardPattern[] _excluded = [];
    private int _index;

    [Parameter(Position = 0)] public object[] Property { get; set; } = [];
    [Parameter] public string[] ExcludeProperty { get; set; } = [];
    [Parameter] public string? ExpandProperty { get; set; }
    [Parameter] public SwitchParameter Unique { get; set; }
    [Parameter] public int First { get; set; } = -1;
    [Parameter] public int Last { get; set; } = -1;
    [Parameter] public int Skip { get; set; }
    [Parameter] public int SkipLast { get; set; }
    [Parameter] public int[]? Index { get; set; }
    [Parameter] public SwitchParameter Wait { get; set; }

    protected override void BeginProcessing()
    {
        _excluded = [.. ExcludeProperty.Select(e => WildcardPattern.Get(e, WildcardOptions.IgnoreCase))];
        object[] wanted = Property.Length == 0 && _excluded.Length > 0 ? ["*"] : Property;
        _properties = [.. wanted.Select(p => new PropertyExpression(p))];
        if (First == 0)
            StopUpstream();
    }

    protected override void ProcessRecord()
    {
        if (InputObject == null)
            return;
        int index = _index++;
        if (Last >= 0 || SkipLast > 0)
        {
            _kept.Add(InputObject);
            return;
        }
        if (Index != null)
        {
            if (Index.Contains(index))
                Emit(InputObject);
            return;
        }
        if (index < Skip)
            return;
        if (First >= 0 && index >= Skip + First)
            return;
        Emit(InputObject);
        if (First >= 0 && index + 1 >= Skip + First && !Wait)
            StopUpstream();
    }

    protected override void EndProcessing()
    {
        IEnumerable<PSObject> rest = SkipLast > 0 ? _kept.SkipLast(SkipLast) : _kept.SkipLast(Skip).TakeLast(Math.Max(0, Last));
        foreach (PSObject item in rest)
            Emit(item);
    }

    private void Emit(PSObject item)
    {
        PSObject result = item;
        if (_properties.Length > 0)
        {
            result = new PSObject();
            foreach (PropertyExpression property in _properties)
            {
                foreach ((string name, object? value) in property.Select(item))
                {
                    if (result.Properties[name] == null && !_excluded.Any(e => e.IsMatch(name)))
                        result.Properties.Add(new PSNoteProperty(name, value));
                }
            }
            result.TypeNames.Insert(0, "Selected." + item.BaseObject.GetType());
        }
        if (Unique && !_seen.Add(string.Join('\0', _properties.Length > 0 ? result.Properties.Select(p => p.Value?.ToString()) : [item.ToString()])))
            return;
        if (ExpandProperty == null)
        {
            WriteObject(result);
            return;
        }
        PSPropertyInfo? expanded = item.Properties[ExpandProperty];
        if (expanded != null)
            WriteObject(expanded.Value, true);
        else if (item.BaseObject is IDictionary table && table.Contains(ExpandProperty))
            WriteObject(table[ExpandProperty], true);
        else
            WriteError(new ErrorRecord(new PSArgumentException($"Property \"{ExpandProperty}\" cannot be found."), "ExpandPropertyNotFound", ErrorCategory.InvalidArgument, item));
    }

    /// <summary>Has whoever feeds the pipeline stop; the engine's exception for it is not public.</summary>
    private void StopUpstream()
    {
        Type type = typeof(PSObject).Assembly.GetType("System.Management.Automation.StopUpstreamCommandsException", true)!;
        throw (Exception)Activator.CreateInstance(type, BindingFlags.Instance | BindingFlags.NonPublic | BindingFlags.Public, null, [this], null)!;
    }
}

[Cmdlet("Sort", "Object")]
public sealed class SortObjectCommand : ObjectCommand
{
    private readonly List<PSObject> _items = [];

    [Parameter(Position = 0)] public object[] Property { get; set; } = [];
    [Parameter] public SwitchParameter Descending { get; set; }
    [Parameter] public SwitchParameter Unique { get; set; }
    [Parameter] public SwitchParameter CaseSensitive { get; set; }
    [Parameter] public SwitchParameter Stable { get; set; }
    [Parameter] public int Top { get; set; }

    protected override void ProcessRecord()
    {
        if (InputObject != null)
            _items.Add(InputObject);
    }

    protected override void EndProcessing()
    {
        var comparer = new ValueComparer(CaseSensitive);
        PropertyExpression[] properties = [.. Property.Select(p => new PropertyExpression(p))];
        IOrderedEnumerable<PSObject> sorted;
        if (properties.Length == 0)
        {
            sorted = Descending ? _items.OrderByDescending(i => (object?)i, comparer) : _items.OrderBy(i => (object?)i, comparer);
        }
        else
        {
            sorted = _items.OrderBy(_ => 0);
            foreach (PropertyExpression property in properties)
            {
                bool down = property.Descending ?? (property.Ascending is { } up ? !up : Descending);
                sorted = down ? sorted.ThenByDescending(property.Evaluate, comparer) : sorted.ThenBy(property.Evaluate, comparer);
            }
        }
        IEnumerable<PSObject> result = sorted;
        if (Unique)
            result = result.DistinctBy(i => string.Join('\0', properties.Length == 0 ? [i.ToString()] : properties.Select(p => p.Evaluate(i)?.ToString())), StringComparer.OrdinalIgnoreCase);
        if (Top > 0)
            result = result.Take(Top);
        WriteObject(result, true);
    }
}

/// <summary>What Group-Object gives.</summary>
public sealed class GroupInfo
{
    public int Count => Group.Count;
    public string Name { get; init; } = "";
    public List<PSObject> Group { get; } = [];
    public object?[] Values { get; init; } = [];
}

[Cmdlet(VerbsData.Group, "Object")]
public sealed class GroupObjectCommand : ObjectCommand
{
    private readonly Dictionary<string, GroupInfo> _groups = new(StringComparer.OrdinalIgnoreCase);
    private PropertyExpression[] _properties = [];

    [Parameter(Position = 0)] public object[] Property { get; set; } = [];
    [Parameter] public SwitchParameter NoElement { get; set; }
    [Parameter] public SwitchParameter AsHashTable { get; set; }
    [Parameter] public SwitchParameter AsString { get; set; }

    protected override void BeginProcessing() => _properties = [.. Property.Select(p => new PropertyExpression(p))];

    protected override void ProcessRecord()
    {
        if (InputObject == null)
            return;
        object?[] values = _properties.Length == 0 ? [InputObject] : [.. _properties.Select(p => p.Evaluate(InputObject))];
        string name = string.Join(", ", values.Select(v => v?.ToString()));
        if (!_groups.TryGetValue(name, out GroupInfo? group))
            _groups[name] = group = new GroupInfo { Name = name, Values = values };
        group.Group.Add(InputObject);
    }

    protected override void EndProcessing()
    {
        if (!AsHashTable)
        {
            WriteObject(_groups.Values, true);
            return;
        }
        var table = new Hashtable(StringComparer.OrdinalIgnoreCase);
        foreach (GroupInfo group in _groups.Values)
            table[AsString || group.Values[0] == null ? group.Name : group.Values[0]!] = group.Group.ToArray();
        WriteObject(table);
    }
}

/// <summary>What Measure-Object gives.</summary>
public sealed class MeasureInfo
{
    public int Count { get; set; }
    public double? Average { get; set; }
    public double? Sum { get; set; }
    public object? Maximum { get; set; }
    public object? Minimum { get; set; }
    public double? StandardDeviation { get; set; }
    public string? Property { get; set; }
    public int? Lines { get; set; }
    public int? Words { get; set; }
    public int? Characters { get; set; }
}

[Cmdlet(VerbsDiagnostic.Measure, "Object")]
public sealed class MeasureObjectCommand : ObjectCommand
{
    private readonly List<object?> _values = [];

    [Parameter(Position = 0)] public object? Property { get; set; }
    [Parameter] public SwitchParameter Sum { get; set; }
    [Parameter] public SwitchParameter Average { get; set; }
    [Parameter] public SwitchParameter Maximum { get; set; }
    [Parameter] public SwitchParameter Minimum { get; set; }
    [Parameter] public SwitchParameter StandardDeviation { get; set; }
    [Parameter] public SwitchParameter AllStats { get; set; }
    [Parameter] public SwitchParameter Line { get; set; }
    [Parameter] public SwitchParameter Word { get; set; }
    [Parameter] public SwitchParameter Character { get; set; }

    protected override void ProcessRecord()
    {
        if (InputObject == null)
            return;
        object? value = Property == null ? InputObject : new PropertyExpression(Property).Evaluate(InputObject);
        if (value != null)
            _values.Add(value is PSObject wrapped ? wrapped.BaseObject : value);
    }

    protected override void EndProcessing()
    {
        var info = new MeasureInfo { Count = _values.Count, Property = Property?.ToString() };
        if (Line || Word || Character)
        {
            string[] texts = [.. _values.Select(v => v?.ToString() ?? "")];
            info.Lines = Line ? texts.Sum(t => t.Split('\n').Length) : null;
            info.Words = Word ? texts.Sum(t => t.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries).Length) : null;
            info.Characters = Character ? texts.Sum(t => t.Length) : null;
            WriteObject(info);
            return;
        }
        if (_values.Count > 0)
        {
            if (Sum || Average || StandardDeviation || AllStats)
            {
                double[] numbers = [.. _values.Select(v => LanguagePrimitives.ConvertTo<double>(v))];
                info.Sum = Sum || AllStats ? numbers.Sum() : null;
                double mean = numbers.Average();
                info.Average = Average || AllStats ? mean : null;
                if (StandardDeviation || AllStats)
                    info.StandardDeviation = numbers.Length > 1 ? Math.Sqrt(numbers.Sum(n => (n - mean) * (n - mean)) / (numbers.Length - 1)) : 0;
            }
            IComparer<object?> comparer = new ValueComparer(false);
            if (Maximum || AllStats)
                info.Maximum = _values.Aggregate((a, b) => comparer.Compare(a, b) >= 0 ? a : b);
            if (Minimum || AllStats)
                info.Minimum = _values.Aggregate((a, b) => comparer.Compare(a, b) <= 0 ? a : b);
        }
        WriteObject(info);
    }
}

[Cmdlet(VerbsData.Compare, "Object")]
public sealed class CompareObjectCommand : PSCmdlet
{
    private readonly List<PSObject> _difference = [];

    [Parameter(Position = 0, Mandatory = true), AllowEmptyCollection] public PSObject[] ReferenceObject { get; set; } = [];
    [Parameter(Position = 1, Mandatory = true, ValueFromPipeline = true), AllowEmptyCollection] public PSObject[] DifferenceObject { get; set; } = [];
    [Parameter] public object[] Property { get; set; } = [];
    [Parameter] public SwitchParameter IncludeEqual { get; set; }
    [Parameter] public SwitchParameter ExcludeDifferent { get; set; }
    [Parameter] public SwitchParameter PassThru { get; set; }
    [Parameter] public SwitchParameter CaseSensitive { get; set; }

    protected override void ProcessRecord() => _difference.AddRange(DifferenceObject);

    protected override void EndProcessing()
    {
        PropertyExpression[] properties = [.. Property.Select(p => new PropertyExpression(p))];
        IEqualityComparer<object?> comparer = new ValueComparer(CaseSensitive);
        object?[] Key(PSObject item) => properties.Length == 0 ? [item] : [.. properties.Select(p => p.Evaluate(item))];
        bool Same(PSObject a, PSObject b) => Key(a).Zip(Key(b)).All(pair => comparer.Equals(pair.First, pair.Second));

        var left = ReferenceObject.ToList();
        foreach (PSObject item in _difference.ToArray())
        {
            int match = left.FindIndex(other => Same(other, item));
            if (match < 0)
                continue;
            if (IncludeEqual)
                Emit(item, "==", properties);
            left.RemoveAt(match);
            _difference.Remove(item);
        }
        if (ExcludeDifferent)
            return;
        foreach (PSObject item in _difference)
            Emit(item, "=>", properties);
        foreach (PSObject item in left)
            Emit(item, "<=", properties);
    }

    private void Emit(PSObject item, string side, PropertyExpression[] properties)
    {
        if (PassThru)
        {
            WriteObject(item);
            return;
        }
        var result = new PSObject();
        if (properties.Length == 0)
            result.Properties.Add(new PSNoteProperty("InputObject", item));
        foreach (PropertyExpression property in properties)
        {
            foreach ((string name, object? value) in property.Select(item))
                result.Properties.Add(new PSNoteProperty(name, value));
        }
        result.Properties.Add(new PSNoteProperty("SideIndicator", side));
        WriteObject(result);
    }
}

[Cmdlet(VerbsCommon.Get, "Unique")]
public sealed class GetUniqueCommand : ObjectCommand
{
    private PSObject? _last;

    protected override void ProcessRecord()
    {
        if (_last == null || !LanguagePrimitives.Equals(_last, InputObject))
            WriteObject(InputObject);
        _last = InputObject;
    }
}

[Cmdlet("Tee", "Object")]
public sealed class TeeObjectCommand : ObjectCommand
{
    private readonly List<object?> _items = [];

    [Parameter(Mandatory = true)] public string Variable { get; set; } = "";

    protected override void ProcessRecord()
    {
        _items.Add(InputObject);
        WriteObject(InputObject);
    }

    protected override void EndProcessing() => SessionState.PSVariable.Set(Variable, _items.Count == 1 ? _items[0] : _items.ToArray());
}
