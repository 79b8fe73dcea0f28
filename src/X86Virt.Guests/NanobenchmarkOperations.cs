using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace X86Virt.Guests;

/// <summary>One operation of the nanobenchmark kernel: what its loop needs first, and its loop's body.</summary>
internal sealed record NanobenchmarkOperation(string Name, Action Prepare, Action Body)
{
    public const string Empty = "empty";

    /// <summary>What is done before the clock starts; no register is kept.</summary>
    public Action SetUp { get; init; } = () => { };

    /// <summary>What is done when the clock has stopped.</summary>
    public Action Finish { get; init; } = () => { };

    /// <summary>The loop that does all the same but for the operation itself.</summary>
    public string BaseLoop { get; init; } = Empty;

    /// <summary>Each iteration takes a page table entry that none before it has stored to, so there are no more iterations than entries.</summary>
    public bool TakesFreshEntries { get; init; }
}

/// <summary>
/// Bodies of the loops. They may change RAX, RBX, RCX, RDX, R8 to R11 and add to R12, which is printed as the check.
/// </summary>
internal sealed class NanobenchmarkOperations(Assembler c)
{
    private const string Use = "pteuse";
    private const uint ExtendedFeatures = 0xC000_0080;
    private const byte MasterCommand = 0x20, MasterData = 0x21, TimerCounter = 0x40, TimerControl = 0x43;

    public Label Target = c.CreateLabel("target");

    public IReadOnlyList<NanobenchmarkOperation> All =>
    [
        new(NanobenchmarkOperation.Empty, () => { }, () => { }),
        new("in", () => { }, () => c.@in(al, 0x80)),
        new("cr8wr", () => c.xor(eax, eax), () => c.mov(cr8, rax)),
        new("callret", () => { }, () => c.call(Target)),
        new("pgfault", () => c.mov(ebx, NanobenchmarkLayout.MissingPage), () => c.mov(al, __byte_ptr[rbx])),
        new("divzero", () => c.xor(ecx, ecx), () => c.div(ecx)),
        new("ptemod", PrepareTableStore, () => c.mov(__qword_ptr[rbx], rax)),
        new("ptetoggle", PrepareTableStore, Toggle),
        new(Use, PrepareTables, () => UseTable(null, useFirst: true)) { SetUp = () => SetUpTables(present: true), TakesFreshEntries = true },
        new("ptesame", PrepareTables, () => UseTable(() => c.mov(__qword_ptr[rbx], rcx), useFirst: true)) { SetUp = () => SetUpTables(present: true), TakesFreshEntries = true, BaseLoop = Use },
        new("pteclear", PrepareTables, () => UseTable(() => c.mov(__qword_ptr[rbx], rdi), useFirst: true)) { SetUp = () => SetUpTables(present: true), TakesFreshEntries = true, BaseLoop = Use },
        new("pteset", PrepareTables, () => UseTable(() => c.mov(__qword_ptr[rbx], rcx), useFirst: false)) { SetUp = () => SetUpTables(present: false), TakesFreshEntries = true, BaseLoop = Use },
        new("cpuid", () => { }, Identify),
        new("cr3", () => c.mov(eax, NanobenchmarkLayout.Root), () => c.mov(cr3, rax)),
        new("cr3switch", PrepareSwitch, SwitchTwice),
        new("invlpg", () => c.mov(ebx, NanobenchmarkLayout.MappedPage), () => c.invlpg(__[rbx])),
        new("iret", () => { }, InterruptReturn),
        new("rdtsc", () => { }, c.rdtsc),
        new("clisti", () => { }, ClearAndSet),
        new("rdmsr", () => c.mov(ecx, ExtendedFeatures), c.rdmsr),
        new("wrmsr", PrepareWrite, c.wrmsr),
        new("hltwake", () => { }, HaltUntilTimer) { SetUp = SetUpTimer, Finish = MaskTimer },
        new("icall", () => c.lea(rbx, __[Target]), () => c.call(rbx)),
        new("selfmod", PrepareSelfModification, ModifySelf),
    ];

    private Label _modified = c.CreateLabel("modified");

    /// <summary>The page is read first, so that its table is in use (and has a shadow, where there are shadows) before it is written.</summary>
    private void PrepareTableStore()
    {
        c.mov(ebx, NanobenchmarkLayout.MappedPage);
        c.mov(al, __byte_ptr[rbx]);
        c.mov(ebx, NanobenchmarkLayout.MappedEntry);
        c.mov(eax, NanobenchmarkLayout.MappedEntryValue);
        c.xor(ecx, ecx);
    }

    /// <summary>
    /// Fills the tables, the entries for stores present or not, and reads every page that is present, so that each table is in use and nothing
    /// of it is new to a monitor that keeps shadows.
    /// </summary>
    private void SetUpTables(bool present)
    {
        Label directory = c.CreateLabel(), entry = c.CreateLabel(), store = c.CreateLabel(), page = c.CreateLabel(), skip = c.CreateLabel();
        c.xor(ecx, ecx);
        c.mov(eax, NanobenchmarkLayout.ManyTables | 0x67);
        c.Label(ref directory);
        c.mov(__qword_ptr[rcx * 8 + NanobenchmarkLayout.ManyDirectory], rax);
        c.add(eax, 0x1000);
        c.inc(ecx);
        c.cmp(ecx, NanobenchmarkLayout.TableCount);
        c.jne(directory);

        c.xor(ecx, ecx);
        c.Label(ref entry);
        c.mov(eax, NanobenchmarkLayout.MappedEntryValue);
        if (!present)
        {
            c.test(ecx, NanobenchmarkLayout.EntriesPerTable - NanobenchmarkLayout.AnchorEntries);
            c.je(store);
            c.xor(eax, eax);
        }
        c.Label(ref store);
        c.mov(__qword_ptr[rcx * 8 + (int)NanobenchmarkLayout.ManyTables], rax);
        c.inc(ecx);
        c.cmp(ecx, NanobenchmarkLayout.TableCount * NanobenchmarkLayout.EntriesPerTable);
        c.jne(entry);

        c.mov(rax, cr3);
        c.mov(cr3, rax);
        c.xor(ecx, ecx);
        c.mov(ebx, NanobenchmarkLayout.ManyPages);
        c.Label(ref page);
        if (!present)
        {
            c.test(ecx, NanobenchmarkLayout.EntriesPerTable - NanobenchmarkLayout.AnchorEntries);
            c.jne(skip);
        }
        c.mov(al, __byte_ptr[rbx]);
        c.Label(ref skip);
        c.add(ebx, 0x1000);
        c.inc(ecx);
        c.cmp(ecx, NanobenchmarkLayout.TableCount * NanobenchmarkLayout.EntriesPerTable);
        c.jne(page);
    }

