using X86Virt.Engine.Monitors;
using X86Virt.Engine.Processor;

namespace X86Virt.Engine;

/// <summary>One level of the walk that translates a linear address (AMD volume 2, 5.3).</summary>
/// <param name="LinearAddress">The address being translated.</param>
/// <param name="Level">5 (PML5) to 1 (page table); 0 where paging is off.</param>
/// <param name="Name">PML5E, PML4E, PDPE, PDE or PTE.</param>
/// <param name="Index">Which entry of its table the address selects.</param>
/// <param name="EntryAddress">Guest-physical address of the entry.</param>
/// <param name="Entry">The entry.</param>
/// <param name="Flags">Names of the bits that are set in it.</param>
/// <param name="IsLeaf">The entry maps the page; the walk ends here.</param>
/// <param name="Table">Guest-physical address of the next table; null at the end.</param>
/// <param name="PhysicalAddress">Guest-physical address that the linear address leads to; only at a leaf that maps it.</param>
/// <param name="PageSize">Bytes in the page; only at a leaf that maps it.</param>
/// <param name="SupervisorAccess">What CPL 0 to 2 may do, of "rwx"; only at a leaf.</param>
/// <param name="UserAccess">What CPL 3 may do, of "rwx"; only at a leaf.</param>
/// <param name="Problem">Why the walk ended without a page; empty if it did not.</param>
public sealed record PageWalkLevel(
    ulong LinearAddress, int Level, string Name, int Index, ulong EntryAddress, ulong Entry, string Flags, bool IsLeaf,
    ulong? Table, ulong? PhysicalAddress, ulong? PageSize, string SupervisorAccess, string UserAccess, string Problem)
{
    /// <summary>With shadow paging, the slot that stands for the entry; null if there is none yet.</summary>
    public ShadowPageTableEntry? Shadow { get; init; }

    /// <summary>With nested paging, how nested tables translate the entry's address; otherwise empty.</summary>
    public IReadOnlyList<NestedWalkLevel> EntryWalk { get; init; } = [];

    /// <summary>With nested paging, how nested tables translate the address that a leaf leads to.</summary>
    public IReadOnlyList<NestedWalkLevel> PageWalk { get; init; } = [];

    /// <summary>With nested paging, the host-physical address that a leaf leads to, if nested tables map it.</summary>
    public ulong? HostAddress => PageWalk.Count == 0 ? null : PageWalk[^1].HostAddress;

    /// <summary>Entries that a walk without caches reads for this level, in both dimensions: 24 in all for four levels of 4 KiB pages over four.</summary>
    public int References { get; init; }
}

/// <summary>One level of the walk of nested page tables that translates a guest-physical address (AMD volume 2, 15.25).</summary>
/// <param name="GuestAddress">The guest-physical address.</param>
/// <param name="Level">4 (PML4) to 1 (page table).</param>
/// <param name="Name">PML4E, PDPE, PDE or PTE.</param>
/// <param name="EntryAddress">Host-physical address of the entry.</param>
/// <param name="Entry">The entry.</param>
/// <param name="Flags">Names of the bits that are set in it.</param>
/// <param name="HostAddress">Host-physical address that the guest-physical address leads to; only at a leaf.</param>
/// <param name="PageSize">Bytes in the page; only at a leaf.</param>
/// <param name="Problem">Why the walk ended without a page; empty if it did not.</param>
public sealed record NestedWalkLevel(ulong GuestAddress, int Level, string Name, ulong EntryAddress, ulong Entry, string Flags, ulong? HostAddress, ulong? PageSize, string Problem);

/// <summary>Translates linear addresses for people, level by level, without a trace in the guest.</summary>
public static unsafe class AddressResolver
{
    private const ulong AddressBits = 0x000F_FFFF_FFFF_F000;

    private static readonly string[] s_names = ["", "PTE", "PDE", "PDPE", "PML4E", "PML5E"];

    private static readonly (string Name, int Bit)[] s_flags =
        [("P", 0), ("RW", 1), ("US", 2), ("PWT", 3), ("PCD", 4), ("A", 5), ("D", 6), ("PS", 7), ("G", 8), ("NX", 63)];

    /// <summary>The guest-physical address, whatever the permissions; false if none is mapped.</summary>
    public static bool TryTranslate(Cpu cpu, ulong linear, out ulong physical)
    {
        physical = 0;
        return TryNormalise(cpu, ref linear)
            && PageWalker.Walk(cpu, linear, AccessMode.Supervisor, PagePermissions.None, update: false, out physical, out _, out _);
    }

