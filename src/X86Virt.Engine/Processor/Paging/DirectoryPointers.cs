namespace X86Virt.Engine.Processor;

/// <summary>
/// The four page-directory-pointer entries of PAE paging outside long mode. They are read and checked when CR3 is loaded or paging changes,
/// and kept until then, whatever becomes of the table in memory (Intel volume 3, 4.4.1; AMD volume 2, 15.25.10 tells the difference).
/// </summary>
internal static unsafe class DirectoryPointers
{
    public const int Count = 4;
    public const ulong TableMask = 0xFFFF_FFE0;
    private const ulong Present = 1;
    private const ulong LowReserved = 0x1E6;

    /// <summary>Present, with a reserved bit set.</summary>
    public static bool IsInvalid(Cpu cpu, ulong entry)
        => (entry & Present) != 0 && (entry & (~((1UL << cpu.PhysicalAddressBits) - 1) | LowReserved)) != 0;

    /// <summary>Reads all four; false, with none changed, if one that is present sets a reserved bit.</summary>
    public static bool Load(Cpu cpu, ulong cr3)
    {
        ulong* entries = stackalloc ulong[Count];
        for (int i = 0; i < Count; i++)
        {
            entries[i] = cpu.Memory.Read((cr3 & TableMask) + (ulong)i * 8, 8);
            if (IsInvalid(cpu, entries[i]))
                return false;
        }
        for (int i = 0; i < Count; i++)
            cpu.State->DirectoryPointers[i] = entries[i];
        return true;
    }
}
