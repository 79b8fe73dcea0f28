using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Boot;

/// <summary>
/// The processor as a guest's first instruction finds it. Everything but what is set here is as after RESET, with general
/// registers clear, interrupts off and A20 open.
/// </summary>
internal static unsafe class EntryState
{
    /// <summary>Selectors of the descriptor table that is left in guest memory, as Linux wants them.</summary>
    public const ushort CodeSelector = 0x10, DataSelector = 0x18;

    /// <summary>PML4, PDPT and four page directories.</summary>
    public const ulong PageTablesLength = 6 * 0x1000;

    private const SegmentAttributes Data = SegmentAttributes.Present | SegmentAttributes.CodeOrData | SegmentAttributes.Writable | SegmentAttributes.Accessed;
    private const SegmentAttributes Code = Data | SegmentAttributes.Code;
    private const SegmentAttributes Flat32 = SegmentAttributes.Big | SegmentAttributes.Granular;

    private const ulong CodeDescriptor32 = 0x00CF_9B00_0000_FFFF;
    private const ulong CodeDescriptor64 = 0x00AF_9B00_0000_FFFF;
    private const ulong DataDescriptor = 0x00CF_9300_0000_FFFF;

    /// <summary>Real mode at CS:IP with SS:SP in segment 0 and the boot drive in DL, as firmware starts a boot sector.</summary>
    public static void Real(BootTarget target, ushort codeSegment, ushort instruction, ushort stack)
    {
        CpuState* s = Prepare(target);
        s->Cr0 = Cr0.Et;
        s->Idtr.Limit = 0x3FF;
        s->Rdx = 0x80;
        for (int i = 0; i < 6; i++)
            *CpuState.Seg(s, (Segment)i) = new SegmentRegister { Limit = 0xFFFF, Attributes = Data };
        *CpuState.Seg(s, Segment.Cs) = new SegmentRegister { Selector = codeSegment, Base = (ulong)codeSegment << 4, Limit = 0xFFFF, Attributes = Code };
        s->Rip = instruction;
        s->Rsp = stack;
        ModeChange.Update(target.Cpu);
    }

    /// <summary>32-bit protected mode, flat segments, paging off. The caller sets further registers, then nothing more is needed.</summary>
    public static CpuState* Protected(BootTarget target, GuestLayout layout, ulong descriptors, ulong entry, ulong stack)
    {
        CpuState* s = Prepare(target);
        s->Cr0 = Cr0.Et | Cr0.Pe;
        Flat(s, layout, descriptors, CodeDescriptor32, Code | Flat32);
        s->Rip = entry;
        s->Rsp = stack;
        ModeChange.Update(target.Cpu);
        return s;
    }

    /// <summary>64-bit mode, the first 4 GiB mapped to themselves by the tables at <paramref name="pageTables"/>.</summary>
    public static CpuState* Long(BootTarget target, GuestLayout layout, ulong descriptors, ulong pageTables, ulong entry, ulong stack)
    {
        WriteIdentityMap(layout, pageTables);
        CpuState* s = Prepare(target);
        s->Cr3 = pageTables;
        s->Cr4 = Cr4.Pae;
        s->Efer = Efer.Lme | Efer.Lma;
        s->Cr0 = Cr0.Et | Cr0.Pe | Cr0.Pg;
        Flat(s, layout, descriptors, CodeDescriptor64, Code | SegmentAttributes.Long | SegmentAttributes.Granular);
        s->Rip = entry;
        s->Rsp = stack;
        ModeChange.Update(target.Cpu);
        return s;
    }

    private static CpuState* Prepare(BootTarget target)
    {
        target.Memory.A20 = true;
        target.Cpu.Reset();
        CpuState* s = target.Cpu.State;
        for (int i = 0; i < 16; i++)
            s->Gpr[i] = 0;
        SetMemoryTypes(target);
        return s;
    }

    /// <summary>What firmware tells the processor of the memory map.</summary>
    private static void SetMemoryTypes(BootTarget target)
    {
        const ulong FourGiB = 1UL << 32, LargeHole = 0xC000_0000, SmallHole = 0xE000_0000;
        ulong low = 0, high = 0;
        foreach (E820Entry entry in target.MemoryMap.Where(e => e.Type == E820Entry.Usable))
        {
            ulong end = entry.Address + entry.Length;
            if (end <= FourGiB)
                low = Math.Max(low, end);
            else
                high = Math.Max(high, end);
        }
        target.Cpu.State->TopMemory = low;
        target.Cpu.State->TopMemory2 = high;
        MemoryTypeRegisters.SetAsFirmwareDoes(target.Cpu, low <= LargeHole ? LargeHole : SmallHole);
    }

    private static void Flat(CpuState* s, GuestLayout layout, ulong descriptors, ulong codeDescriptor, SegmentAttributes code)
    {
        Span<byte> table = stackalloc byte[4 * 8];
        table.Clear();
        GuestLayout.Put(table, CodeSelector, codeDescriptor);
        GuestLayout.Put(table, DataSelector, DataDescriptor);
        layout.Fill(descriptors, table, (ulong)table.Length);
        s->Gdtr = new DescriptorTableRegister { Base = descriptors, Limit = (uint)table.Length - 1 };

        // No IDT: an exception before the guest has its own is a triple fault at the culprit, not a walk through stray memory.
        s->Idtr = default;
        for (int i = 0; i < 6; i++)
            *CpuState.Seg(s, (Segment)i) = new SegmentRegister { Selector = DataSelector, Limit = uint.MaxValue, Attributes = Data | Flat32 };
        *CpuState.Seg(s, Segment.Cs) = new SegmentRegister { Selector = CodeSelector, Limit = uint.MaxValue, Attributes = code };
        *CpuState.Seg(s, Segment.Tr) = new SegmentRegister { Limit = 0x67, Attributes = SegmentAttributes.Present | (SegmentAttributes)0xB };
    }

    private static void WriteIdentityMap(GuestLayout layout, ulong pageTables)
    {
        const ulong PresentWritable = 3, LargePage = 0x80;
        byte[] tables = new byte[PageTablesLength];
        GuestLayout.Put(tables, 0, (pageTables + 0x1000) | PresentWritable);
        for (ulong i = 0; i < 4; i++)
            GuestLayout.Put(tables, 0x1000 + (int)i * 8, (pageTables + 0x2000 + i * 0x1000) | PresentWritable);
        for (ulong i = 0; i < 4 * 512; i++)
            GuestLayout.Put(tables, 0x2000 + (int)i * 8, (i << 21) | PresentWritable | LargePage);
        layout.Fill(pageTables, tables, PageTablesLength);
    }
}
