using System.Globalization;

namespace X86Virt.Reports;

/// <summary>Numbers as people read them: three digits that matter, digits in groups, k, M and G for large ones.</summary>
public static class ValueText
{
    public static string Of(double value)
    {
        if (double.IsNaN(value))
            return "";
        double size = Math.Abs(value);
        return size switch
        {
            0 => "0",
            >= 1e15 => value.ToString("0.##e0", CultureInfo.InvariantCulture),
            >= 999.5e6 => Digits(value / 1e9) + " G",
            >= 999.5e3 => Digits(value / 1e6) + " M",
            >= 9999.5 => Digits(value / 1e3) + " k",
            _ => Digits(value),
        };
    }

    private static string Digits(double value)
    {
        double size = Math.Abs(value);
        string format = size >= 99.95 ? "0" : size >= 9.995 ? "0.#" : size >= 0.9995 ? "0.##" : size >= 0.00095 ? "0.####" : "0.##e0";
        return value.ToString(format, CultureInfo.InvariantCulture);
    }
}
