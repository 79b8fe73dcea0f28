using Iced.Intel;
using X86Virt.Engine.Monitors;
using X86Virt.Engine.Processor;
using Xunit;
using static Iced.Intel.AssemblerRegisters;
using static X86Virt.Engine.Tests.SystemInstructions.PagedMemory;
using static X86Virt.Engine.Tests.SystemInstructions.SystemBench;

namespace X86Virt.Engine.Tests.SystemInstructions;

/// <summary>Address translation and its faults in every paging mode (AMD volume 2, chapter 5).</summary>
public unsafe class PagingTests
{
    private const ulong Frame = 0xC000;

    // A page that no other test data shares a table with.
    private static ulong Page(PagingMode mode) => mode switch
    {
        PagingMode.Bits32 or PagingMode.Pae => 0x4012_3000,
        PagingMode.Level4 => 0x7ABC_1234_5000,
        _ => 0x55_7ABC_1234_5000,
    };

    private static int Bitness(PagingMode mode) => mode < PagingMode.Level4 ? 32 : 64;

    private static void OnEveryEngine(PagingMode mode, Action<BareCpu, PagedMemory> test)
        => SystemBench.OnEveryEngine(Bitness(mode), cpu => test(cpu, new PagedMemory(cpu, mode)),
            features: mode == PagingMode.Level5 ? ["+La57"] : []);

    public enum Access
    {
        Read,
        Write,
        Fetch,
        UserRead,
        UserWrite,
        UserFetch,
    }

    /// <summary>Makes one access to an address and tells its page fault's error code, if there is one.</summary>
    private static uint? Try(BareCpu cpu, PagedMemory memory, Access access, ulong linear)
    {
        CpuState* s = cpu.State;
        if (access >= Access.UserRead)
            memory.EnterUser();
        s->Rbx = linear;
        if (access is Access.Fetch or Access.UserFetch)
            cpu.Memory.Write(Frame, (byte)0x90);
        byte[] code = access switch
        {
            Access.Read or Access.UserRead => [0x8B, 0x03],
            Access.Write or Access.UserWrite => [0x89, 0x03],
            _ => [0xFF, 0xE3],
        };
        ExceptionRecord? fault = cpu.Execute(code, access is Access.Fetch or Access.UserFetch ? 2 : 1);
        if (fault == null)
            return null;
        Assert.Equal((Vector.PageFault, (ulong?)linear), (fault.Value.Vector, fault.Value.Address));
        Assert.Equal(access is Access.Fetch or Access.UserFetch ? linear : BareCpu.CodeAddress, fault.Value.Rip);
        Assert.Equal(linear, s->Cr2);
        return fault.Value.ErrorCode;
    }

    private const ulong P = Present, W = Write, U = User, Nx = NoExecute, Reserved = 1UL << 50;

    // Access, flags of the page, what is switched ("+" on, "-" off), error code; -1 for none.
    public static TheoryData<Access, ulong, string, int> Rights => new()
    {
        { Access.Read, P, "", -1 },
        { Access.Read, 0, "", 0 },
        { Access.Read, P | U, "", -1 },
        { Access.Read, P | U, "+smap", 1 },
        { Access.Read, P | U, "+smap +ac", -1 },
        { Access.Read, P, "+smap", -1 },
        { Access.Write, P, "", 3 },
        { Access.Write, P, "-wp", -1 },
        { Access.Write, P | W, "", -1 },
        { Access.Write, 0, "", 2 },
        { Access.Write, W | U, "", 2 },
        { Access.Write, P | W | U, "+smap", 3 },
        { Access.Write, P | U, "+smap -wp", 3 },
        { Access.Write, P | W | U, "+smap +ac", -1 },
        { Access.Write, P | U, "+smap +ac", 3 },
        { Access.Fetch, P, "", -1 },
        { Access.Fetch, P | U, "", -1 },
        { Access.Fetch, P | U, "+smap", -1 },
        { Access.Fetch, P | U, "+smep", 0x11 },
        { Access.Fetch, P, "+smep", -1 },
        { Access.Fetch, 0, "+smep", 0x10 },
        { Access.UserRead, P, "", 5 },
        { Access.UserRead, P | U, "+smap +smep", -1 },
        { Access.UserRead, 0, "", 4 },
        { Access.UserWrite, P | U, "", 7 },
        { Access.UserWrite, P | U, "-wp", 7 },
        { Access.UserWrite, P | W, "", 7 },
        { Access.UserWrite, P | W | U, "", -1 },
        { Access.UserWrite, 0, "", 6 },
        { Access.UserFetch, P | U, "+smep", -1 },
    };

