using System.Collections;
using System.Management.Automation;

namespace X86Virt.Shell.Commands;

/// <summary>A property as cmdlets take it: a name (with wildcards), a script block, or a hashtable of both.</summary>
internal sealed class PropertyExpression
{
    private readonly string? _pattern;
    private readonly ScriptBlock? _script;
    private readonly string? _label;

    public PropertyExpression(object property)
    {
        object value = property is PSObject wrapped ? wrapped.BaseObject : property;
        if (value is IDictionary table)
        {
            Descending = Option(table, "Descending");
            Ascending = Option(table, "Ascending");
            _label = Find(table, "Name", "Label", "N", "L")?.ToString();
            value = Find(table, "Expression", "E") ?? _label ?? throw new PSArgumentException("A property's hashtable needs an Expression.");
            if (value is PSObject inner)
                value = inner.BaseObject;
        }
        if (value is ScriptBlock script)
            _script = script;
        else
            _pattern = value.ToString() ?? "";
    }

    public bool? Descending { get; }
    public bool? Ascending { get; }

    private static bool? Option(IDictionary table, string name) => Find(table, name) is { } value ? LanguagePrimitives.IsTrue(value) : null;

    private static object? Find(IDictionary table, params ReadOnlySpan<string> names)
    {
        foreach (DictionaryEntry entry in table)
        {
            foreach (string name in names)
            {
                if (string.Equals(entry.Key.ToString(), name, StringComparison.OrdinalIgnoreCase))
                    return entry.Value;
            }
        }
        return null;
    }

    /// <summary>The value of an object; null where there is none.</summary>
    public object? Evaluate(PSObject target) => Select(target).FirstOrDefault().Value;

    /// <summary>Names and values; several for a pattern with wildcards.</summary>
    public IEnumerable<(string Name, object? Value)> Select(PSObject target)
    {
        if (_script != null)
        {
            object? value = Run(_script, target);
            yield return (_label ?? _script.ToString(), value);
        }
        else if (WildcardPattern.ContainsWildcardCharacters(_pattern))
        {
            var pattern = WildcardPattern.Get(_pattern, WildcardOptions.IgnoreCase);
            foreach (PSPropertyInfo property in target.Properties)
            {
                if (pattern.IsMatch(property.Name))
                    yield return (property.Name, Value(property));
            }
        }
        else if (target.BaseObject is IDictionary table && Find(table, _pattern!) is { } entry)
        {
            yield return (_label ?? _pattern!, entry);
        }
        else
        {
            PSPropertyInfo? property = target.Properties[_pattern!];
            yield return (_label ?? property?.Name ?? _pattern!, property == null ? null : Value(property));
        }
    }

    private static object? Value(PSPropertyInfo property)
    {
        try
        {
            return property.Value;
        }
        catch (GetValueException)
        {
            return null;
        }
    }

    /// <summary>Runs a script block with the object as $_; several results become an array.</summary>
    public static object? Run(ScriptBlock script, object? target)
    {
        var results = script.InvokeWithContext(null, [new PSVariable("_", target)]);
        return results.Count switch { 0 => null, 1 => results[0], _ => results.ToArray() };
    }
}

/// <summary>Orders values as PowerShell compares them.</summary>
internal sealed class ValueComparer(bool caseSensitive) : IComparer<object?>, IEqualityComparer<object?>
{
    int IComparer<object?>.Compare(object? x, object? y)
    {
        try
        {
            return LanguagePrimitives.Compare(x, y, !caseSensitive);
        }
        catch (ArgumentException)
        {
            return string.Compare(x?.ToString(), y?.ToString(), caseSensitive ? StringComparison.CurrentCulture : StringComparison.CurrentCultureIgnoreCase);
        }
    }

    bool IEqualityComparer<object?>.Equals(object? x, object? y) => LanguagePrimitives.Equals(x, y, !caseSensitive);

    public int GetHashCode(object? value) => StringComparer.OrdinalIgnoreCase.GetHashCode(value?.ToString() ?? "");
}
