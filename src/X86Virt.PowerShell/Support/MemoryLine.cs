using System.Text;

namespace X86Virt.PowerShell;

/// <summary>Sixteen bytes of guest memory for people.</summary>
/// <param name="Address">Of the first byte.</param>
/// <param name="Hex">The bytes in hexadecimal.</param>
/// <param name="Text">The bytes as ASCII; a dot for what cannot be shown.</param>
public sealed record MemoryLine(ulong Address, string Hex, string Text)
{
    private const int BytesInLine = 16;

    /// <summary>Lines that begin at multiples of 16 bytes from the first address.</summary>
    internal static IEnumerable<MemoryLine> Of(ulong address, byte[] bytes)
    {
        for (int start = 0; start < bytes.Length; start += BytesInLine)
        {
            ArraySegment<byte> part = new(bytes, start, Math.Min(BytesInLine, bytes.Length - start));
            var text = new StringBuilder();
            foreach (byte b in part)
                text.Append(b is >= 0x20 and < 0x7F ? (char)b : '.');
            yield return new MemoryLine(address + (ulong)start, string.Join(' ', part.Select(b => b.ToString("x2"))), text.ToString());
        }
    }
}