    [Theory, MemberData(nameof(Rights))]
    public void EveryLevelOfTheTablesLimitsWhatAPageAllows(Access access, ulong flags, string switches, int error)
    {
        foreach (PagingMode mode in Enum.GetValues<PagingMode>())
        {
            int levels = mode switch { PagingMode.Bits32 or PagingMode.Pae => 2, PagingMode.Level4 => 4, _ => 5 };
            for (int level = 1; level <= levels; level++)
            {
                OnEveryEngine(mode, (cpu, memory) =>
                {
                    ulong page = Page(mode);
                    memory.Map(page, Frame, All);
                    memory.Change(page, level, flags, All & ~flags);
                    Switch(cpu, switches);
                    memory.Reload();
                    Assert.Equal(error < 0 ? null : (uint)error, Try(cpu, memory, access, page));
                    for (int l = 1; l <= levels; l++)
                    {
                        ulong entry = memory.Read(memory.Entry(page, l));
                        bool dirty = error < 0 && l == 1 && access is (Access.Write or Access.UserWrite);
                        Assert.Equal((error < 0, dirty), ((entry & Accessed) != 0, (entry & Dirty) != 0));
                    }
                });
            }
        }
    }

    private static void Switch(BareCpu cpu, string switches)
    {
        CpuState* s = cpu.State;
        foreach (string name in switches.Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            switch (name)
            {
                case "+smap": s->Cr4 |= Cr4.Smap; break;
                case "+smep": s->Cr4 |= Cr4.Smep; break;
                case "+ac": s->SystemFlags |= Flags.Ac; break;
                case "-wp": s->Cr0 &= ~Cr0.Wp; break;
                case "-nxe": s->Efer &= ~Efer.Nxe; break;
                default: throw new ArgumentException(name);
            }
        }
    }

    [Theory]
    [InlineData(Access.Fetch, P | Nx, "", 0x11)]
    [InlineData(Access.Read, P | Nx, "", -1)]
    [InlineData(Access.UserFetch, P | U | Nx, "", 0x15)]
    [InlineData(Access.Fetch, 0, "", 0x10)]
    [InlineData(Access.UserFetch, 0, "", 0x14)]
    [InlineData(Access.UserFetch, 0, "-nxe", 4)]
    [InlineData(Access.Read, P | Nx, "-nxe", 9)]
    [InlineData(Access.Fetch, P | Nx, "-nxe", 9)]
    [InlineData(Access.Fetch, P | Nx, "-nxe +smep", 0x19)]
    [InlineData(Access.Read, P | Reserved, "", 9)]
    [InlineData(Access.Write, P | W | Reserved, "", 0xB)]
    [InlineData(Access.UserWrite, P | Reserved, "", 0xF)]
    [InlineData(Access.UserFetch, P | Reserved, "", 0x1D)]
    [InlineData(Access.Read, Reserved, "", 0)]
    public void WideEntriesHaveNxAndReservedBits(Access access, ulong flags, string switches, int error)
    {
        foreach (PagingMode mode in (PagingMode[])[PagingMode.Pae, PagingMode.Level4, PagingMode.Level5])
        {
            for (int level = 1; level <= (mode == PagingMode.Pae ? 2 : (int)mode + 2); level++)
            {
                OnEveryEngine(mode, (cpu, memory) =>
                {
                    ulong page = Page(mode);
                    memory.Map(page, Frame, All);
                    memory.Change(page, level, flags, All & ~flags);
                    Switch(cpu, switches);
                    memory.Reload();
                    Assert.Equal(error < 0 ? null : (uint)error, Try(cpu, memory, access, page));
                });
            }
        }
    }

