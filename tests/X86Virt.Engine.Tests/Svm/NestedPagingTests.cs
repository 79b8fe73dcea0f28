using Iced.Intel;
using X86Virt.Engine.Processor;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace X86Virt.Engine.Tests.Svm;

/// <summary>The walk in two dimensions and its faults (AMD volume 2, 15.25).</summary>
public unsafe class NestedPagingTests
{
    private const ulong Present = 1, Write = 2, User = 4, Accessed = 0x20, Dirty = 0x40, Large = 0x80, NoExecute = 1UL << 63;
    private const ulong Final = 1UL << 32, Table = 1UL << 33;

    /// <summary>The guest's own tables of four levels, which map the first 2 MiB to themselves in small pages.</summary>
    private const ulong GuestTables = 0x8_0000;

    private const ulong Data = 0x3_8000;

    private static void GuestPages(GuestBench bench)
    {
        for (int level = 0; level < 3; level++)
            bench.Cpu.Memory.Write(GuestTables + (ulong)level * 0x1000, GuestTables + (ulong)(level + 1) * 0x1000 | Present | Write);
        for (ulong page = 0; page < 512; page++)
            bench.Cpu.Memory.Write(GuestTables + 0x3000 + page * 8, page << 12 | Present | Write);
        bench.Vmcb->Cr3 = GuestTables;
    }

    private static void OnEveryEngine(Action<GuestBench> test) => GuestBench.OnEveryEngine(bench =>
    {
        bench.NestPages();
        GuestPages(bench);
        test(bench);
    });

    [Fact]
    public void TheGuestsMemoryIsWhatTheNestedTablesSay() => OnEveryEngine(bench =>
    {
        const ulong Elsewhere = 0x9_0000;
        bench.Cpu.Memory.Write(GuestBench.NestedEntry(Data), Elsewhere | Present | Write | User);
        bench.Cpu.Memory.Write(Elsewhere, 0x1122_3344UL);
        bench.Guest(a => { a.mov(ebx, (int)Data); a.mov(rsi, __[rbx]); a.mov(__dword_ptr[rbx + 8], 77); });
        Assert.Equal((SvmExitCode.Vmmcall, 0x1122_3344UL), (bench.Run(), bench.State->Rsi));
        Assert.Equal((77, 0), (bench.Cpu.Memory.Read<int>(Elsewhere + 8), bench.Cpu.Memory.Read<int>(Data + 8)));
    });

    /// <summary>The host's translation of the same address is in the TLB when the guest runs, and the guest's when the host goes on.</summary>
    [Fact]
    public void HostAndGuestDoNotShareTranslations() => OnEveryEngine(bench =>
    {
        const ulong Elsewhere = 0x9_0000;
        bench.Cpu.Memory.Write(GuestBench.NestedEntry(Data), Elsewhere | Present | Write | User);
        bench.Cpu.Memory.Write(Data, 0x11UL);
        bench.Cpu.Memory.Write(Elsewhere, 0x22UL);
        bench.Guest(a => { a.mov(r8, __[rbx]); a.add(__qword_ptr[rbx], 0x20); a.mov(r9, __[rbx]); });
        bench.State->Rax = GuestBench.VmcbAddress;
        bench.State->Rbx = Data;
        bench.Cpu.Run(BareCpu.Assemble(64, a => { a.add(__qword_ptr[rbx], 1); a.mov(rsi, __[rbx]); a.vmrun(); a.add(__qword_ptr[rbx], 1); a.mov(rdi, __[rbx]); }), 100);
        Assert.Equal((SvmExitCode.Vmmcall, 0x12UL, 0x13UL), (bench.Vmcb->ExitCode, bench.State->Rsi, bench.State->Rdi));
        Assert.Equal((0x22UL, 0x42UL), (bench.State->Gpr[8], bench.State->Gpr[9]));
    });

