using System.Runtime.InteropServices;

namespace X86Virt.Engine.Boot;

/// <summary>Structures that a kernel is handed and that point at each other: built first, placed when their size is known.</summary>
internal sealed class InfoBlock
{
    private readonly List<byte> _bytes = [];
    private readonly List<(int Field, int Target)> _pointers = [];

    private Span<byte> Bytes => CollectionsMarshal.AsSpan(_bytes);

    /// <summary>Makes room for a structure of zeros, aligned to 8 bytes, and returns its offset.</summary>
    public int Add(int length)
    {
        int offset = (_bytes.Count + 7) & ~7;
        CollectionsMarshal.SetCount(_bytes, offset + length);
        return offset;
    }

    public int Add(ReadOnlySpan<byte> content)
    {
        int offset = Add(content.Length);
        content.CopyTo(Bytes[offset..]);
        return offset;
    }

    public void Put(int offset, uint value) => GuestLayout.Put(Bytes, offset, value);

    public void Put(int offset, ulong value) => GuestLayout.Put(Bytes, offset, value);

    /// <summary>Makes the 32 bits at <paramref name="field"/> hold the address of the structure at offset <paramref name="target"/>.</summary>
    public void Point(int field, int target) => _pointers.Add((field, target));

    /// <summary>Copies the block to the lowest free page from 0x9000 on and returns its address.</summary>
    public ulong Place(GuestLayout layout, string file, string what)
    {
        ulong address = layout.AllocateLow(file, what, (ulong)_bytes.Count, 0x1000, 0x9000, 1UL << 32);
        foreach ((int field, int target) in _pointers)
            GuestLayout.Put(Bytes, field, (uint)address + (uint)target);
        layout.Fill(address, Bytes, (ulong)_bytes.Count);
        return address;
    }
}