    // Bits of a wide entry that are free in long mode but reserved under PAE; bits 7 and 8 of upper levels; gaps below large frames.
    [Theory]
    [InlineData(PagingMode.Level4, 1, 1UL << 52, false)]
    [InlineData(PagingMode.Level4, 1, 1UL << 62, false)]
    [InlineData(PagingMode.Pae, 1, 1UL << 52, true)]
    [InlineData(PagingMode.Pae, 2, 1UL << 62, true)]
    [InlineData(PagingMode.Level4, 4, Large, true)]
    [InlineData(PagingMode.Level5, 5, Large, true)]
    [InlineData(PagingMode.Level4, 4, Global, true)]
    [InlineData(PagingMode.Level4, 3, Global, true)]
    [InlineData(PagingMode.Level4, 2, Global, false)]
    [InlineData(PagingMode.Level5, 5, Global, true)]
    [InlineData(PagingMode.Level4, 3, Large | 1UL << 13, true)]
    [InlineData(PagingMode.Level4, 3, Large | 1UL << 29, true)]
    [InlineData(PagingMode.Level4, 2, Large | 1UL << 13, true)]
    [InlineData(PagingMode.Level4, 2, Large | 1UL << 20, true)]
    [InlineData(PagingMode.Pae, 2, Large | 1UL << 20, true)]
    [InlineData(PagingMode.Level4, 2, Large | 1UL << 12, false)]
    [InlineData(PagingMode.Level4, 3, Large | 1UL << 12, false)]
    [InlineData(PagingMode.Bits32, 2, Large | 1UL << 21, true)]
    [InlineData(PagingMode.Bits32, 2, Large | 1UL << 12, false)]
    public void ReservedBitsFault(PagingMode mode, int level, ulong bits, bool reserved) => OnEveryEngine(mode, (cpu, memory) =>
    {
        ulong page = Page(mode);
        memory.Map(page, Frame, All);
        if ((bits & Large) != 0)
            memory.Map(page, 0, All, level);
        memory.Change(page, level, bits);
        memory.Reload();
        Assert.Equal(reserved ? 9u : null, Try(cpu, memory, Access.Read, page));
    });

    [Fact]
    public void WithoutGigabytePagesTheirBitIsReserved() => SystemBench.OnEveryEngine(64, cpu =>
    {
        var memory = new PagedMemory(cpu, PagingMode.Level4);
        memory.Map(1UL << 30, 0, All | Large, 3);
        Assert.Equal(9u, Try(cpu, memory, Access.Read, 1UL << 30));
    }, features: ["-Page1Gb"]);

    [Theory]
    [InlineData(PagingMode.Bits32, 1, 0xABCD_E000UL)]
    [InlineData(PagingMode.Bits32, 2, 0x0040_0000UL)]
    [InlineData(PagingMode.Pae, 1, 0xFE_1234_5000UL)]
    [InlineData(PagingMode.Pae, 2, 0xFE_1220_0000UL)]
    [InlineData(PagingMode.Level4, 2, 0xFE_1220_0000UL)]
    [InlineData(PagingMode.Level4, 3, 0xFE_4000_0000UL)]
    [InlineData(PagingMode.Level5, 1, 0xFE_1234_5000UL)]
    [InlineData(PagingMode.Level5, 3, 0xFE_4000_0000UL)]
    public void APageOfEachSizeGivesTheLowBitsToItsOffset(PagingMode mode, int level, ulong frame) => OnEveryEngine(mode, (cpu, memory) =>
    {
        ulong page = Page(mode), size = 1UL << (12 + (level - 1) * (mode == PagingMode.Bits32 ? 10 : 9));
        memory.Map(page, frame, P | (level > 1 ? Large : 0), level);
        memory.Reload();
        Assert.True(PageWalker.Walk(cpu.Cpu, page + 0xABC, AccessMode.Supervisor, PagePermissions.Read, false, out ulong physical, out _, out _));
        Assert.Equal(frame | ((page + 0xABC) & (size - 1)), physical);
    });

    [Fact]
    public void FourMebibytePagesReach40BitsOfAddress() => OnEveryEngine(PagingMode.Bits32, (cpu, memory) =>
    {
        memory.Map(0x4000_0000, 0x0040_0000 | 0x1F_E000, P | Large, 2);
        Assert.True(PageWalker.Walk(cpu.Cpu, 0x4000_0010, AccessMode.Supervisor, PagePermissions.Read, false, out ulong physical, out _, out _));
        Assert.Equal(0xFF_0040_0010UL, physical);
    });

