using System.Text;
using Iced.Intel;

namespace X86Virt.Guests;

/// <summary>Bytes and the labels in them.</summary>
internal readonly record struct GuestCode(byte[] Bytes, IReadOnlyDictionary<string, ulong> Symbols);

internal static class GuestAssembly
{
    /// <summary>Assembles for <paramref name="address"/>; the labels must be named.</summary>
    public static GuestCode Assemble(Assembler c, ulong address, params ReadOnlySpan<Label> symbols)
    {
        using var image = new MemoryStream();
        AssemblerResult result = c.Assemble(new StreamCodeWriter(image), address, BlockEncoderOptions.ReturnNewInstructionOffsets);
        var addresses = new Dictionary<string, ulong>(StringComparer.Ordinal);
        foreach (Label symbol in symbols)
            addresses.Add(symbol.Name, result.GetLabelRIP(symbol));
        return new GuestCode(image.ToArray(), addresses);
    }
}

/// <summary>Data in front of a guest's code, so that the addresses are known when the code is assembled.</summary>
internal sealed class GuestData(uint address)
{
    private readonly List<byte> _bytes = [];

    public uint End => address + (uint)_bytes.Count;

    public byte[] ToArray() => [.. _bytes];

    /// <summary>Appends and returns the address.</summary>
    public uint Add(ReadOnlySpan<byte> bytes)
    {
        uint at = End;
        _bytes.AddRange(bytes);
        return at;
    }

    /// <summary>Appends a text with its final NUL and returns the address.</summary>
    public uint Add(string text) => Add(Encoding.ASCII.GetBytes(text + '\0'));
}
