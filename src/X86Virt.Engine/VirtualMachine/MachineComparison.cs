using X86Virt.Engine.Memory;
using X86Virt.Engine.Processor;

namespace X86Virt.Engine;

/// <summary>Compares all that a guest could notice of two processors and their memories.</summary>
internal static unsafe class MachineComparison
{
    private const int MostMemoryDifferences = 16;

    private static readonly string[] Registers =
        ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"];

    /// <summary>Address of the next instruction, before paging.</summary>
    public static ulong LinearRip(Cpu cpu)
    {
        CpuState* s = cpu.State;
        return s->Code64 ? s->Rip : (uint)(CpuState.Seg(s, Segment.Cs)->Base + s->Rip);
    }

    /// <summary>Name and both values of what differs; empty if nothing does.</summary>
    public static IReadOnlyList<ValueDifference> Compare(Cpu first, Cpu second)
    {
        var differences = new List<ValueDifference>();
        CpuState* a = first.State, b = second.State;
        void Check(string name, ulong x, ulong y)
        {
            if (x != y)
                differences.Add(new ValueDifference(name, $"{x:x}", $"{y:x}"));
        }

        Check("retired", (ulong)a->Retired, (ulong)b->Retired);
        for (int i = 0; i < Registers.Length; i++)
            Check(Registers[i], a->Gpr[i], b->Gpr[i]);
        Check("rip", a->Rip, b->Rip);
        Check("rflags", Flags.Rflags(a), Flags.Rflags(b));
        Check("cr0", a->Cr0, b->Cr0);
        Check("cr2", a->Cr2, b->Cr2);
        Check("cr3", a->Cr3, b->Cr3);
        Check("cr4", a->Cr4, b->Cr4);
        Check("efer", a->Efer, b->Efer);
        Check("cpl", a->Cpl, b->Cpl);
        Check("mxcsr", a->Mxcsr, b->Mxcsr);
        Check("halted", a->Halted ? 1UL : 0, b->Halted ? 1UL : 0);
        for (int i = 0; i < 8; i++)
        {
            SegmentRegister* x = CpuState.Seg(a, (Segment)i), y = CpuState.Seg(b, (Segment)i);
            Check($"{(Segment)i}.selector", x->Selector, y->Selector);
            Check($"{(Segment)i}.base", x->Base, y->Base);
            Check($"{(Segment)i}.limit", x->Limit, y->Limit);
            Check($"{(Segment)i}.attributes", (ulong)x->Attributes, (ulong)y->Attributes);
        }
        for (int i = 0; i < 64; i++)
            Check($"ymm{i / 4}[{i % 4}]", ((ulong*)a->Vectors)[i], ((ulong*)b->Vectors)[i]);
        for (int i = 0; i < 20; i++)
            Check($"x87[{i * 8}]", ((ulong*)a->Fx)[i], ((ulong*)b->Fx)[i]);
        CompareMemory(first.Memory, second.Memory, differences);
        return differences;
    }

    private static void CompareMemory(PhysicalMemory first, PhysicalMemory second, List<ValueDifference> differences)
    {
        int found = 0;
        for (ulong page = 0; page < first.RamSize && found < MostMemoryDifferences; page += 0x1000)
        {
            if (new Span<byte>(first.Block + page, 0x1000).SequenceEqual(new Span<byte>(second.Block + page, 0x1000)))
                continue;
            for (ulong offset = page; offset < page + 0x1000 && found < MostMemoryDifferences; offset += 8)
            {
                ulong x = *(ulong*)(first.Block + offset), y = *(ulong*)(second.Block + offset);
                if (x == y)
                    continue;
                differences.Add(new ValueDifference($"memory[{offset:x}]", $"{x:x}", $"{y:x}"));
                found++;
            }
        }
    }
}
