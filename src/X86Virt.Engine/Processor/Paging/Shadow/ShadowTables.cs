using System.Runtime.InteropServices;
using X86Virt.Engine.Memory;

namespace X86Virt.Engine.Processor;

/// <summary>
/// A fixed number of shadow tables, found by the guest page that they shadow. Each guest page with one at least is traced: stores to it
/// are told of. When all are in use, one that was not translated through lately is evicted (second chance).
/// </summary>
internal sealed unsafe class ShadowTables : IDisposable
{
    public const int None = -1;

    private const int SlotsShift = 10;
    private const int SlotsPerTable = 1 << SlotsShift;

    private readonly Cpu _cpu;
    private readonly PhysicalMemory _memory;
    private readonly ShadowTable* _tables;
    private readonly ulong* _slots;

    // For each page of host memory its first table's number + 1, so that fresh memory says there is none.
    private readonly int* _first;

    // For each page of host memory, how many more walks it is left without a shadow.
    private readonly ushort* _resting;
    private int _free = None;
    private int _made;
    private int _hand;
    private bool _disposed;

    public ShadowTables(Cpu cpu, int capacity)
    {
        _cpu = cpu;
        _memory = cpu.Memory;
        Capacity = capacity;
        _tables = (ShadowTable*)HostMemory.Allocate((ulong)capacity * (ulong)sizeof(ShadowTable));
        _slots = (ulong*)HostMemory.Allocate((ulong)capacity * SlotsPerTable * sizeof(ulong));
        _first = (int*)HostMemory.Allocate((ulong)_memory.PageCount * sizeof(int));
        _resting = (ushort*)HostMemory.Allocate((ulong)_memory.PageCount * sizeof(ushort));
    }

    public int Capacity { get; }

    /// <summary>What else is made of the tables; null if nothing is.</summary>
    public IShadowForm? Form { get; set; }

    /// <summary>Tables in use.</summary>
    public int Count { get; private set; }

    public ShadowTable* this[int number] => _tables + number;

    public ulong* Slots(int number) => _slots + ((nuint)(uint)number << SlotsShift);

    /// <summary>The first table of a page, or <see cref="None"/>; <see cref="ShadowTable.Next"/> leads on.</summary>
    public int First(int page) => _first[page] - 1;

    /// <summary>Whether a link or a number kept for later still leads to its table.</summary>
    public bool IsLive(int number, uint generation) => _tables[number].Generation == generation;

    public int Find(int page, int level, int format, PageRights rights)
    {
        for (int i = First(page); i != None; i = _tables[i].Next)
        {
            ShadowTable* t = _tables + i;
            if (t->Level == level && t->Format == format && t->Rights == rights)
                return i;
        }
        return None;
    }

    /// <summary>Makes an empty shadow of a table of so many entries and traces the table's page; evicts another if need be.</summary>
    public int Make(int page, int level, int format, PageRights rights, int entries)
    {
        int number = TakeFree();
        ShadowTable* t = _tables + number;
        *t = new ShadowTable
        {
            Page = page,
            Next = First(page),
            Generation = t->Generation,
            Level = (byte)level,
            Format = (byte)format,
            Rights = rights,
            InUse = true,
        };
        _first[page] = number + 1;
        NativeMemory.Clear(Slots(number), (nuint)entries * sizeof(ulong));
        Count++;
        _cpu.Statistics.Paging.TablesMade++;
        if ((_memory.Tracking(page) & PageTracking.Trace) == 0)
        {
            _memory.Track(page, PageTracking.Trace);
            _cpu.CloseWrites(_memory.Block + ((ulong)page << 12));
            Form?.Traced(page);
        }
        return number;
    }

    private int TakeFree()
    {
        int number = _free;
        if (number != None)
        {
            _free = _tables[number].Next;
            return number;
        }
        if (_made < Capacity)
            return _made++;
        number = Victim();
        Release(number);
        _cpu.Statistics.Paging.TablesEvicted++;
        return TakeFree();
    }

    // Tables that are pinned are fewer than there are.
    private int Victim()
    {
        while (true)
        {
            _hand = _hand + 1 == Capacity ? 0 : _hand + 1;
            ShadowTable* t = _tables + _hand;
            if (!t->Referenced && !t->Pinned)
                return _hand;
            t->Referenced = false;
        }
    }

    /// <summary>Gives a table up. Links to it die; its page's trace goes with the last table of the page.</summary>
    public void Release(int number)
    {
        ShadowTable* t = _tables + number;
        int* link = _first + t->Page;
        if (*link == number + 1)
        {
            *link = t->Next + 1;
        }
        else
        {
            int before = *link - 1;
            while (_tables[before].Next != number)
                before = _tables[before].Next;
            _tables[before].Next = t->Next;
        }
        if (*link == 0)
            _memory.Untrack(t->Page, PageTracking.Trace);
        t->Generation++;
        t->InUse = false;
        Form?.Released(number);
        t->Next = _free;
        _free = number;
        Count--;
    }

    /// <summary>Has a page left without a shadow for so many walks.</summary>
    public void Rest(int page, ushort walks) => _resting[page] = walks;

    /// <summary>Whether a page is left without a shadow; counts the walk that asks.</summary>
    public bool Rests(int page)
    {
        if (_resting[page] == 0)
            return false;
        _resting[page]--;
        return true;
    }

    /// <summary>How many more walks a page is left without a shadow.</summary>
    public int RestOf(int page) => _resting[page];

    /// <summary>Numbers of the tables in use.</summary>
    public IEnumerable<int> InUse() => Enumerable.Range(0, _made).Where(IsInUse);

    private bool IsInUse(int number) => _tables[number].InUse;

    /// <summary>Gives all of them up.</summary>
    public void Clear()
    {
        for (int i = 0; i < _made; i++)
        {
            if (_tables[i].InUse)
                Release(i);
        }
    }

    public void Dispose()
    {
        if (_disposed)
            return;
        _disposed = true;
        Clear();
        HostMemory.Free((byte*)_tables, (ulong)Capacity * (ulong)sizeof(ShadowTable));
        HostMemory.Free((byte*)_slots, (ulong)Capacity * SlotsPerTable * sizeof(ulong));
        HostMemory.Free((byte*)_first, (ulong)_memory.PageCount * sizeof(int));
        HostMemory.Free((byte*)_resting, (ulong)_memory.PageCount * sizeof(ushort));
    }
}