    [Theory]
    [InlineData(0UL, true, 0UL | User | Write)]
    [InlineData(0UL, false, 0UL | User)]
    [InlineData(Present | User, true, Present | User | Write)]
    [InlineData(Present | Write, true, Present | User | Write)]
    [InlineData(Present | Write, false, Present | User)]
    public void FaultsOfDataTellWhy(ulong entry, bool write, ulong expected) => OnEveryEngine(bench =>
    {
        bench.Cpu.Memory.Write(GuestBench.NestedEntry(Data), entry == 0 ? 0 : Data | entry);
        bench.Guest(a =>
        {
            a.mov(ebx, (int)Data);
            if (write)
                a.mov(__dword_ptr[rbx + 0x18], 1);
            else
                a.mov(eax, __dword_ptr[rbx + 0x18]);
        });
        Assert.Equal((SvmExitCode.NestedPageFault, Final | expected, Data + 0x18), (bench.Run(), bench.Vmcb->ExitInfo1, bench.Vmcb->ExitInfo2));
        Assert.Equal((GuestBench.GuestCode + 5, 0UL), (bench.Vmcb->Rip, bench.Vmcb->NextRip));
        Assert.Equal((15, write ? 0xC7 : 0x8B), (bench.Vmcb->FetchedCount, bench.Vmcb->FetchedBytes[0]));
    });

    [Fact]
    public void ReservedBitsAreTold() => OnEveryEngine(bench =>
    {
        bench.Cpu.Memory.Write(GuestBench.NestedEntry(Data), Data | Present | Write | User | 1UL << 45);
        bench.Guest(a => { a.mov(ebx, (int)Data); a.mov(eax, __dword_ptr[rbx]); });
        Assert.Equal((SvmExitCode.NestedPageFault, Final | Present | User | 8), (bench.Run(), bench.Vmcb->ExitInfo1));
    });

    [Fact]
    public void FetchesHaveTheirBitAndNoBytes() => OnEveryEngine(bench =>
    {
        bench.Cpu.Memory.Write(GuestBench.NestedEntry(Data), Data | Present | Write | User | NoExecute);
        bench.Guest(a => { a.mov(ebx, (int)Data); a.jmp(rbx); });
        Assert.Equal((SvmExitCode.NestedPageFault, Final | Present | User | 16, Data), (bench.Run(), bench.Vmcb->ExitInfo1, bench.Vmcb->ExitInfo2));
        Assert.Equal((Data, (byte)0), (bench.Vmcb->Rip, bench.Vmcb->FetchedCount));
    });

    /// <summary>A guest table counts as written whatever the access.</summary>
    [Theory]
    [InlineData(0UL, User | Write)]
    [InlineData(Present | User, Present | User | Write)]
    public void FaultsOfTablesAreMarked(ulong entry, ulong expected) => OnEveryEngine(bench =>
    {
        const ulong Faulting = GuestTables + 0x3000;
        bench.Cpu.Memory.Write(GuestBench.NestedEntry(Faulting), entry == 0 ? 0 : Faulting | entry);
        bench.Guest(a => a.nop());
        Assert.Equal(SvmExitCode.NestedPageFault, bench.Run());
        Assert.Equal((Table | expected, Faulting + (GuestBench.GuestCode >> 12) * 8), (bench.Vmcb->ExitInfo1, bench.Vmcb->ExitInfo2));
    });

    [Fact]
    public void TheGuestGoesOnOnceTheFaultIsMended() => OnEveryEngine(bench =>
    {
        bench.Cpu.Memory.Write(GuestBench.NestedEntry(Data), 0UL);
        bench.Guest(a => { a.mov(ebx, (int)Data); a.inc(__dword_ptr[rbx]); a.inc(__dword_ptr[rbx]); });
        Assert.Equal(SvmExitCode.NestedPageFault, bench.Run());
        bench.Cpu.Memory.Write(GuestBench.NestedEntry(Data), Data | Present | Write | User);
        Assert.Equal((SvmExitCode.Vmmcall, 2), (bench.Run(), bench.Cpu.Memory.Read<int>(Data)));
        Assert.Equal(1, bench.Cpu.Cpu.Svm!.Counts.Exits(SvmExitCode.NestedPageFault));
    });