    [Fact]
    public void WithoutPseTheBitOfLargePagesMeansNothing() => OnEveryEngine(PagingMode.Bits32, (cpu, memory) =>
    {
        memory.Map(0x4000_0000, Frame, All);
        memory.Change(0x4000_0000, 2, Large);
        cpu.State->Cr4 &= ~Cr4.Pse;
        memory.Reload();
        cpu.Memory.Write(Frame, 0x1234_5678u);
        Assert.Null(Try(cpu, memory, Access.Read, 0x4000_0000));
        Assert.Equal(0x1234_5678u, cpu.State->Rax);
    });

    /// <summary>Reads a page, points its entry to another frame, reads again, does something, reads a third time.</summary>
    private static (ulong Before, ulong Stale, ulong After) Remap(BareCpu cpu, PagedMemory memory, ulong page, Action<Assembler> between, int count)
    {
        cpu.Memory.Write(Frame, 0x11u);
        cpu.Memory.Write(Frame + 0x1000, 0x22u);
        CpuState* s = cpu.State;
        s->Rbx = page;
        s->Rsi = memory.Entry(page);
        s->Rdi = (memory.Read(s->Rsi) & ~0xFF000UL) | (Frame + 0x1000);
        Assert.Null(cpu.Execute(s->LongMode ? 64 : 32, a =>
        {
            bool wide = s->LongMode;
            if (wide)
            {
                a.mov(r8d, __dword_ptr[rbx]);
                a.mov(__dword_ptr[rsi], edi);
                a.mov(r9d, __dword_ptr[rbx]);
            }
            else
            {
                a.mov(ebp, __dword_ptr[ebx]);
                a.mov(__dword_ptr[esi], edi);
                a.mov(esp, __dword_ptr[ebx]);
            }
            between(a);
            if (wide)
                a.mov(r10d, __dword_ptr[rbx]);
            else
                a.mov(edi, __dword_ptr[ebx]);
        }, count + 4));
        return s->LongMode ? (s->Gpr[8], s->Gpr[9], s->Gpr[10]) : (s->Rbp, s->Rsp, s->Rdi);
    }

    public static TheoryData<string, ulong, bool> Flushes => new()
    {
        { "nop", 0, false },
        { "invlpg", 0, true },
        { "invlpg", Global, true },
        { "cr3", 0, true },
        { "cr3", Global, false },
        { "pge", Global, true },
        { "invpcid0", 0, true },
        { "invpcid1", 0, true },
        { "invpcid1", Global, false },
        { "invpcid2", Global, true },
        { "invpcid3", 0, true },
        { "invpcid3", Global, false },
    };

    [Theory, MemberData(nameof(Flushes))]
    public void ATranslationStaysUntilItIsFlushed(string flush, ulong flags, bool flushed) => OnEveryEngine(PagingMode.Level4, (cpu, memory) =>
    {
        ulong page = Page(PagingMode.Level4);
        memory.Map(page, Frame, All | flags);
        cpu.State->Cr4 |= Cr4.Pge;
        memory.Reload();
        cpu.State->Rbp = Data;
        cpu.Memory.Write(Data, 0UL);
        cpu.Memory.Write(Data + 8, page);
        (Action<Assembler> between, int count) = flush switch
        {
            "nop" => ((Action<Assembler>)(a => a.nop()), 1),
            "invlpg" => (a => a.invlpg(__[rbx]), 1),
            "cr3" => (a => { a.mov(rax, cr3); a.mov(cr3, rax); }, 2),
            "pge" => (a => { a.mov(rax, cr4); a.xor(al, 0x80); a.mov(cr4, rax); }, 3),
            _ => (a => { a.mov(eax, flush[^1] - '0'); a.invpcid(rax, __xmmword_ptr[rbp]); }, 2),
        };
        var found = Remap(cpu, memory, page, between, count);
        bool mayBeFlushed = cpu.MayDropTranslations && found.Item3 == 0x22;
        Assert.Equal((0x11UL, 0x11UL, flushed || mayBeFlushed ? 0x22UL : 0x11UL), found);
    });

