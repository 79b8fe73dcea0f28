using Iced.Intel;
using X86Virt.Engine.Processor;
using static Iced.Intel.AssemblerRegisters;

namespace X86Virt.Engine.Tests.Differential;

/// <summary>
/// A guest of many random blocks in long mode. Whatever ends a block, a fault in the middle mostly, comes to one handler, which loads the
/// registers of the next step and returns to its block, in 64-, 32- or 16-bit code, as kernel or user. Blocks loop, call and patch each other,
/// see their own pages again through a window whose page table they edit, and work near the edges of pages that are missing, read-only,
/// the kernel's, code, or no memory at all.
/// </summary>
internal sealed unsafe class RandomProgram
{
    public const ulong RamSize = 1 << 20;

    /// <summary>Where the handler counts the events that ended blocks, 32 bits.</summary>
    public const ulong EventCount = 0xB000;

    private const ulong Tables = 0x1000, WindowTable = 0x5000, Gdt = 0x6000, Idt = 0x7000, Tss = 0x8000, InterruptStack = 0x9800;
    private const ulong Handler = 0xA000, StepRecords = 0xC000;
    private const ulong CodeArea = 0x10000, Data = 0x20000, Window = 0x40_0000, NoMemory = 0x20_0000;
    private const int Blocks = 32, BlockSize = 0x3F0, CodePages = 8, DataPages = 8, WindowPages = 16;
    private const int Steps = 64, StepSize = 256;
    private const ulong SystemPage = 0x3, UserPage = 0x7;

    // Selectors: code by bits and privilege, data of the kernel and of users.
    private const ushort Kernel64 = 0x08, Kernel32 = 0x10, Kernel16 = 0x18, User64 = 0x23, User32 = 0x2B, User16 = 0x33, KernelData = 0x38, UserData = 0x43, Task = 0x48;

    private readonly Random _random;
    private readonly RandomCode[] _code;
    private readonly List<ulong> _immediates = [];

    /// <param name="seed">Of the random numbers; programs of even ones have x87 and vector instructions, too.</param>
    public RandomProgram(int seed)
    {
        _random = new Random(seed);
        bool units = seed % 2 == 0;
        _code = [new RandomCode(seed, 16, units), new RandomCode(seed, 32, units), new RandomCode(seed, 64, units)];
    }

    /// <summary>Puts the program into a processor in long mode, ready to run.</summary>
    public void Load(BareCpu cpu)
    {
        WriteTables(cpu);
        for (ulong at = Data; at < Data + DataPages * 0x1000; at += 8)
            cpu.Memory.Write(at, (ulong)_random.NextInt64());
        byte[] handler = BareCpu.Assemble(64, WriteHandler, Handler);
        cpu.Memory.Write(Handler, handler);
        var bits = new int[Blocks];
        var code = new byte[Blocks][];
        for (int i = 0; i < Blocks; i++)
        {
            bits[i] = _random.Next(6) switch { 0 => 16, 1 or 2 => 32, _ => 64 };
            do
                code[i] = Block(i, bits[i]);
            while (code[i].Length > BlockSize);
        }
        var area = new byte[CodePages * 0x1000];
        area.AsSpan().Fill(0xCC);
        for (int i = 0; i < Blocks; i++)
            code[i].CopyTo(area, i * BlockSize);
        cpu.Memory.Write(CodeArea, area);
        for (int i = 0; i < Steps; i++)
            WriteStep(cpu, StepRecords + (ulong)(i * StepSize), bits);
        EnterProgram(cpu);
    }

    private static ulong Start(int block) => CodeArea + (ulong)(block * BlockSize);

    private static void WriteHandler(Assembler a)
    {
        a.inc(__dword_ptr[EventCount]);
        a.mov(eax, __dword_ptr[EventCount]);
        a.and(eax, Steps - 1);
        a.imul(eax, eax, StepSize);
        a.lea(rsp, __[rax + (int)StepRecords]);
        foreach (AssemblerRegister64 register in (AssemblerRegister64[])[rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15])
            a.pop(register);
        a.iretq();
    }

    private void WriteStep(BareCpu cpu, ulong at, int[] bits)
    {
        for (int i = 0; i < 15; i++)
            cpu.Memory.Write(at + (ulong)i * 8, Register());
        int block = _random.Next(Blocks);
        // Now and then code runs in a mode that it was not written for.
        int mode = _random.Next(12) == 0 ? 16 << _random.Next(3) : bits[block];
        bool user = _random.Next(3) == 0;
        ushort cs = mode switch { 64 => user ? User64 : Kernel64, 32 => user ? User32 : Kernel32, _ => user ? User16 : Kernel16 };
        ulong flags = 2 | ((uint)_random.Next() & (uint)Flags.RflagsStatus) | (_random.Next(40) == 0 ? 0x100u : 0);
        ulong stack = _random.Next(8) == 0 ? Address() : Data + 0x1000 * (ulong)_random.Next(1, DataPages) - (ulong)_random.Next(2) * 0x200;
        ulong start = mode == 16 ? Start(block) & 0xFFFF : Start(block);
        ulong[] frame = [start, cs, flags, stack, user ? UserData : KernelData];
        for (int i = 0; i < frame.Length; i++)
            cpu.Memory.Write(at + (ulong)(15 + i) * 8, frame[i]);
    }

