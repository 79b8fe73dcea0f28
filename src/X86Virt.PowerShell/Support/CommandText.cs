using System.Collections;
using System.Globalization;
using System.Management.Automation;
using System.Text.RegularExpressions;
using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>A command line that does the same again: parameters with the values that they had, variables and all else evaluated.</summary>
internal static class CommandText
{
    /// <summary>What a result may be shown with, and does not depend on.</summary>
    private static readonly string[] s_irrelevant = ["Verbose", "Debug", "ErrorAction", "WarningAction", "InformationAction", "ProgressAction",
        "ErrorVariable", "WarningVariable", "InformationVariable", "OutVariable", "OutBuffer", "PipelineVariable"];

    public static string Of(InvocationInfo invocation)
        => string.Join(' ', [invocation.MyCommand.Name, .. invocation.BoundParameters.Where(p => !s_irrelevant.Contains(p.Key)).Select(p => Parameter(p.Key, p.Value))]);

    private static string Parameter(string name, object? value)
        => value is SwitchParameter on ? on ? $"-{name}" : $"-{name}:$false" : $"-{name} {Value(value)}";

    private static string Value(object? value) => value switch
    {
        null => "$null",
        PSObject wrapped => Value(wrapped.BaseObject),
        VirtualMachine machine => $"(Get-VirtualMachine {Quote(machine.Name)})",
        string text => Quote(text),
        Regex pattern => Quote(pattern.ToString()),
        Enum name => Quote($"{name}", plain: !$"{name}".Contains(',', StringComparison.Ordinal)),
        bool flag => flag ? "$true" : "$false",
        TimeSpan time => time.TotalSeconds.ToString(CultureInfo.InvariantCulture),
        IDictionary table => "@{ " + string.Join("; ", table.Keys.Cast<object>().Select(k => $"{Quote($"{k}")} = {Value(table[k])}")) + " }",
        byte[] bytes => $"([byte[]]({string.Join(", ", bytes)}))",
        IEnumerable list => string.Join(", ", list.Cast<object?>().Select(Value)),
        IFormattable number => number.ToString(null, CultureInfo.InvariantCulture),
        _ => Quote($"{value}"),
    };

    private static string Quote(string text, bool plain = false) => plain ? text : $"'{text.Replace("'", "''", StringComparison.Ordinal)}'";
}
