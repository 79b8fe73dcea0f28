namespace X86Virt.Engine.Processor;

/// <summary>What another form of the shadow (<see cref="IShadowForm"/>) is made from.</summary>
public sealed unsafe partial class ShadowPaging
{
    /// <summary>One slot on the way to a page.</summary>
    internal readonly record struct Step(int Table, int Level, int Index, ulong Slot);

    /// <summary>Whoever keeps another form, which hardware walks until <see cref="FormIsWalked"/> says otherwise.</summary>
    internal IShadowForm? Form
    {
        get => _tables.Form;
        set
        {
            _tables.Form = value;
            FormIsWalked = value != null;
        }
    }

    /// <summary>Whether hardware walks the other form. Uses of tables are told by its A bits alone then, and none is left without a shadow, however often it is stored into.</summary>
    internal bool FormIsWalked { get; set; }

    /// <summary>Which format the tables in force have, and their topmost level.</summary>
    internal PageTableFormat* Format => _cpu.PageTables + _format;
    internal int Levels => _levels;

    /// <summary>Makes the tables in force those of the processor's present mode and address space.</summary>
    internal void Select() => NoticeChanges();

    /// <summary>The topmost table for a part of the address space, if there is one: the whole of it, or with directory pointers a quarter.</summary>
    internal bool TryGetRoot(int index, out int table)
    {
        ulong linear = (ulong)index << 30;
        int root = UsesDirectoryPointers ? Root(linear) : 0;
        table = _roots.Tables[root];
        return table != ShadowTables.None && _tables.IsLive(table, _roots.Generations[root]);
    }

    /// <summary>Whether there are four topmost tables.</summary>
    internal bool HasQuarters => UsesDirectoryPointers;

    /// <summary>The slots from the root to a page; their number, 0 if the page is not in the shadow.</summary>
    internal int Follow(ulong linear, Span<Step> path)
    {
        if (!TryGetRoot((int)(linear >> 30) & 3, out int table))
            return 0;
        for (int level = _levels, count = 0; ; level--)
        {
            int index = (int)Format->Level(level)->Index(linear);
            ulong slot = _tables.Slots(table)[index];
            path[count++] = new Step(table, level, index, slot);
            if ((slot & ShadowSlot.Page) != 0)
                return count;
            if (slot == 0 || !_tables.IsLive(ShadowSlot.Number(slot), ShadowSlot.Generation(slot)))
                return 0;
            table = ShadowSlot.Number(slot);
        }
    }

    /// <summary>Whether a table has entries of 4 bytes.</summary>
    internal bool IsNarrow(int table) => _cpu.PageTables[_tables[table]->Format].EntrySize == 4;

    internal int LevelOf(int table) => _tables[table]->Level;

    /// <summary>Gives all tables up.</summary>
    internal void Clear() => _tables.Clear();
}