    private ulong Register() => _random.Next(8) switch
    {
        0 => (ulong)_random.NextInt64(),
        1 => (ulong)_random.Next(64),
        2 => (ulong)-_random.Next(64),
        _ => Address(),
    };

    /// <summary>Near the edge of a page more often than in it.</summary>
    private ulong Address()
    {
        ulong page = _random.Next(8) switch
        {
            0 => CodeArea + 0x1000 * (ulong)_random.Next(CodePages),
            1 or 2 or 3 => Window + 0x1000 * (ulong)_random.Next(WindowPages),
            _ => Data + 0x1000 * (ulong)_random.Next(DataPages),
        };
        return page + (ulong)(_random.Next(3) == 0 ? _random.Next(0x1000) : _random.Next(-20, 20));
    }

    private byte[] Block(int index, int bits)
    {
        ulong start = Start(index);
        var assembler = new Assembler(bits);
        var immediates = new List<Label>();
        int pieces = _random.Next(2, 9);
        for (int i = 0; i < pieces; i++)
            Piece(assembler, bits, index * 16 + i, immediates);
        switch (_random.Next(6))
        {
            case 0 or 1:
                assembler.ret();
                break;
            case 2 when bits != 16:
                assembler.jmp(Start(_random.Next(Blocks)));
                break;
            case 3:
                assembler.ud2();
                break;
            case 4 when bits == 64:
                assembler.syscall();
                break;
            default:
                assembler.int3();
                break;
        }
        using var stream = new MemoryStream();
        AssemblerResult result = assembler.Assemble(new StreamCodeWriter(stream), bits == 16 ? start & 0xFFFF : start, BlockEncoderOptions.ReturnNewInstructionOffsets);
        foreach (Label label in stream.Length <= BlockSize ? immediates : [])
            _immediates.Add(result.GetLabelRIP(label) + (start & ~0xFFFFUL));
        return stream.ToArray();
    }

    private void Piece(Assembler a, int bits, int cell, List<Label> immediates)
    {
        Label label = a.CreateLabel();
        ulong counter = Data + (ulong)cell * 4;
        switch (_random.Next(bits == 16 ? 3 : 12))
        {
            case 0:
                Jump(a, label);
                Straight(a, bits, 3);
                a.Label(ref label);
                a.nop();
                break;
            case 1 or 2 or 3:
                Straight(a, bits, 6);
                break;
            case 4 or 5:
                // Many rounds, so that what traps in them is adapted.
                a.mov(__dword_ptr[counter], _random.Next(2, 60));
                a.Label(ref label);
                Straight(a, bits, 4);
                if (_random.Next(2) == 0)
                    Patch(a);
                a.dec(__dword_ptr[counter]);
                a.jne(label);
                break;
            case 6:
                a.Label(ref label);
                immediates.Add(label);
                a.mov(eax, _random.Next());
                a.add(ebx, eax);
                break;
            case 7 or 8:
                Patch(a);
                break;
            case 9:
                a.call(Start(_random.Next(Blocks)));
                break;
            case 10:
                int page = _random.Next(WindowPages);
                a.mov(__dword_ptr[WindowTable + (ulong)page * 8], (int)WindowEntry());
                if (bits == 64)
                    a.invlpg(__byte_ptr[Window + (ulong)page * 0x1000]);
                else
                    a.invlpg(__byte_ptr[(long)(Window + (ulong)page * 0x1000)]);
                break;
            default:
                Sensitive(a, bits);
                break;
        }
    }

    /// <summary>Stores into code: an immediate operand mostly, at its own address or through the window.</summary>
    private void Patch(Assembler a)
    {
        ulong target = _immediates.Count == 0 ? CodeArea : _immediates[_random.Next(_immediates.Count)] + 1;
        if (_random.Next(8) == 0)
            target = CodeArea + (ulong)_random.Next(CodePages * 0x1000 - 4);
        if (_random.Next(2) == 0)
            target = Window + (target - CodeArea) % (WindowPages * 0x1000);
        a.mov(__dword_ptr[target], _random.Next());
    }

    private void Jump(Assembler a, Label label)
    {
        switch (_random.Next(5))
        {
            case 0: a.je(label); break;
            case 1: a.jb(label); break;
            case 2: a.jl(label); break;
            case 3: a.js(label); break;
            default: a.jo(label); break;
        }
    }

