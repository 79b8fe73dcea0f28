using System.Globalization;
using System.Numerics;
using X86Virt.Engine.Processor;

namespace X86Virt.Engine;

/// <summary>Register contents in words.</summary>
internal static unsafe class RegisterText
{
    private static readonly (string Name, int Bit)[] s_rflags =
    [
        ("CF", 0), ("PF", 2), ("AF", 4), ("ZF", 6), ("SF", 7), ("TF", 8), ("IF", 9), ("DF", 10), ("OF", 11), ("NT", 14),
        ("RF", 16), ("VM", 17), ("AC", 18), ("VIF", 19), ("VIP", 20), ("ID", 21),
    ];

    private static readonly (string Name, int Bit)[] s_cr0 =
        [("PE", 0), ("MP", 1), ("EM", 2), ("TS", 3), ("ET", 4), ("NE", 5), ("WP", 16), ("AM", 18), ("NW", 29), ("CD", 30), ("PG", 31)];

    private static readonly (string Name, int Bit)[] s_cr4 =
    [
        ("VME", 0), ("PVI", 1), ("TSD", 2), ("DE", 3), ("PSE", 4), ("PAE", 5), ("MCE", 6), ("PGE", 7), ("PCE", 8), ("OSFXSR", 9),
        ("OSXMMEXCPT", 10), ("UMIP", 11), ("LA57", 12), ("FSGSBASE", 16), ("PCIDE", 17), ("OSXSAVE", 18), ("SMEP", 20), ("SMAP", 21),
    ];

    private static readonly (string Name, int Bit)[] s_efer = [("SCE", 0), ("LME", 8), ("LMA", 10), ("NXE", 11), ("SVME", 12), ("FFXSR", 14)];

    private static readonly (string Name, int Bit)[] s_dr6 = [("B0", 0), ("B1", 1), ("B2", 2), ("B3", 3), ("BD", 13), ("BS", 14), ("BT", 15)];

    /// <summary>Names and bit numbers of single flags in RFLAGS.</summary>
    public static ReadOnlySpan<(string Name, int Bit)> RflagsBits => s_rflags;

    public static string Rflags(ulong value) => $"{Bits(value, s_rflags)} IOPL={(value >> 12) & 3}".TrimStart();

    public static string Cr0(ulong value) => Bits(value, s_cr0);

    public static string Cr4(ulong value) => Bits(value, s_cr4);

    public static string Efer(ulong value) => Bits(value, s_efer);

    public static string Dr6(ulong value) => Bits(value, s_dr6);

    private static string Bits(ulong value, (string Name, int Bit)[] bits)
        => string.Join(' ', bits.Where(b => (value >> b.Bit & 1) != 0).Select(b => b.Name));

    /// <summary>The hidden part of a segment register.</summary>
    public static string Descriptor(SegmentRegister* r, bool system)
    {
        string where = $"base 0x{r->Base:x} limit 0x{r->Limit:x}";
        if (!r->Present)
            return $"{where} not present";
        string kind = system || (r->Attributes & SegmentAttributes.CodeOrData) == 0 ? $"system type 0x{r->Type:x}"
            : !r->IsCode ? (r->Big ? "32-bit" : "16-bit") + (Has(r, SegmentAttributes.ExpandDown) ? " expand-down" : "") + (Has(r, SegmentAttributes.Writable) ? " data" : " read-only data")
            : (r->Long ? "64-bit" : r->Big ? "32-bit" : "16-bit") + (Has(r, SegmentAttributes.ExpandDown) ? " conforming" : "") + " code";
        return $"{where} {kind} DPL {r->Dpl}";
    }

    private static bool Has(SegmentRegister* r, SegmentAttributes attribute) => (r->Attributes & attribute) != 0;

    /// <summary>An 80-bit extended-precision number, to the precision of a double.</summary>
    public static string Extended(byte* register)
    {
        ulong significand = *(ulong*)register;
        int signAndExponent = *(ushort*)(register + 8);
        int exponent = signAndExponent & 0x7FFF;
        string sign = signAndExponent > 0x7FFF ? "-" : "";
        if (exponent == 0x7FFF)
            return significand << 1 == 0 ? sign + "infinity" : "NaN";
        double magnitude = Math.ScaleB(significand, Math.Max(exponent, 1) - 16383 - 63);
        return sign + magnitude.ToString("R", CultureInfo.InvariantCulture);
    }

    /// <summary>Hexadecimal at full width.</summary>
    public static string Hex(BigInteger value, int bits)
    {
        int digits = (bits + 3) / 4;
        // BigInteger puts a 0 in front of a number whose top bit is set.
        string text = value.ToString("x" + digits.ToString(CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);
        return "0x" + (text.Length > digits ? text[^digits..] : text);
    }
}
