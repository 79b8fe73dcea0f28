using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Tests.SystemInstructions;

/// <summary>Paging modes, by the levels of their tables.</summary>
public enum PagingMode
{
    Bits32,
    Pae,
    Level4,
    Level5,
}

/// <summary>Page tables of a test: the first 2 MiB mapped to themselves, and what the test maps beside them.</summary>
internal sealed unsafe class PagedMemory
{
    public const ulong Present = 1, Write = 2, User = 4, Accessed = 0x20, Dirty = 0x40, Large = 0x80, Global = 0x100, NoExecute = 1UL << 63;
    public const ulong All = Present | Write | User;

    private const ulong Root = 0x4_0000;

    private readonly BareCpu _cpu;
    private readonly PagingMode _mode;
    private ulong _free = Root;

    /// <summary>Builds the tables and turns paging on; the processor's mode must fit.</summary>
    public PagedMemory(BareCpu cpu, PagingMode mode)
    {
        (_cpu, _mode) = (cpu, mode);
        CpuState* s = cpu.State;
        NewTable();
        for (ulong page = 0; page < 2 << 20; page += 0x1000)
            Map(page, page, Present | Write);
        s->Cr3 = Root;
        s->Cr4 |= mode switch { PagingMode.Bits32 => Cr4.Pse, PagingMode.Level5 => Cr4.Pae | Cr4.La57, _ => Cr4.Pae };
        if (mode != PagingMode.Bits32)
            s->Efer |= Efer.Nxe;
        s->Cr0 |= Cr0.Pg | Cr0.Wp;
        Reload();
    }

    public int Levels => _mode switch { PagingMode.Bits32 => 2, PagingMode.Pae => 3, PagingMode.Level4 => 4, _ => 5 };

    private int EntrySize => _mode == PagingMode.Bits32 ? 4 : 8;

    private int IndexBits => _mode == PagingMode.Bits32 ? 10 : 9;

    /// <summary>Loads CR3 again.</summary>
    public void Reload()
    {
        if (_mode == PagingMode.Pae)
            DirectoryPointers.Load(_cpu.Cpu, _cpu.State->Cr3);
        _cpu.Cpu.FlushTlb(keepGlobal: false);
        ModeChange.Update(_cpu.Cpu);
    }

    /// <summary>Goes to level 3, with code, data and stack open to it. The vector table stays the kernel's.</summary>
    public void EnterUser()
    {
        for (ulong page = 0x8000; page < 0x2_0000; page += 0x1000)
            Change(page, 1, User);
        _cpu.EnterUser();
    }

    private ulong NewTable()
    {
        ulong table = _free;
        _free += 0x1000;
        return table;
    }

    /// <summary>Guest-physical address of the entry of a level that translates an address; tables on the way are made.</summary>
    public ulong Entry(ulong linear, int level = 1)
    {
        ulong table = Root;
        for (int l = Levels; ; l--)
        {
            ulong entry = table + ((linear >> (12 + (l - 1) * IndexBits)) & ((1UL << IndexBits) - 1)) * (ulong)EntrySize;
            if (_mode == PagingMode.Pae && l == 3)
                entry = table + ((linear >> 30) & 3) * 8;
            if (l == level)
                return entry;
            if (Read(entry) == 0)
                Write64(entry, NewTable() | (_mode == PagingMode.Pae && l == 3 ? Present : All));
            table = Read(entry) & 0xF_FFFF_F000;
        }
    }

    public ulong Read(ulong entry) => EntrySize == 4 ? _cpu.Memory.Read<uint>(entry) : _cpu.Memory.Read<ulong>(entry);

    public void Write64(ulong entry, ulong value)
    {
        if (EntrySize == 4)
            _cpu.Memory.Write(entry, (uint)value);
        else
            _cpu.Memory.Write(entry, value);
    }

    /// <summary>Maps a page, large if <paramref name="level"/> is above 1, without a flush.</summary>
    public void Map(ulong linear, ulong physical, ulong flags, int level = 1) => Write64(Entry(linear, level), physical | flags);

    /// <summary>Sets and clears bits of the entry of a level, without a flush.</summary>
    public void Change(ulong linear, int level, ulong set, ulong clear = 0)
    {
        ulong entry = Entry(linear, level);
        Write64(entry, (Read(entry) & ~clear) | set);
    }
}