    private void Straight(Assembler a, int bits, int most)
    {
        byte[] code = _code[bits switch { 16 => 0, 32 => 1, _ => 2 }].Block(_random.Next(1, most + 1));
        a.db(code);
    }

    private void Sensitive(Assembler a, int bits)
    {
        switch (_random.Next(6))
        {
            case 0: a.cli(); break;
            case 1: a.cld(); break;
            case 2: a.std(); break;
            case 3:
                a.xor(eax, eax);
                a.cpuid();
                break;
            case 4 when bits == 64:
                // CR0.WP
                a.mov(rax, cr0);
                a.xor(eax, 0x10000);
                a.mov(cr0, rax);
                break;
            case 5 when bits == 64:
                a.pushfq();
                a.popfq();
                break;
            default:
                a.rdtsc();
                break;
        }
    }

    private ulong WindowEntry()
    {
        ulong page = _random.Next(10) switch
        {
            0 => NoMemory,
            < 5 => CodeArea + 0x1000 * (ulong)_random.Next(CodePages),
            _ => Data + 0x1000 * (ulong)_random.Next(DataPages),
        };
        return page | (_random.Next(8) switch { 0 => 0UL, 1 => 5, 2 => SystemPage, 3 => 1, _ => UserPage });
    }

    private void WriteTables(BareCpu cpu)
    {
        const ulong directory = Tables + 0x2000, low = Tables + 0x3000;
        cpu.Memory.Write(Tables, (Tables + 0x1000) | UserPage);
        cpu.Memory.Write(Tables + 0x1000, directory | UserPage);
        cpu.Memory.Write(directory, low | UserPage);
        cpu.Memory.Write(directory + (Window >> 21) * 8, WindowTable | UserPage);
        for (ulong page = 1; page < 16; page++)
            cpu.Memory.Write(low + page * 8, page << 12 | (page is 1 or 2 or 3 or 4 or 6 or 7 or 0xA or >= 0xC ? 1 : SystemPage));
        for (ulong page = CodeArea >> 12; page < (CodeArea >> 12) + CodePages; page++)
            cpu.Memory.Write(low + page * 8, page << 12 | UserPage);
        for (ulong page = Data >> 12; page < (Data >> 12) + DataPages; page++)
            cpu.Memory.Write(low + page * 8, page << 12 | UserPage);
        for (int page = 0; page < WindowPages; page++)
            cpu.Memory.Write(WindowTable + (ulong)page * 8, WindowEntry());

        ulong[] descriptors =
        [
            0, 0x00AF_9B00_0000_FFFF, 0x00CF_9B00_0000_FFFF, 0x008F_9B01_0000_FFFF, 0x00AF_FB00_0000_FFFF, 0x00CF_FB00_0000_FFFF, 0x008F_FB01_0000_FFFF,
            0x00CF_9300_0000_FFFF, 0x00CF_F300_0000_FFFF, 0x0000_8B00_0000_0067 | Tss << 16, 0,
        ];
        for (int i = 0; i < descriptors.Length; i++)
            cpu.Memory.Write(Gdt + (ulong)i * 8, descriptors[i]);
        for (ulong vector = 0; vector < 256; vector++)
        {
            // An interrupt gate to the handler on stack 1, open to users.
            cpu.Memory.Write(Idt + vector * 16, (Handler & 0xFFFF) | (ulong)Kernel64 << 16 | 0xEE01UL << 32);
            cpu.Memory.Write(Idt + vector * 16 + 8, 0UL);
        }
        cpu.Memory.Write(Tss + 0x24, InterruptStack);
    }

    private static void EnterProgram(BareCpu cpu)
    {
        CpuState* s = cpu.State;
        s->Gdtr.Base = Gdt;
        s->Idtr.Base = Idt;
        (s->Gdtr.Limit, s->Idtr.Limit) = (11 * 8 - 1, 0xFFF);
        *CpuState.Seg(s, Segment.Tr) = new SegmentRegister { Selector = Task, Base = Tss, Limit = 0x67, Attributes = SegmentAttributes.Present | (SegmentAttributes)0xB };
        foreach (Segment segment in (Segment[])[Segment.Ds, Segment.Es, Segment.Fs, Segment.Gs])
        {
            CpuState.Seg(s, segment)->Selector = UserData;
            CpuState.Seg(s, segment)->Attributes |= (SegmentAttributes)(3 << 5);
        }
        s->Cr0 |= Cr0.Wp;
        s->Cr4 |= Cr4.Osxsave;
        s->Xcr0 = 7;
        X87State.Initialize(s);
        s->Efer |= Efer.Sce;
        s->LStar = Handler;
        s->Star = (ulong)Kernel64 << 32;
        s->Rip = Handler;
        cpu.Cpu.FlushTlb(keepGlobal: false);
        ModeChange.Update(cpu.Cpu);
    }
}
