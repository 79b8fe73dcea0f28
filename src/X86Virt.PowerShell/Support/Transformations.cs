using System.Globalization;
using System.Management.Automation;
using System.Numerics;
using System.Text.RegularExpressions;
using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>Shared by the conversions of arguments: unwraps objects and lists.</summary>
public abstract class ElementTransformationAttribute : ArgumentTransformationAttribute
{
    /// <inheritdoc/>
    public sealed override object? Transform(EngineIntrinsics engineIntrinsics, object? inputData)
        => Unwrap(inputData) switch
        {
            null => null,
            object[] list => list.Select(o => Convert(Unwrap(o))).ToArray(),
            object one => Convert(one),
        };

    /// <summary>The value, converted if need be; what it cannot read it gives back for PowerShell to try.</summary>
    protected abstract object? Convert(object? value);

    private static object? Unwrap(object? value) => value is PSObject wrapped ? wrapped.BaseObject : value;

    /// <summary>
    /// Numbers as a person means them: hexadecimal strings, and the negative numbers that PowerShell makes of hexadecimal literals
    /// with the top bit set (0xffffffff81000000).
    /// </summary>
    protected static BigInteger? Number(object? value) => value switch
    {
        int i => i < 0 ? (uint)i : i,
        long l => l < 0 ? (ulong)l : l,
        byte or sbyte or short or ushort or uint or ulong => BigInteger.Parse(((IFormattable)value).ToString(null, CultureInfo.InvariantCulture), CultureInfo.InvariantCulture),
        BigInteger b => b,
        decimal m when decimal.Floor(m) == m => (BigInteger)m,
        double d when Math.Floor(d) == d && Math.Abs(d) < 1e18 => (BigInteger)d,
        RegisterValue r => r.Value is ulong u ? u : (BigInteger)r.Value,
        string s => Parse(s.Trim().Replace("_", "", StringComparison.Ordinal)),
        _ => null,
    };

    private static BigInteger? Parse(string text)
    {
        // A 0 in front keeps hexadecimal positive.
        bool hex = text.StartsWith("0x", StringComparison.OrdinalIgnoreCase);
        return BigInteger.TryParse(hex ? "0" + text[2..] : text, hex ? NumberStyles.AllowHexSpecifier : NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out BigInteger value)
            ? value : null;
    }
}

/// <summary>Addresses: decimal, hexadecimal, or an object that has one.</summary>
public sealed class AddressTransformationAttribute : ElementTransformationAttribute
{
    /// <inheritdoc/>
    protected override object? Convert(object? value)
        => value switch
        {
            DisassembledInstruction i => i.Address,
            CodeBreakpoint b => b.Address,
            TraceRecord t => t.Address,
            _ when Number(value) is { } n && n >= 0 && n <= ulong.MaxValue => (ulong)n,
            string or IConvertible or BigInteger => throw new ArgumentTransformationMetadataException(
                $"'{value}' is no address. Give a number of 64 bits such as 0x7c00, or an object that has an address: a register, an instruction, a breakpoint."),
            _ => value,
        };
}

/// <summary>Numbers from 0 up to a limit, also hexadecimal.</summary>
/// <param name="limit">The largest.</param>
/// <param name="meaning">What it is, for the error.</param>
/// <param name="example">One.</param>
public sealed class NumberTransformationAttribute(uint limit, string meaning, string example) : ElementTransformationAttribute
{
    /// <summary>The largest number.</summary>
    public uint Limit { get; } = limit;

    /// <summary>What the number is.</summary>
    public string Meaning { get; } = meaning;

    /// <summary>One such number.</summary>
    public string Example { get; } = example;

    /// <inheritdoc/>
    protected override object? Convert(object? value)
        => Number(value) is { } n && n >= 0 && n <= Limit ? (uint)n
            : throw new ArgumentTransformationMetadataException($"'{value}' is not {Meaning}. Give one of 0 to 0x{Limit:x}, such as {Example}.");
}

/// <summary>Exceptions: vectors, or their mnemonics with or without #.</summary>
public sealed class ExceptionTransformationAttribute : ElementTransformationAttribute
{
    /// <inheritdoc/>
    protected override object? Convert(object? value)
    {
        if (value is string text && ExceptionName.TryParse(text, out byte vector))
            return vector;
        return Number(value) is { } n && n >= 0 && n <= byte.MaxValue ? (byte)n
            : throw new ArgumentTransformationMetadataException($"'{value}' is no exception. Give a vector or a mnemonic: {string.Join(", ", ExceptionName.Mnemonics)}.");
    }
}

