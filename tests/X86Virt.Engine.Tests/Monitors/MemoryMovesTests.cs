using Iced.Intel;
using X86Virt.Engine.Memory;
using X86Virt.Engine.Processor;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace X86Virt.Engine.Tests.Monitors;

/// <summary>Loads and stores of devices are the same accesses, at the same instructions, on every engine, in every form that an instruction may have.</summary>
public sealed unsafe class MemoryMovesTests
{
    private const ulong Device = 0xC000, DeviceEnd = 0xE000;

    /// <summary>Reads tell the number of accesses so far.</summary>
    private sealed class Recorder(Cpu cpu) : IMmioDevice
    {
        public List<string> Accesses { get; } = [];

        public ulong ReadMemory(ulong offset, int size)
        {
            Accesses.Add($"{cpu.State->Retired}: read {offset:x} {size}");
            return (0x8182_8384_8586_8788UL + (ulong)Accesses.Count) & (ulong.MaxValue >> (64 - size * 8));
        }

        public void WriteMemory(ulong offset, int size, ulong value) => Accesses.Add($"{cpu.State->Retired}: write {offset:x} {size} {value:x}");
    }

    public static TheoryData<string, int> EnginesAndBits()
    {
        var data = new TheoryData<string, int>();
        foreach (string engine in BareCpu.Engines.Keys)
        {
            foreach (int bits in (int[])[16, 32, 64])
                data.Add(engine, bits);
        }
        return data;
    }

    [Theory]
    [MemberData(nameof(EnginesAndBits))]
    public void AccessesAreTheInterpreters(string engine, int bits)
        => Assert.Equal(Run("Interpreter", bits), Run(engine, bits));

    private static List<string> Run(string engine, int bits)
    {
        using var cpu = new BareCpu(bits, BareCpu.Engines[engine]);
        var device = new Recorder(cpu.Cpu);
        cpu.Memory.MapDevice(Device, DeviceEnd - Device, device);
        CpuState* s = cpu.State;
        for (int i = 0; i < 16; i++)
        {
            if (i != 4)
                s->Gpr[i] = 0x1111_1111_1111_1111UL * (ulong)i;
        }
        s->Rbx = Device;
        s->Rsi = 0x10;
        CpuState.Seg(s, Segment.Es)->Base = 0x20;
        CpuState.Seg(s, Segment.Fs)->Base = 0x24;
        ModeChange.Update(cpu.Cpu);
        byte[] code = BareCpu.Assemble(bits, a => Write(a, bits));
        // The second time everything is decoded.
        for (int run = 0; run < 2; run++)
        {
            cpu.Run(code, 64);
            Assert.True(s->Halted);
            s->Halted = false;
            s->Attended(Attention.Halt);
            device.Accesses.Add(string.Join(" ", Enumerable.Range(0, 16).Select(i => $"{s->Gpr[i]:x}")));
        }
        device.Accesses.Add($"{cpu.Memory.Read(Device - 8, 8):x} {cpu.Memory.Read(DeviceEnd, 8):x} {cpu.Cpu.Statistics.DeviceAccesses}");
        return device.Accesses;
    }

    private static void Write(Assembler a, int bits)
    {
        // 64-bit code has no 16-bit addresses.
        AssemblerMemoryOperand At(AssemblerMemoryOperandFactory of, int displacement = 0) => bits == 64 ? of[rbx + displacement] : of[bx + displacement];
        a.mov(al, At(__byte_ptr));
        a.mov(ah, At(__byte_ptr, 1));
        a.mov(cx, At(__word_ptr, 2));
        a.mov(edx, bits == 64 ? __dword_ptr[rbx + rsi + 4] : __dword_ptr[bx + si + 4]);
        a.movzx(edi, At(__byte_ptr, 5));
        a.movzx(di, At(__byte_ptr, 6));
        a.movzx(ebp, At(__word_ptr, 6));
        a.movsx(ecx, At(__byte_ptr, 5));
        a.mov(At(__byte_ptr, 9), dl);
        a.mov(At(__byte_ptr, 9), dh);
        a.mov(At(__word_ptr, 0x100), dx);
        a.mov(At(__dword_ptr, 0x104), edx);
        a.mov(At(__byte_ptr, 0x109), 0x80);
        a.mov(At(__word_ptr, 0x10A), 0x8081);
        a.mov(At(__dword_ptr, 0x10C), 0x80818283);
        a.mov(At(__dword_ptr, 0x10C), esp);
        a.mov(eax, At(__dword_ptr.fs, 0x10));
        a.mov(At(__word_ptr.es, 0x10), ax);
        // A misaligned access, one that begins in memory and one that ends there.
        a.mov(eax, At(__dword_ptr, 0x203));
        a.mov(At(__dword_ptr, -2), eax);
        a.mov(eax, At(__dword_ptr, 0x1FFE));
        a.mov(At(__dword_ptr, 0x1FFD), ecx);
        a.add(eax, At(__dword_ptr, 0x300));
        a.xchg(At(__dword_ptr, 0x304), eax);
        a.mov(At(__word_ptr, 0x30), ds);
        if (bits == 64)
        {
            a.mov(r9, __qword_ptr[rbx + rsi * 4 + 8]);
            a.mov(__qword_ptr[rbx + 0x400], r9);
            a.mov(__qword_ptr[rbx + 0x408], -2);
            a.mov(r10d, __dword_ptr[rbx + 0x410]);
            a.mov(r11b, __byte_ptr[rbx + 0x411]);
            a.mov(__byte_ptr[rbx + 0x412], spl);
        }
        a.hlt();
    }
}
