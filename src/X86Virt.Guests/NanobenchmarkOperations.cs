using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;
using static X86Virt.Guests.WordAssembler;

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
/// Bodies of the loops. They may change RAX, RBX, RCX, RDX and RDI, and add to RSI, which is printed as the check; RBP counts iterations.
/// </summary>
internal sealed class NanobenchmarkOperations(NanobenchmarkMode mode)
{
    public static readonly WordRegister Check = Si, Counter = Bp;

    private const string Use = "pteuse";
    private const uint ExtendedFeatures = 0xC000_0080;
    private const int Mapped = (int)NanobenchmarkLayout.MappedEntryValue;
    private const byte MasterCommand = 0x20, MasterData = 0x21, TimerCounter = 0x40, TimerControl = 0x43;

    private readonly WordAssembler w = mode.Words;
    private readonly Assembler c = mode.Words.Code;

    /// <summary>A routine that returns.</summary>
    public Label Target = mode.Words.Code.CreateLabel();

    public IReadOnlyList<NanobenchmarkOperation> All =>
    [
        new(NanobenchmarkOperation.Empty, () => { }, () => { }),
        new("in", () => { }, () => c.@in(al, 0x80)),
        new("cr8wr", mode.PrepareTaskPriority, mode.WriteTaskPriority),
        new("callret", () => { }, () => c.call(Target)),
        new("pgfault", () => c.mov(ebx, NanobenchmarkLayout.MissingPage), () => c.mov(al, w.At(Bx))),
        new("divzero", () => c.xor(ecx, ecx), () => c.div(ecx)),
        new("ptemod", PrepareTableStore, () => w.Store(w.At(Bx), Mapped)),
        new("ptetoggle", PrepareTableStore, Toggle),
        new(Use, PrepareTables, () => UseTable(null, useFirst: true)) { SetUp = () => SetUpTables(present: true), TakesFreshEntries = true },
        new("ptesame", PrepareTables, () => UseTable(Mapped, useFirst: true)) { SetUp = () => SetUpTables(present: true), TakesFreshEntries = true, BaseLoop = Use },
        new("pteclear", PrepareTables, () => UseTable(0, useFirst: true)) { SetUp = () => SetUpTables(present: true), TakesFreshEntries = true, BaseLoop = Use },
        new("pteset", PrepareTables, () => UseTable(Mapped, useFirst: false)) { SetUp = () => SetUpTables(present: false), TakesFreshEntries = true, BaseLoop = Use },
        new("cpuid", () => { }, Identify),
        new("cr3", () => c.mov(eax, NanobenchmarkLayout.Root), () => w.Move(cr3, Ax)),
        new("cr3switch", PrepareSwitch, SwitchTwice),
        new("invlpg", () => c.mov(ebx, NanobenchmarkLayout.MappedPage), () => c.invlpg(w.At(Bx))),
        new("iret", () => { }, InterruptReturn),
        new("rdtsc", () => { }, c.rdtsc),
        new("clisti", () => { }, ClearAndSet),
        new("rdmsr", () => c.mov(ecx, ExtendedFeatures), c.rdmsr),
        new("wrmsr", PrepareWrite, c.wrmsr),
        new("hltwake", () => { }, HaltUntilTimer) { SetUp = SetUpTimer, Finish = MaskTimer },
        new("icall", () => w.LoadAddress(ebx, Target), () => w.Call(Bx)),
        new("selfmod", PrepareSelfModification, ModifySelf),
    ];

    private Label _modified = mode.Words.Code.CreateLabel();