    [Theory, InlineData(PagingMode.Bits32), InlineData(PagingMode.Pae)]
    public void ATranslationStaysIn32BitModesToo(PagingMode mode) => OnEveryEngine(mode, (cpu, memory) =>
    {
        ulong page = Page(mode);
        memory.Map(page, Frame, All);
        memory.Reload();
        Assert.Equal((0x11UL, 0x11UL, 0x22UL), Remap(cpu, memory, page, a => a.invlpg(__[ebx]), 1));
    });

    [Fact]
    public void ARightThatWasAddedNeedsNoFlush() => OnEveryEngine(PagingMode.Level4, (cpu, memory) =>
    {
        ulong page = Page(PagingMode.Level4);
        memory.Map(page, Frame, P);
        Assert.Null(Try(cpu, memory, Access.Read, page));
        memory.Change(page, 1, W);
        Assert.Null(Try(cpu, memory, Access.Write, page));
    });

    [Fact]
    public void InvlpgDropsALargePageWhole() => OnEveryEngine(PagingMode.Level4, (cpu, memory) =>
    {
        ulong page = 0x4020_0000;
        memory.Map(page, 0, All | Large, 2);
        Assert.Null(Try(cpu, memory, Access.Read, page + 0x3000));
        memory.Map(page, 0, 0, 2);
        cpu.State->Rbx = page;
        Assert.Null(cpu.Execute(64, a => a.invlpg(__[rbx + 0x1F_F000])));
        Assert.Equal(0u, Try(cpu, memory, Access.Read, page + 0x3000));
    });

    [Fact]
    public void PaeDirectoryPointersAreKeptFromTheLoadOfCr3On() => OnEveryEngine(PagingMode.Pae, (cpu, memory) =>
    {
        // With nested paging they are read by every walk instead (AMD volume 2, 15.25.10).
        if (cpu.Engine is HardwareAssist { Paging: NestedGuestPaging })
            return;
        memory.Map(0x4000_0000, Frame, All);
        memory.Reload();
        ulong entry = memory.Entry(0x4000_0000, 3);
        memory.Write64(entry, 0);
        cpu.State->Rbx = 0x4000_0000;
        Assert.Null(cpu.Execute(32, a =>
        {
            a.invlpg(__[ebx]);
            a.mov(eax, __dword_ptr[ebx]);
        }, 2));
        cpu.State->Rax = cpu.State->Cr3;
        ExceptionRecord? fault = cpu.Execute(32, a =>
        {
            a.mov(cr3, eax);
            a.mov(ecx, __dword_ptr[ebx]);
        }, 2);
        Assert.Equal((Vector.PageFault, 0u), (fault!.Value.Vector, fault.Value.ErrorCode));
    });

    [Theory]
    [InlineData(2, true), InlineData(4, true), InlineData(0x20, true), InlineData(0x80, true), InlineData(0x100, true), InlineData(1L << 40, true), InlineData(1L << 63, true)]
    [InlineData(8, false), InlineData(0x10, false), InlineData(0x200, false)]
    public void PaeDirectoryPointersAreCheckedWhenCr3IsLoaded(long bits, bool refused) => OnEveryEngine(PagingMode.Pae, (cpu, memory) =>
    {
        // With nested paging they are read by every walk instead (AMD volume 2, 15.25.10).
        if (cpu.Engine is HardwareAssist { Paging: NestedGuestPaging })
            return;
        memory.Map(0xC000_0000, Frame, All);
        memory.Change(0xC000_0000, 3, (ulong)bits);
        foreach (ulong present in (ulong[])[0, P])
        {
            memory.Change(0xC000_0000, 3, present, P);
            cpu.State->Rax = cpu.State->Cr3 | 8;
            ulong before = cpu.State->Cr3;
            ExceptionRecord? fault = cpu.Execute(32, a => a.mov(cr3, eax));
            if (refused && present != 0)
                RaisesGeneralProtection(fault);
            else
                Assert.Null(fault);
            Assert.Equal(refused && present != 0 ? before : before | 8, cpu.State->Cr3);
            cpu.Cpu.ExceptionHistory.Clear();
        }
    });

