namespace X86Virt.Engine.Processor;

/// <summary>The shadow for people, who change nothing in it.</summary>
public sealed unsafe partial class ShadowPaging
{
    /// <summary>A shadow table as it is.</summary>
    internal readonly record struct TableView(int Number, int Page, int Level, int Format, PageRights Rights, int Writes, int Churn);

    /// <summary>A slot that is not empty, and the guest's entry behind it.</summary>
    internal readonly record struct SlotView(int Index, ulong Slot, ulong GuestEntry, int Shift, int? NextTable);

    internal IEnumerable<TableView> ViewTables() => _tables.InUse().Select(View);

    /// <summary>Pages of tables that are left without a shadow for some more walks.</summary>
    internal IEnumerable<(int Page, int Walks)> ViewResting()
        => Enumerable.Range(0, _memory.PageCount).Select(page => (page, _tables.RestOf(page))).Where(p => p.Item2 > 0);

    internal IReadOnlyList<SlotView> ViewSlots(int number)
    {
        ShadowTable* t = _tables[number];
        EntryFormat* f = _cpu.PageTables[t->Format].Level(t->Level);
        var slots = new List<SlotView>();
        for (int i = 0; i <= f->IndexMask; i++)
        {
            ulong slot = _tables.Slots(number)[i];
            bool page = (slot & ShadowSlot.Page) != 0;
            // Links to tables that were given up are as good as none.
            if (slot != 0 && (page || _tables.IsLive(ShadowSlot.Number(slot), ShadowSlot.Generation(slot))))
                slots.Add(new SlotView(i, slot, Entry(t, i), f->Shift, page ? null : ShadowSlot.Number(slot)));
        }
        return slots;
    }

    /// <summary>The tables and slots on the way to a linear address in the address space in force, as far as they are in the shadow.</summary>
    internal IReadOnlyList<(TableView Table, SlotView Slot)> ViewPath(ulong linear)
    {
        var path = new List<(TableView, SlotView)>();
        // It stands aside for a guest with nested paging.
        if ((_state->Cr0 & Cr0.Pg) == 0 || _cpu.Nested != null)
            return path;
        NoticeChanges();
        if (!TryGetRoot((int)(linear >> 30) & 3, out int table))
            return path;
        for (int level = _levels; ; level--)
        {
            int index = (int)Format->Level(level)->Index(linear);
            SlotView slot = ViewSlots(table).FirstOrDefault(s => s.Index == index);
            if (slot.Slot == 0)
                return path;
            path.Add((View(table), slot));
            if (slot.NextTable is not { } next)
                return path;
            table = next;
        }
    }

    private TableView View(int number)
    {
        ShadowTable* t = _tables[number];
        return new TableView(number, t->Page, t->Level, t->Format, t->Rights, t->Writes, t->Churn);
    }
}