    /// <summary>4 guest entries and 4 nested ones for each of the 5 guest-physical addresses.</summary>
    [Fact]
    public void FourLevelsOverFourMake24References() => OnEveryEngine(bench =>
    {
        bench.Guest(a => { a.mov(ebx, (int)Data); a.mov(eax, __dword_ptr[rbx]); });
        bench.Run();
        bench.Vmcb->Rip = GuestBench.GuestCode;
        bench.Vmcb->TlbControl = TlbControl.FlushGuest;
        bench.Guest(a => { });
        SvmCounts counts = bench.Cpu.Cpu.Svm!.Counts;
        (long references, long hits) = (counts.NestedReferences, counts.NestedTlbHits);
        Assert.Equal(SvmExitCode.Vmmcall, bench.Run());
        // A monitor walks for itself, too.
        if (!bench.Cpu.HasMonitor)
            Assert.Equal((24L, 0L), (counts.NestedReferences - references, counts.NestedTlbHits - hits));
    });

    [Fact]
    public void AccessedAndDirtyAreSetAtBothLevels() => OnEveryEngine(bench =>
    {
        bench.Guest(a => { a.mov(ebx, (int)Data); a.mov(eax, __dword_ptr[rbx]); a.mov(__dword_ptr[rbx + 0x1000], eax); });
        Assert.Equal(SvmExitCode.Vmmcall, bench.Run());
        ulong Bits(ulong entry) => bench.Cpu.Memory.Read<ulong>(entry) & (Accessed | Dirty);
        Assert.Equal((Accessed, Accessed | Dirty), (Bits(GuestTables + 0x3000 + (Data >> 9)), Bits(GuestTables + 0x3000 + (Data + 0x1000 >> 9))));
        Assert.Equal((Accessed, Accessed | Dirty), (Bits(GuestBench.NestedEntry(Data)), Bits(GuestBench.NestedEntry(Data + 0x1000))));
        // Tables count as written.
        Assert.Equal((Accessed | Dirty, 0UL), (Bits(GuestBench.NestedEntry(GuestTables)), Bits(GuestBench.NestedEntry(Data + 0x2000))));
        Assert.Equal(Accessed, Bits(GuestBench.NestedTables));
    });

    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    public void LargeNestedPagesServe(int level) => OnEveryEngine(bench =>
    {
        bench.Cpu.Memory.Write(GuestBench.NestedTables + (ulong)(4 - level) * 0x1000, Present | Write | User | Large);
        bench.Guest(a => { a.mov(ebx, (int)Data); a.mov(__dword_ptr[rbx], 5); });
        Assert.Equal((SvmExitCode.Vmmcall, 5), (bench.Run(), bench.Cpu.Memory.Read<int>(Data)));
    });