    /// <summary>Every level of the walk, from the root; throws <see cref="MachineException"/> for an address that is not canonical.</summary>
    public static IReadOnlyList<PageWalkLevel> Resolve(Cpu cpu, ulong linear)
    {
        if (!TryNormalise(cpu, ref linear))
            throw new MachineException("AddressNotCanonical", $"Linear address 0x{linear:x} is not canonical: bits 63 to {((cpu.State->Cr4 & Cr4.La57) != 0 ? 56 : 47)} must be equal.");
        var steps = new List<PageWalkStep>();
        bool mapped = PageWalker.Walk(cpu, linear, AccessMode.Supervisor, PagePermissions.None, update: false,
            out ulong physical, out PagePermissions supervisor, out PageFaultCode fault, steps);
        PagePermissions user = PagePermissions.None;
        if (mapped)
            PageWalker.Walk(cpu, linear, AccessMode.User, PagePermissions.None, update: false, out _, out user, out _);
        if (steps.Count == 0)
            return [new PageWalkLevel(linear, 0, "none", 0, 0, 0, "", true, null, physical, null, Access(supervisor), Access(user), "")];

        bool pae = (cpu.State->Cr4 & Cr4.Pae) != 0;
        return [.. steps.Select((step, i) =>
        {
            bool last = i == steps.Count - 1;
            bool leaf = last && mapped;
            int shift = 12 + (step.Level - 1) * (pae ? 9 : 10);
            int indexMask = !pae ? 0x3FF : step.Level == 3 && !cpu.State->LongMode ? 3 : 0x1FF;
            return new PageWalkLevel(linear, step.Level, s_names[step.Level], (int)(linear >> shift) & indexMask, step.EntryAddress, step.Entry,
                FlagsText(step.Entry), leaf, last ? null : step.Entry & AddressBits, leaf ? physical : null, leaf ? 1UL << shift : null,
                leaf ? Access(supervisor) : "", leaf ? Access(user) : "", last && !mapped ? Problem(fault) : "");
        })];
    }

    /// <summary>The same, with what the monitor keeps for the guest beside each level.</summary>
    /// <param name="cpu">The machine's processor.</param>
    /// <param name="linear">The address.</param>
    /// <param name="shadow">The shadow; null without shadow paging.</param>
    /// <param name="nested">Nested tables; null without nested paging.</param>
    internal static IReadOnlyList<PageWalkLevel> Resolve(Cpu cpu, ulong linear, ShadowInspector? shadow, NestedPageTables? nested)
    {
        IReadOnlyList<PageWalkLevel> levels = Resolve(cpu, linear);
        IReadOnlyList<ShadowPageTableEntry> slots = shadow?.Path(levels[0].LinearAddress) ?? [];
        return [.. levels.Select(level =>
        {
            // Without nested paging PAE's directory pointers are in the processor.
            bool read = level.Level > 0 && (nested != null || level.Level != 3 || cpu.State->LongMode);
            IReadOnlyList<NestedWalkLevel> entryWalk = read && nested != null ? Walk(nested, level.EntryAddress) : [];
            IReadOnlyList<NestedWalkLevel> pageWalk = level.PhysicalAddress is { } page && nested != null ? Walk(nested, page) : [];
            return level with
            {
                Shadow = slots.FirstOrDefault(s => s.Level == level.Level),
                EntryWalk = entryWalk,
                PageWalk = pageWalk,
                References = entryWalk.Count + (read ? 1 : 0) + pageWalk.Count,
            };
        })];
    }

    private static IReadOnlyList<NestedWalkLevel> Walk(NestedPageTables nested, ulong address) => [.. nested.Walk(address).Select(step =>
    {
        bool present = (step.Entry & PageEntry.Present) != 0, leaf = present && (step.Level == 1 || (step.Entry & PageEntry.Ps) != 0);
        ulong size = 1UL << (12 + (step.Level - 1) * 9);
        return new NestedWalkLevel(address, step.Level, s_names[step.Level], step.EntryAddress, step.Entry, FlagsText(step.Entry),
            leaf ? (step.Entry & AddressBits & ~(size - 1)) | (address & (size - 1)) : null, leaf ? size : null, present ? "" : "not present");
    })];

    /// <summary>Outside long mode linear addresses are 32 bits wide; in it they must be canonical.</summary>
    private static bool TryNormalise(Cpu cpu, ref ulong linear)
    {
        if (cpu.State->LongMode)
            return Canonical.Is(cpu.State, linear);
        linear = (uint)linear;
        return true;
    }

    private static string Problem(PageFaultCode fault) => (fault & PageFaultCode.Reserved) != 0 ? "reserved bit set" : "not present";

    private static string FlagsText(ulong entry) => string.Join(' ', s_flags.Where(f => (entry >> f.Bit & 1) != 0).Select(f => f.Name));

    private static string Access(PagePermissions p)
        => ((p & PagePermissions.Read) != 0 ? "r" : "-") + ((p & PagePermissions.Write) != 0 ? "w" : "-") + ((p & PagePermissions.Fetch) != 0 ? "x" : "-");
}
