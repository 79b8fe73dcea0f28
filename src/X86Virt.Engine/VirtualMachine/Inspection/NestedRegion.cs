using X86Virt.Engine.Monitors;
using X86Virt.Engine.Processor;

namespace X86Virt.Engine;

/// <summary>Pages of nested page tables, one behind the other in both address spaces, that are alike.</summary>
/// <param name="VMName">The machine.</param>
/// <param name="GuestAddress">Guest-physical address of the first.</param>
/// <param name="HostAddress">Host-physical address that it leads to.</param>
/// <param name="Length">Bytes in all of them.</param>
/// <param name="PageSize">Bytes in each.</param>
/// <param name="Pages">How many they are.</param>
/// <param name="Access">What the guest may do, of "rwx".</param>
/// <param name="Accessed">Whether they have been used (A bit).</param>
/// <param name="Dirty">Whether they have been stored to by the guest, or by the silicon for it (D bit).</param>
public sealed record NestedRegion(
    string VMName, ulong GuestAddress, ulong HostAddress, ulong Length, ulong PageSize, long Pages, string Access, bool Accessed, bool Dirty)
{
    internal static NestedRegion Of(string name, NestedPage page) => new(name, page.GuestAddress, page.HostAddress & ~(page.Size - 1), page.Size, page.Size, 1,
        (page.Entry & PageEntry.Rw) != 0 ? (page.Entry & PageEntry.Nx) != 0 ? "rw-" : "rwx" : (page.Entry & PageEntry.Nx) != 0 ? "r--" : "r-x",
        (page.Entry & PageEntry.Accessed) != 0, (page.Entry & PageEntry.Dirty) != 0);

    /// <summary>Joins pages, which are in the order of guest-physical addresses.</summary>
    internal static IReadOnlyList<NestedRegion> Join(string name, IEnumerable<NestedPage> pages)
    {
        var regions = new List<NestedRegion>();
        foreach (NestedPage page in pages)
        {
            NestedRegion next = Of(name, page);
            if (regions.Count > 0 && regions[^1].Continues(next))
                regions[^1] = regions[^1] with { Length = regions[^1].Length + next.Length, Pages = regions[^1].Pages + 1 };
            else
                regions.Add(next);
        }
        return regions;
    }

    private bool Continues(NestedRegion next)
        => GuestAddress + Length == next.GuestAddress && HostAddress + Length == next.HostAddress
            && (PageSize, Access, Accessed, Dirty) == (next.PageSize, next.Access, next.Accessed, next.Dirty);
}