    /// <summary>A large nested page has one entry in the nested TLB, and where the guest's page is large, too, one in the TLB's entries for large pages, were there such.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void LargePagesAreKeptWhole(bool guests) => OnEveryEngine(bench =>
    {
        bench.Cpu.Memory.Write(GuestBench.NestedTables + 0x2000, Present | Write | User | Large);
        if (guests)
            bench.Cpu.Memory.Write(GuestTables + 0x2000, Present | Write | Large);
        bench.Guest(a => { a.mov(ebx, (int)Data); a.mov(eax, __dword_ptr[rbx]); a.mov(eax, __dword_ptr[rbx + 0x1000]); });
        SvmCounts counts = bench.Cpu.Cpu.Svm!.Counts;
        Assert.Equal(SvmExitCode.Vmmcall, bench.Run());
        if (!bench.Cpu.HasMonitor)
            Assert.Equal((1L, 3L, guests ? 2L : 0L), (counts.NestedWalks, counts.GuestWalks, counts.SparedGuestWalks));
    });

    [Fact]
    public void FaultsOfTheGuestsOwnTablesAreTheGuests() => OnEveryEngine(bench =>
    {
        bench.Cpu.Memory.Write(GuestTables + 0x3000 + (Data >> 9), 0UL);
        ulong handler = bench.Gate(14);
        bench.Guest(a => { a.mov(ebx, (int)Data); a.mov(eax, __dword_ptr[rbx]); });
        Assert.Equal((SvmExitCode.Vmmcall, handler, Data), (bench.Run(), bench.Vmcb->Rip, bench.Vmcb->Cr2));
    });

    [Fact]
    public void AFaultInDeliveryNamesTheEvent() => OnEveryEngine(bench =>
    {
        bench.Gate(6);
        bench.Cpu.Memory.Write(GuestBench.NestedEntry(GuestBench.GuestIdt), 0UL);
        bench.Guest(a => a.ud2());
        Assert.Equal((SvmExitCode.NestedPageFault, GuestBench.GuestIdt + 6 * 16), (bench.Run(), bench.Vmcb->ExitInfo2));
        Assert.Equal((GuestBench.Valid | 3 << 8 | 6, GuestBench.GuestCode), (bench.Vmcb->ExitIntInfo.Value, bench.Vmcb->Rip));
    });

    [Fact]
    public void AGuestWithoutPagingHasGuestPhysicalAddresses() => OnEveryEngine(bench =>
    {
        const ulong Elsewhere = 0x9_0000;
        Vmcb* v = bench.Vmcb;
        v->Efer = Efer.Svme;
        v->Cr0 = Cr0.Et;
        v->Cr4 = 0;
        v->Cs = new SegmentRegister { Selector = 0x3000, Base = GuestBench.GuestCode, Limit = 0xFFFF, Attributes = (SegmentAttributes)0x9B };
        v->Ds = v->Ss = v->Es = new SegmentRegister { Selector = 0x3800, Base = Data, Limit = 0xFFFF, Attributes = (SegmentAttributes)0x93 };
        v->Rip = 0;
        bench.Cpu.Memory.Write(GuestBench.NestedEntry(Data), Elsewhere | Present | Write | User);
        bench.Cpu.Memory.Write(GuestBench.GuestCode, BareCpu.Assemble(16, a => { a.mov(__word_ptr[8], 0x55AA); a.vmmcall(); }));
        Assert.Equal((SvmExitCode.Vmmcall, (ushort)0x55AA, 6UL), (bench.Run(), bench.Cpu.Memory.Read<ushort>(Elsewhere + 8), v->Rip));
    });

    /// <summary>Real mode with paging on exists in guests only (15.19).</summary>
    [Fact]
    public void RealModeCanBePaged() => GuestBench.OnEveryEngine(bench =>
    {
        Vmcb* v = bench.Vmcb;
        GuestPages(bench);
        v->Efer = Efer.Svme;
        v->Cr0 = Cr0.Et | Cr0.Pg;
        v->Cr4 = Cr4.Pse;
        v->Cr3 = 0x9_1000;
        bench.Cpu.Memory.Write(0x9_1000, 0x9_2000U | 3);
        for (uint page = 0; page < 1024; page++)
            bench.Cpu.Memory.Write(0x9_2000 + page * 4, page << 12 | 3);
        bench.Cpu.Memory.Write(0x9_2000 + (Data >> 10), 0x9_0003U);
        v->Cs = new SegmentRegister { Selector = 0x3000, Base = GuestBench.GuestCode, Limit = 0xFFFF, Attributes = (SegmentAttributes)0x9B };
        v->Ds = v->Ss = v->Es = new SegmentRegister { Selector = 0x3800, Base = Data, Limit = 0xFFFF, Attributes = (SegmentAttributes)0x93 };
        v->Rip = 0;
        bench.Cpu.Memory.Write(GuestBench.GuestCode, BareCpu.Assemble(16, a => { a.mov(__word_ptr[8], 0x55AA); a.vmmcall(); }));
        Assert.Equal((SvmExitCode.Vmmcall, (ushort)0x55AA), (bench.Run(), bench.Cpu.Memory.Read<ushort>(0x9_0008)));
    });

    [Fact]
    public void ThePatOfTheGuestIsItsOwn() => OnEveryEngine(bench =>
    {
        ulong host = bench.State->Pat;
        bench.Guest(a => { a.mov(ecx, 0x277); a.rdmsr(); a.mov(esi, eax); a.mov(eax, 0x0606_0606); a.mov(edx, 0x0606_0606); a.wrmsr(); });
        bench.Vmcb->GuestPat = 0x0007_0406_0007_0404;
        Assert.Equal((SvmExitCode.Vmmcall, 0x0007_0404UL), (bench.Run(), bench.State->Rsi));
        Assert.Equal((0x0606_0606_0606_0606UL, host), (bench.Vmcb->GuestPat, bench.State->Pat));
    });

    /// <summary>The directory pointers of a PAE guest are read by walks.</summary>
    [Fact]
    public void APaeGuestsDirectoryPointersAreReadWhenTheyAreUsed() => OnEveryEngine(bench =>
    {
        Vmcb* v = bench.Vmcb;
        v->Efer = Efer.Svme;
        v->Cr0 = Cr0.Et | Cr0.Pe | Cr0.Pg;
        v->Cr4 = Cr4.Pae;
        v->Cr3 = 0x9_1020;
        v->Cs.Attributes = (SegmentAttributes)0xC9B;
        bench.Cpu.Memory.Write(0x9_1020, 0x9_2000UL | Present);
        bench.Cpu.Memory.Write(0x9_1028, 0x9_2000UL | Present | User);
        bench.Cpu.Memory.Write(0x9_2000, Present | Write | Large);
        bench.Gate(0);
        bench.Intercepting(SvmExitCode.Exception0 + 14);
        bench.Cpu.Memory.Write(GuestBench.GuestCode, BareCpu.Assemble(32, a => { a.mov(cr3, eax); a.mov(eax, __dword_ptr[Data]); a.mov(eax, __dword_ptr[0x4000_0000]); }));
        v->Rax = 0x9_1020;
        Assert.Equal((SvmExitCode.Exception0 + 14, 9UL, 0x4000_0000UL), (bench.Run(), v->ExitInfo1, v->ExitInfo2));
    });

    /// <summary>The host has no NX, but SMEP: fetches are told from reads, too.</summary>
    [Fact]
    public void FaultsTellOfFetchesUnderSmep() => OnEveryEngine(bench =>
    {
        bench.State->Efer &= ~Efer.Nxe;
        bench.State->Cr4 |= Cr4.Smep;
        bench.Cpu.Memory.Write(GuestBench.NestedEntry(GuestBench.GuestCode), GuestBench.GuestCode | Present | Write);
        bench.Guest(a => a.nop());
        Assert.Equal((SvmExitCode.NestedPageFault, Final | 0x15, GuestBench.GuestCode), (bench.Run(), bench.Vmcb->ExitInfo1, bench.Vmcb->ExitInfo2));
    });

    /// <summary>G is reserved in the upper entries that lead to tables.</summary>
    [Theory]
    [InlineData(0UL)]
    [InlineData(0x1000UL)]
    public void ATableIsNotGlobal(ulong table) => OnEveryEngine(bench =>
    {
        bench.Cpu.Memory.Write(GuestBench.NestedTables + table, GuestBench.NestedTables + table + 0x1000 | Present | Write | User | 0x100);
        bench.Guest(a => a.nop());
        Assert.Equal((SvmExitCode.NestedPageFault, Table | 0xF), (bench.Run(), bench.Vmcb->ExitInfo1));
    });
}
