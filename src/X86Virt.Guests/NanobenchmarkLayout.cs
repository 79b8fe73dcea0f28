namespace X86Virt.Guests;

/// <summary>Where the nanobenchmark kernel has what.</summary>
internal static class NanobenchmarkLayout
{
    public const uint LoadAddress = 0x10_0000, HeaderLength = 32, EntryCode = 0x10_1000, KernelCode = 0x10_2000;

    // Page tables: 1 GiB is mapped to itself by 2 MiB pages; the next GiB has one table of 4 KiB pages.
    public const uint Root = 0x20_0000, Pointers = 0x20_1000, IdentityDirectory = 0x20_2000, SmallDirectory = 0x20_3000, SmallTable = 0x20_4000, OtherRoot = 0x20_5000;
    public const uint InterruptTable = 0x20_6000, TaskState = 0x20_7000, Variables = 0x20_8000, StackTop = 0x20_F000, InterruptStackTop = 0x21_0000;
    public const uint Information = Variables, Iterations = Variables + 8;
    public const uint MappedFrame = 0x21_1000, End = 0x21_2000;

    public const uint MissingPage = 0x4000_1000, MappedPage = 0x4000_2000;
    public const uint MappedEntry = SmallTable + 2 * 8;

    /// <summary>Present, writable, user, accessed, dirty: nothing that a walk would set is clear.</summary>
    public const uint MappedEntryValue = MappedFrame | 0x67;

    public const int CodeSelector = 0x08, DataSelector = 0x10, UserBase = 0x1B, TaskSelector = 0x30;
    public const byte LeaveUserVector = 0x81;
}