    [Fact]
    public void PaeDirectoryPointersAreCheckedWhenPagingIsTurnedOn() => OnEveryEngine(PagingMode.Pae, (cpu, memory) =>
    {
        // With nested paging they are read by every walk instead (AMD volume 2, 15.25.10).
        if (cpu.Engine is HardwareAssist { Paging: NestedGuestPaging })
            return;
        memory.Change(0xC000_0000, 3, P | 2);
        cpu.State->Cr0 &= ~Cr0.Pg;
        memory.Reload();
        cpu.State->Rax = cpu.State->Cr0 | Cr0.Pg;
        RaisesGeneralProtection(cpu.Execute(32, a => a.mov(cr0, eax)));
    });

    /// <summary>Instructions that write across the end of a page of which the next is not there.</summary>
    public static TheoryData<string> CrossingWrites => [.. Crossings.Keys];

    private static readonly Dictionary<string, Action<Assembler>> Crossings = new()
    {
        ["mov"] = a => a.mov(__qword_ptr[rbx], rax),
        ["add"] = a => a.add(__dword_ptr[rbx], eax),
        ["xchg"] = a => a.xchg(__[rbx], rax),
        ["cmpxchg8b"] = a => a.cmpxchg8b(__[rbx]),
        ["push"] = a => a.push(rax),
        ["movups"] = a => a.movups(__[rbx], xmm0),
        ["stosq"] = a => a.stosq(),
        ["sgdt"] = a => a.sgdt(__[rbx]),
        ["fstp"] = a => a.fstp(__tword_ptr[rbx]),
        ["fnstenv"] = a => a.fnstenv(__[rbx]),
        ["fxsave"] = a => a.fxsave(__[rdx]),
        ["call"] = a => a.call(rax),
        ["bts"] = a => a.bts(__dword_ptr[rbx], 0),
    };

    [Theory, MemberData(nameof(CrossingWrites))]
    public void AWriteAcrossTwoPagesDoesNothingIfTheSecondFaults(string name) => OnEveryEngine(PagingMode.Level4, (cpu, memory) =>
    {
        ulong page = Page(PagingMode.Level4), end = page + 0x1000;
        memory.Map(page, Frame, All);
        memory.Map(end, Frame + 0x1000, P);
        memory.Reload();
        CpuState* s = cpu.State;
        for (ulong a = Frame; a < Frame + 0x1000; a += 8)
            cpu.Memory.Write(a, 0xA5A5_A5A5_A5A5_A5A5UL);
        (s->Rbx, s->Rdi, s->Rsp, s->Rdx) = (end - 2, end - 2, end + 6, end - 16);
        s->Rax = s->Rcx = 1;
        s->Mxcsr = 0x1F80;
        ExceptionRecord? fault = cpu.Execute(64, Crossings[name]);
        Raises(Vector.PageFault, 3, fault);
        // An FXSAVE tells its last byte: it probes all of its area first.
        Assert.Equal(name == "fxsave" ? end + 0x1EF : end, fault!.Value.Address);
        Assert.Equal((end - 2, end + 6), (s->Rdi, s->Rsp));
        for (ulong a = Frame; a < Frame + 0x1000; a += 8)
            Assert.Equal(0xA5A5_A5A5_A5A5_A5A5UL, cpu.Memory.Read<ulong>(a));
    });