/// <summary>Register values of any width.</summary>
public sealed class RegisterValueTransformationAttribute : ElementTransformationAttribute
{
    /// <inheritdoc/>
    protected override object? Convert(object? value) => Number(value) ?? value;
}

/// <summary>Sizes: bytes, or text with a unit ("256MB", "1 GiB").</summary>
public sealed class SizeTransformationAttribute : ElementTransformationAttribute
{
    private const string Units = "KMGTPE";

    /// <inheritdoc/>
    protected override object? Convert(object? value)
    {
        // A negative size is no two's complement: leave it for the check that names the limits.
        if (value is int or long or short or sbyte && System.Convert.ToInt64(value, CultureInfo.InvariantCulture) < 0)
            throw new ArgumentTransformationMetadataException($"A size of {value} bytes is negative. Give a positive one, such as 256MB.");
        if (value is string text)
            return Parse(text);
        if (value is double or float or decimal && Number(value) == null)
            throw new ArgumentTransformationMetadataException($"A size of {value} bytes cannot be. Give whole bytes, such as 268435456 or 256MB.");
        return Number(value) is { } n && n >= 0 && n <= ulong.MaxValue ? (ulong)n : value;
    }

    private static ulong Parse(string text)
    {
        string digits = text.Trim().TrimEnd('b', 'B').TrimEnd('i', 'I');
        int unit = digits.Length == 0 ? -1 : Units.IndexOf(char.ToUpperInvariant(digits[^1]), StringComparison.Ordinal);
        if (unit >= 0)
            digits = digits[..^1];
        if (decimal.TryParse(digits, NumberStyles.AllowDecimalPoint | NumberStyles.AllowLeadingWhite | NumberStyles.AllowTrailingWhite, CultureInfo.InvariantCulture, out decimal number)
            && number <= ulong.MaxValue >> (10 * (unit + 1)))
        {
            decimal bytes = number * (1UL << (10 * (unit + 1)));
            if (bytes == decimal.Floor(bytes))
                return (ulong)bytes;
        }
        return Number(text) is { } n && n >= 0 && n <= ulong.MaxValue ? (ulong)n
            : throw new ArgumentTransformationMetadataException($"'{text}' is no size. Give bytes or a number with a unit, such as 268435456, 256MB or 1GB.");
    }
}

/// <summary>Times: seconds, or a TimeSpan.</summary>
public sealed class SecondsTransformationAttribute : ElementTransformationAttribute
{
    /// <inheritdoc/>
    protected override object? Convert(object? value)
    {
        double? seconds = value switch
        {
            TimeSpan span => span.TotalSeconds,
            string text when double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double number) => number,
            string text when TimeSpan.TryParse(text, CultureInfo.InvariantCulture, out TimeSpan span) => span.TotalSeconds,
            string => null,
            IConvertible number => number.ToDouble(CultureInfo.InvariantCulture),
            _ => null,
        };
        return seconds is >= 0 and <= int.MaxValue / 1000 ? TimeSpan.FromSeconds(seconds.Value)
            : throw new ArgumentTransformationMetadataException($"'{value}' cannot be a time-out. Give 0 to {int.MaxValue / 1000} seconds, or a TimeSpan of as much.");
    }
}

/// <summary>Regular expressions.</summary>
public sealed class RegexTransformationAttribute : ElementTransformationAttribute
{
    /// <inheritdoc/>
    protected override object? Convert(object? value)
    {
        if (value is not string text)
            return value;
        try
        {
            return new Regex(text);
        }
        catch (RegexParseException e)
        {
            throw new ArgumentTransformationMetadataException($"'{text}' is no regular expression: {e.Message} For the text as it stands use [regex]::Escape(...).");
        }
    }
}

/// <summary>AT&amp;T syntax under the names it goes by.</summary>
public sealed class SyntaxTransformationAttribute : ElementTransformationAttribute
{
    /// <inheritdoc/>
    protected override object? Convert(object? value)
        => value is string s && s.ToUpperInvariant() is "AT&T" or "GNU" or "GAS" ? DisassemblySyntax.Att : value;
}
