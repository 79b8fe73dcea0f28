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
    ulong? Table, ulong? PhysicalAddress, ulong? PageSize, string SupervisorAccess, string UserAccess, string Problem);

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
