using X86Virt.Engine.Memory;
using X86Virt.Engine.Processor;
using Xunit;

namespace X86Virt.Engine.Tests.Paging;

/// <summary>A kind of page tables that a test runs in.</summary>
public enum TableKind
{
    TwoLevel,
    TwoLevelPse,
    Pae,
    PaeNoNx,
    FourLevel,
    FourLevelNoNx,
    FiveLevel,
}

/// <summary>What one access came to.</summary>
/// <param name="Address">Guest-physical address that it reached; 0 after a fault.</param>
/// <param name="Value">What was read there.</param>
/// <param name="FaultCode">The page fault's error code; null if there was none.</param>
internal readonly record struct AccessResult(ulong Address, ulong Value, uint? FaultCode);

/// <summary>A processor with paging on, whose memory is accessed by linear address without any code.</summary>
internal sealed unsafe class PagedProcessor : IDisposable
{
    public const ulong RamSize = 4 << 20;

    public PagedProcessor(TableKind kind, PagingKind paging, int shadowTables = ShadowPaging.DefaultTables)
    {
        Kind = kind;
        Memory = new PhysicalMemory(RamSize);
        Memory.MapRam(0, RamSize, 0);
        Cpu = new Cpu(Memory, new TestBus(), new ProcessorModel());
        Cpu.UsePaging(paging, shadowTables);
        CpuState* s = State;
        s->Cr4 = kind switch
        {
            TableKind.TwoLevel => 0,
            TableKind.TwoLevelPse => Cr4.Pse,
            TableKind.FiveLevel => Cr4.Pae | Cr4.La57,
            _ => Cr4.Pae,
        };
        if (kind is TableKind.Pae or TableKind.FourLevel or TableKind.FiveLevel)
            s->Efer |= Efer.Nxe;
        if (IsLong)
            s->Efer |= Efer.Lme | Efer.Lma;
        s->Cr0 |= Cr0.Pe | Cr0.Pg | Cr0.Wp;
        Cpu.FlushTlb(keepGlobal: false);
        ModeChange.Update(Cpu);
    }

    public TableKind Kind { get; }
    public PhysicalMemory Memory { get; }
    public Cpu Cpu { get; }
    public CpuState* State => Cpu.State;
    public PagingCounts Counts => Cpu.Statistics.Paging;
    public bool IsLong => Kind >= TableKind.FourLevel;
    public int EntrySize => Kind <= TableKind.TwoLevelPse ? 4 : 8;
    public int Levels => Kind switch
    {
        <= TableKind.TwoLevelPse => 2,
        TableKind.Pae or TableKind.PaeNoNx => 3,
        TableKind.FiveLevel => 5,
        _ => 4,
    };

    /// <summary>The lowest bit of the linear address that selects an entry of a table at a level.</summary>
    public int Shift(int level) => 12 + (level - 1) * (EntrySize == 4 ? 10 : 9);

    /// <summary>Loads CR3, unless directory pointers that cannot be are behind it.</summary>
    public void SetRoot(ulong cr3)
    {
        if (Levels == 3 && !DirectoryPointers.Load(Cpu, cr3))
            return;
        State->Cr3 = cr3;
        Cpu.FlushTlb(keepGlobal: (State->Cr4 & Cr4.Pge) != 0);
    }

    /// <summary>A store of a page-table entry by physical address, as a device or another mapping would make it.</summary>
    public void SetEntry(ulong table, int index, ulong entry) => Memory.Write(table + (ulong)(index * EntrySize), EntrySize, entry);

    public ulong Entry(ulong table, int index) => Memory.Read(table + (ulong)(index * EntrySize), EntrySize);

    /// <summary>Loads or stores 4 bytes by linear address, as the processor at CPL 0 or 3 does.</summary>
    public AccessResult Access(ulong linear, PagePermissions access, bool user = false, uint value = 0)
    {
        State->Cpl = (byte)(user ? 3 : 0);
        ModeChange.UpdateAccessMode(Cpu);
        uint read = value;
        bool done = access switch
        {
            PagePermissions.Fetch => SlowMemory.Translate(Cpu, null, State->AccessMode, linear, access, out _),
            PagePermissions.Write => LinearMemory.Write(State, null, linear, value),
            _ => LinearMemory.Read(State, null, linear, out read),
        };
        if (!done)
        {
            Assert.Equal(Vector.PageFault, State->Exception.Vector);
            State->Attended(Attention.Exception);
            return new AccessResult(0, 0, State->Exception.ErrorCode);
        }
        return new AccessResult(Cpu.Tlb.Find(State->AccessMode, linear)->PhysicalPage, read, null);
    }

    public void Dispose()
    {
        Cpu.Dispose();
        Memory.Dispose();
    }
}