    /// <summary>The page is read first, so that its table is in use (and has a shadow, where there are shadows) before it is written.</summary>
    private void PrepareTableStore()
    {
        c.mov(ebx, NanobenchmarkLayout.MappedPage);
        c.mov(al, w.At(Bx));
        c.mov(ebx, NanobenchmarkLayout.MappedEntry);
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
        c.mov(w.At(Cx, 8, NanobenchmarkLayout.ManyDirectory), eax);
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
        c.mov(__dword_ptr[w.At(Cx, 8, NanobenchmarkLayout.ManyTables + 4)], 0);
        c.mov(w.At(Cx, 8, NanobenchmarkLayout.ManyTables), eax);
        c.inc(ecx);
        c.cmp(ecx, NanobenchmarkLayout.TableCount * NanobenchmarkLayout.EntriesPerTable);
        c.jne(entry);

        w.Move(Ax, cr3);
        w.Move(cr3, Ax);
        c.xor(ecx, ecx);
        c.mov(ebx, NanobenchmarkLayout.ManyPages);
        c.Label(ref page);
        if (!present)
        {
            c.test(ecx, NanobenchmarkLayout.EntriesPerTable - NanobenchmarkLayout.AnchorEntries);
            c.jne(skip);
        }
        c.mov(al, w.At(Bx));
        c.Label(ref skip);
        c.add(ebx, 0x1000);
        c.inc(ecx);
        c.cmp(ecx, NanobenchmarkLayout.TableCount * NanobenchmarkLayout.EntriesPerTable);
        c.jne(page);
    }

    private void PrepareTables()
    {
        c.xor(edi, edi);
        w.Move(Cx, cr3);
    }

    /// <summary>
    /// One iteration of the operations on tables in use: empties the TLB of what is not global, reads pages through the next table, and does what
    /// there is to do to its next entry. Tables go round; so a table is used far more often than it is stored to, and every monitor that has
    /// reason to trace it goes on to.
    /// </summary>
    /// <param name="store">What is stored to the entry; null for nothing.</param>
    /// <param name="useFirst">Whether the entry's own page is read before the store; if not, behind it.</param>
    private void UseTable(int? store, bool useFirst)
    {
        const int TableShift = 9, PageShift = 12;
        c.mov(eax, edi);
        c.and(eax, NanobenchmarkLayout.TableCount - 1);
        c.mov(edx, edi);
        c.shr(edx, TableShift);
        c.shl(eax, PageShift);
        c.lea(ebx, w.At(Ax, Dx, 8, (int)(NanobenchmarkLayout.ManyTables + NanobenchmarkLayout.AnchorEntries * 8)));
        c.shl(eax, TableShift);
        c.add(eax, NanobenchmarkLayout.ManyPages);
        c.shl(edx, PageShift);
        c.lea(edx, w.At(Dx, Ax, 1, NanobenchmarkLayout.AnchorEntries << PageShift));
        c.inc(edi);
        w.Move(cr3, Cx);
        for (int anchor = 0; anchor < NanobenchmarkLayout.AnchorEntries; anchor++)
            c.cmp(al, w.At(Ax, anchor << PageShift));
        if (useFirst)
            c.cmp(al, w.At(Dx));
        c.cmp(eax, w.At(Bx));
        if (store is { } value)
            w.Store(w.At(Bx), value);
        if (!useFirst)
            c.cmp(al, w.At(Dx));
    }

    private void Toggle()
    {
        w.Store(w.At(Bx), 0);
        w.Store(w.At(Bx), Mapped);
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
        w.Move(cr3, Ax);
        w.Move(cr3, Dx);
    }

    private void InterruptReturn()
    {
        Label back = c.CreateLabel();
        mode.PushFrame(back);
        w.InterruptReturn();
        w.Place(ref back);
        w.Increment(Check);
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
        w.LoadAddress(ebx, _modified);
        c.inc(ebx);
    }

    /// <summary>Writes the loop's counter into the next instruction's immediate; the check is the sum of what that instruction loads.</summary>
    private void ModifySelf()
    {
        c.mov(w.At(Bx), Counter.Half);
        w.Place(ref _modified);
        c.mov(eax, 0x1111_1111);
        w.Add(Check, Ax);
    }
}