    [Theory]
    [InlineData(PagingMode.Level4, 0x0000_8000_0000_0000UL, false)]
    [InlineData(PagingMode.Level4, 0xFFFF_7FFF_FFFF_FFF0UL, false)]
    [InlineData(PagingMode.Level4, 0x0000_7FFF_FFFF_FFFEUL, false)]
    [InlineData(PagingMode.Level4, 0xFFFF_8000_0000_0000UL, true)]
    [InlineData(PagingMode.Level5, 0x0000_8000_0000_0000UL, true)]
    [InlineData(PagingMode.Level5, 0x0100_0000_0000_0000UL, false)]
    public void AnAddressThatIsNotCanonicalIsAGeneralProtectionOrStackFault(PagingMode mode, ulong linear, bool canonical) => OnEveryEngine(mode, (cpu, _) =>
    {
        (string Name, Vector Vector, Action<Assembler> Write)[] accesses =
        [
            ("[rbx]", Vector.GeneralProtection, a => a.mov(eax, __dword_ptr[rbx])),
            ("[rbp]", Vector.StackFault, a => a.mov(eax, __dword_ptr[rbp])),
            ("ss:[rbx], of which the prefix is ignored", Vector.GeneralProtection, a => { a.db(0x36, 0x8B, 0x03); }),
            ("ds:[rbp], of which the prefix is ignored", Vector.StackFault, a => { a.db(0x3E, 0x8B, 0x45, 0x00); }),
            ("fs:[rbp]", Vector.GeneralProtection, a => { a.db(0x64, 0x8B, 0x45, 0x00); }),
            ("pop", Vector.StackFault, a => a.pop(rax)),
            ("lods", Vector.GeneralProtection, a => a.lodsd()),
            ("ret", Vector.StackFault, a => a.ret()),
            ("add", Vector.GeneralProtection, a => a.add(__dword_ptr[rbx], eax)),
            ("movups", Vector.StackFault, a => a.movups(xmm0, __[rbp])),
            ("leave", Vector.StackFault, a => a.leave()),
        ];
        foreach ((string name, Vector vector, Action<Assembler> write) in accesses)
        {
            CpuState* s = cpu.State;
            s->Rbx = s->Rbp = s->Rsp = s->Rsi = linear;
            cpu.Cpu.ExceptionHistory.Clear();
            ExceptionRecord? fault = cpu.Execute(64, write);
            Assert.True(fault != null, name);
            Assert.True(fault.Value.Vector == (canonical ? Vector.PageFault : vector) && (canonical || fault.Value.ErrorCode == 0), $"{name}: {fault}");
            s->ShutDown = false;
            s->Attended(Attention.Halt);
        }
    });

    [Fact]
    public void AJumpToAnAddressThatIsNotCanonicalFaultsOnTheJump() => OnEveryEngine(PagingMode.Level4, (cpu, _) =>
    {
        cpu.State->Rbx = 1UL << 47;
        RaisesGeneralProtection(cpu.Execute(64, a => a.jmp(rbx)));
    });

    /// <summary>The processor's own accesses to its tables are a supervisor's even from level 3, and SMAP holds for them whatever AC is.</summary>
    [Theory]
    [InlineData(3, P | W, false, -1), InlineData(3, P | W | U, false, -1), InlineData(3, P | W, true, -1)]
    [InlineData(3, P | W | U, true, 1), InlineData(0, P | W | U, true, 1), InlineData(3, 0, false, 0)]
    public void TablesAreAccessedWithSupervisorRights(int level, ulong flags, bool smap, int error) => OnEveryEngine(PagingMode.Level4, (cpu, memory) =>
    {
        ulong table = Page(PagingMode.Level4);
        memory.Map(table, Frame, flags);
        cpu.Memory.Write(Frame + 8, 0x00CF_F300_0000_FFFFUL);
        CpuState* s = cpu.State;
        s->Gdtr = new DescriptorTableRegister { Base = table, Limit = 0xF };
        s->Rax = 0xB;
        if (level == 3)
            memory.EnterUser();
        if (smap)
            s->Cr4 |= Cr4.Smap;
        s->SystemFlags |= Flags.Ac;
        memory.Reload();
        ExceptionRecord? fault = cpu.Execute(64, a => a.mov(ds, eax));
        Assert.Equal(error < 0 ? null : (uint)error, fault?.ErrorCode);
    });

    [Fact]
    public void ADoubleFaultOfPageFaultsShowsTheSecondAddress() => OnEveryEngine(PagingMode.Level4, (cpu, memory) =>
    {
        ulong table = Page(PagingMode.Level4);
        CpuState* s = cpu.State;
        s->Idtr = new DescriptorTableRegister { Base = table, Limit = 0xFFF };
        s->Rbx = table + 0x10_0000;
        cpu.Execute(64, a => a.mov(eax, __dword_ptr[rbx]));
        Assert.True(cpu.Shutdown);
        Assert.Equal(table + (ulong)Vector.DoubleFault * 16, s->Cr2);
    });
}