    private void PrepareTables()
    {
        c.xor(r8d, r8d);
        c.mov(r9, cr3);
        c.mov(ecx, NanobenchmarkLayout.MappedEntryValue);
        c.xor(edi, edi);
    }

    /// <summary>
    /// One iteration of the operations on tables in use: empties the TLB of what is not global, reads pages through the next table, and does what
    /// there is to do to its next entry. Tables go round; so a table is used far more often than it is stored to, and every monitor that has
    /// reason to trace it goes on to.
    /// </summary>
    /// <param name="store">Stores RCX, a present entry, or RDI, which is 0, to the entry at RBX.</param>
    /// <param name="useFirst">Whether the entry's own page is read before the store; if not, behind it.</param>
    private void UseTable(Action? store, bool useFirst)
    {
        const int TableShift = 9;
        c.mov(eax, r8d);
        c.and(eax, NanobenchmarkLayout.TableCount - 1);
        c.mov(edx, r8d);
        c.shr(edx, TableShift);
        c.shl(eax, 12);
        c.lea(ebx, __[rax + rdx * 8 + (int)(NanobenchmarkLayout.ManyTables + NanobenchmarkLayout.AnchorEntries * 8)]);
        c.shl(eax, 9);
        c.mov(r10d, NanobenchmarkLayout.ManyPages);
        c.add(r10d, eax);
        c.shl(edx, 12);
        c.lea(edx, __[rdx + r10 + NanobenchmarkLayout.AnchorEntries * 0x1000]);
        c.inc(r8d);
        c.mov(cr3, r9);
        for (int anchor = 0; anchor < NanobenchmarkLayout.AnchorEntries; anchor++)
            c.mov(al, __byte_ptr[r10 + anchor * 0x1000]);
        if (useFirst)
            c.mov(al, __byte_ptr[rdx]);
        c.mov(r11, __qword_ptr[rbx]);
        store?.Invoke();
        if (!useFirst)
            c.mov(al, __byte_ptr[rdx]);
    }

    private void Toggle()
    {
        c.mov(__qword_ptr[rbx], rcx);
        c.mov(__qword_ptr[rbx], rax);
    }

    private void Identify()
    {
        c.xor(eax, eax);
        c.cpuid();
        c.mov(eax, eax);
    }

    private void PrepareSwitch()
    {
        c.mov(eax, NanobenchmarkLayout.OtherRoot);
        c.mov(edx, NanobenchmarkLayout.Root);
    }

    private void SwitchTwice()
    {
        c.mov(cr3, rax);
        c.mov(cr3, rdx);
    }

    private void InterruptReturn()
    {
        Label here = c.CreateLabel();
        c.mov(rax, rsp);
        c.push(NanobenchmarkLayout.DataSelector);
        c.push(rax);
        c.pushfq();
        c.push(NanobenchmarkLayout.CodeSelector);
        c.lea(rcx, __[here]);
        c.push(rcx);
        c.iretq();
        c.Label(ref here);
        c.inc(r12);
    }

    private void ClearAndSet()
    {
        c.sti();
        c.cli();
    }

    /// <summary>The master PIC at vector 20h, edge-triggered, its slave on line 2, and the timer's line open.</summary>
    private void SetUpTimer()
    {
        Out(MasterCommand, 0x11);
        Out(MasterData, NanobenchmarkLayout.TimerVector);
        Out(MasterData, 1 << 2);
        Out(MasterData, 1);
        Out(MasterData, 0xFE);
    }

    private void MaskTimer() => Out(MasterData, 0xFF);

    /// <summary>Counter 0 in mode 0 raises its line once when it has counted down; nothing gets in between STI and HLT.</summary>
    private void HaltUntilTimer()
    {
        const byte CounterOnTerminalCount = 0x30, Ticks = 10;
        Out(TimerControl, CounterOnTerminalCount);
        Out(TimerCounter, Ticks);
        Out(TimerCounter, 0);
        c.sti();
        c.hlt();
        c.cli();
    }

    private void Out(byte port, byte value)
    {
        c.mov(al, unchecked((sbyte)value));
        c.@out(port, al);
    }

    private void PrepareWrite()
    {
        c.mov(ecx, ExtendedFeatures);
        c.rdmsr();
    }

    private void PrepareSelfModification()
    {
        c.lea(rbx, __[_modified]);
        c.inc(rbx);
    }

    /// <summary>Writes the loop's counter into the next instruction's immediate; the check is the sum of what that instruction loads.</summary>
    private void ModifySelf()
    {
        c.mov(__dword_ptr[rbx], r14d);
        c.Label(ref _modified);
        c.mov(eax, 0x1111_1111);
        c.add(r12, rax);
    }
}
