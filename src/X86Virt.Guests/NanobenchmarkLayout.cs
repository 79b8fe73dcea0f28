namespace X86Virt.Guests;

/// <summary>Where the nanobenchmark kernel has what.</summary>
internal static class NanobenchmarkLayout
{
    public const uint LoadAddress = 0x10_0000, HeaderLength = 32, EntryCode = 0x10_1000, KernelCode = 0x10_2000;

    // Page tables: 1 GiB is mapped to itself by 2 MiB pages; the next GiB has one table of 4 KiB pages. The two roots differ in nothing.
    public const uint Root = 0x20_0000, Pointers = 0x20_1000, IdentityDirectory = 0x20_2000, SmallDirectory = 0x20_3000, SmallTable = 0x20_4000, OtherRoot = 0x20_5000;
    public const uint InterruptTable = 0x20_6000, TaskState = 0x20_7000, Variables = 0x20_8000, StackTop = 0x20_F000, InterruptStackTop = 0x21_0000;
    // Eight bytes each, of which the 32-bit kernel may leave the upper half 0.
    public const uint Information = Variables, Iterations = Variables + 8, Count = Variables + 16, LeastCycles = Variables + 24, Start = Variables + 32, Elapsed = Variables + 40, Check = Variables + 48, Operations = Variables + 56;
    public const uint MappedFrame = 0x21_1000, ManyDirectory = 0x21_2000, DeviceDirectory = 0x21_3000, ClearedEnd = 0x21_4000;

    // Another GiB has 512 tables of 4 KiB pages, all of whose entries lead to the mapped frame. The first few entries of each are for use, not for stores.
    public const int TableCount = 512, EntriesPerTable = 512, AnchorEntries = 8;
    public const uint ManyTables = 0x40_0000, End = ManyTables + TableCount * 0x1000, ManyPages = 0x8000_0000;

    /// <summary>Stores that find an entry that has not been stored to.</summary>
    public const int FreshEntries = TableCount * (EntriesPerTable - AnchorEntries);

    public const uint MissingPage = 0x4000_1000, MappedPage = 0x4000_2000;
    public const uint MappedEntry = SmallTable + 2 * 8;

    /// <summary>Present, writable, user, accessed, dirty: nothing that a walk would set is clear.</summary>
    public const uint MappedEntryValue = MappedFrame | 0x67;

    public const int CodeSelector = 0x08, DataSelector = 0x10, UserBase = 0x1B, TaskSelector = 0x30;
    public const byte LeaveUserVector = 0x81, TimerVector = 0x20;
}
