using X86Virt.Engine.Memory;
using X86Virt.Engine.Monitors;
using X86Virt.Engine.Processor;

namespace X86Virt.Engine;

/// <summary>Shows shadow page tables, and their form that hardware walks if there is one.</summary>
/// <param name="name">The machine's.</param>
/// <param name="cpu">Its processor, with shadow paging.</param>
internal sealed class ShadowInspector(string name, Cpu cpu)
{
    private const int PageShift = 12;
    private static readonly string[] s_names = ["", "PT", "PD", "PDPT", "PML4", "PML5"];

    private readonly ShadowPaging _shadow = cpu.Shadow!;
    private readonly ShadowPageTables? _form = cpu.Shadow!.Form as ShadowPageTables;
    private readonly IReadOnlyList<MemoryRegion> _map = cpu.Memory.ReadMap();

    /// <summary>Tables with a shadow by level, the topmost first, then those that rest.</summary>
    public IReadOnlyList<ShadowPageTable> Tables()
        => [.. _shadow.ViewTables().OrderByDescending(t => t.Level).ThenBy(t => t.Page).Select(Table), .. _shadow.ViewResting().Select(Resting)];

    public IEnumerable<ShadowPageTableEntry> Entries(int table)
    {
        ShadowPaging.TableView view = _shadow.ViewTables().FirstOrDefault(t => t.Number == table);
        return view.Level == 0 ? [] : _shadow.ViewSlots(table).Select(s => Entry(view, s));
    }

    /// <summary>The slots on the way to a linear address, the topmost first.</summary>
    public IReadOnlyList<ShadowPageTableEntry> Path(ulong linear) => [.. _shadow.ViewPath(linear).Select(p => Entry(p.Table, p.Slot))];

    private ShadowPageTable Table(ShadowPaging.TableView t)
    {
        IReadOnlyList<ShadowPaging.SlotView> slots = _shadow.ViewSlots(t.Number);
        int links = slots.Count(s => s.NextTable != null);
        return new ShadowPageTable(name, t.Number, AddressOf(t.Page), t.Level, s_names[t.Level], PageTableFormat.Name(t.Format), Rights(t.Rights), slots.Count, links,
            slots.Count - links, slots.Count(s => s.NextTable == null && (s.Slot & ShadowSlot.Dirty) != 0), IsTraced(t.Page), ShadowTableState.InUse, 0,
            t.Writes, t.Churn, _form?.PagesOf(t.Number) ?? []);
    }

    private ShadowPageTable Resting((int Page, int Walks) p) => new(name, null, AddressOf(p.Page), 1, s_names[1], "", "", 0, 0, 0, 0, IsTraced(p.Page), ShadowTableState.Resting, p.Walks, 0, 0, []);

    private ShadowPageTableEntry Entry(ShadowPaging.TableView t, ShadowPaging.SlotView s)
    {
        bool mapping = s.NextTable == null;
        ulong address = 0, entry = 0;
        bool inForm = _form?.TryReadEntry(t.Number, s.Index, out address, out entry) ?? false;
        return new ShadowPageTableEntry(name, t.Number, AddressOf(t.Page), t.Level, s.Index, s.GuestEntry, mapping, mapping ? s.Slot & ShadowSlot.FrameMask : null,
            mapping ? 1UL << s.Shift : null, Rights(mapping ? (PageRights)(s.Slot & ShadowSlot.RightsMask) : t.Rights & PageEntry.Rights(s.GuestEntry)),
            mapping && (s.Slot & ShadowSlot.Dirty) != 0, mapping && (s.Slot & ShadowSlot.Global) != 0, mapping && (s.Slot & ShadowSlot.Untried) != 0, s.NextTable,
            inForm ? address : null, inForm ? entry : null);
    }

    private bool IsTraced(int page) => (cpu.Memory.Tracking(page) & PageTracking.Trace) != 0;

    private static string Rights(PageRights r)
        => (r.HasFlag(PageRights.Write) ? "w" : "-") + (r.HasFlag(PageRights.User) ? "u" : "-") + (r.HasFlag(PageRights.Execute) ? "x" : "-");

    /// <summary>The lowest guest-physical address of a page of host memory.</summary>
    private unsafe ulong AddressOf(int page)
    {
        byte* host = cpu.Memory.Block + ((ulong)page << PageShift);
        foreach (MemoryRegion r in _map)
        {
            if (r.Host != null && host >= r.Host && (ulong)(host - r.Host) < r.End - r.Start)
                return r.Start + (ulong)(host - r.Host);
        }
        return ulong.MaxValue;
    }
}
