using Iced.Intel;
using X86Virt.Engine.Processor;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace X86Virt.Engine.Tests.Translation;

/// <summary>Loops that are unrolled leave in every turn as they did before.</summary>
public unsafe class UnrollingTests
{
    private static BareCpu Translating(int bitness = 64, int hotTurns = 3)
        => new(bitness, cpu => new BinaryTranslation(cpu, new TranslationOptions { CacheSize = 4 << 20, Features = TranslationFeatures.All & ~TranslationFeatures.Adaptation }) { HotTurns = hotTurns });

    private static string Registers(BareCpu cpu)
        => $"{cpu.State->Retired} {cpu.State->Rip:x} {cpu.State->Rax:x} {cpu.State->Rcx:x} {cpu.State->Rdx:x} {cpu.State->Rsi:x} {cpu.State->Rdi:x} {Flags.Rflags(cpu.State):x} {cpu.Checksum():x}";

    private static int LargestUnit(BareCpu cpu) => ((BinaryTranslation)cpu.Engine).ReadUnits("").Max(u => u.Instructions.Count);

    /// <summary>Runs the same code on the interpreter and on a translator for each of the deadlines.</summary>
    private static void Agree(int bitness, byte[] code, Action<BareCpu> prepare, IEnumerable<long> deadlines, int? unrolled)
    {
        using BareCpu translated = Translating(bitness);
        using var interpreted = new BareCpu(bitness);
        prepare(translated);
        prepare(interpreted);
        long done = 0;
        foreach (long deadline in deadlines)
        {
            foreach (BareCpu cpu in new[] { translated, interpreted })
            {
                if (done == 0)
                {
                    cpu.Run(code, deadline);
                    continue;
                }
                cpu.Cpu.SetDeadline(cpu.State->Retired + deadline);
                cpu.Continue();
            }
            done += deadline;
            Assert.Equal(Registers(interpreted), Registers(translated));
        }
        if (unrolled != null)
            Assert.Equal(unrolled, LargestUnit(translated));
    }

    [Theory, InlineData(64), InlineData(32)]
    public void ALoopIsTheSameWhereverItIsStopped(int bitness)
    {
        byte[] code = BareCpu.Assemble(bitness, a =>
        {
            Label again = a.CreateLabel();
            a.mov(ecx, 1000);
            a.mov(esi, 0x5000);
            a.Label(ref again);
            AssemblerMemoryOperand at = bitness == 64 ? __dword_ptr[rsi] : __dword_ptr[esi], next = bitness == 64 ? __dword_ptr[rsi + 4] : __dword_ptr[esi + 4];
            a.add(eax, at);
            a.mov(next, eax);
            a.add(esi, 4);
            a.sub(ecx, 1);
            a.jne(again);
        });
        Agree(bitness, code, cpu => cpu.Fill(1), [40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 501, 1003], unrolled: 20);
    }

    /// <summary>Every number of turns: the way out of each turn has flags, registers and the count right.</summary>
    [Fact]
    public void ALoopMayEndInAnyTurn()
    {
        byte[] code = BareCpu.Assemble(64, a =>
        {
            Label outer = a.CreateLabel(), inner = a.CreateLabel();
            a.mov(edi, 30);
            a.Label(ref outer);
            a.mov(ecx, edi);
            a.Label(ref inner);
            a.add(rax, rcx);
            a.rol(rax, 3);
            a.dec(ecx);
            a.jne(inner);
            a.lahf();
            a.add(rdx, rax);
            a.dec(edi);
            a.jne(outer);
        });
        Agree(64, code, _ => { }, [1000, 1000, 300], unrolled: 16);
    }

    /// <summary>A scan that faults in the third turn of an unrolled unit, and one that leaves by a jump in its middle.</summary>
    [Theory, InlineData(0), InlineData(1), InlineData(2), InlineData(3)]
    public void AFaultIsThatOfItsTurn(int past)
    {
        byte[] code = BareCpu.Assemble(64, a =>
        {
            Label again = a.CreateLabel(), found = a.CreateLabel();
            a.Label(ref again);
            a.mov(eax, __dword_ptr[rsi]);
            a.add(rsi, 4);
            a.cmp(eax, 77);
            a.je(found);
            a.add(rdx, rax);
            a.cmp(rsi, rdi);
            a.jne(again);
            a.Label(ref found);
            a.nop();
        });
        // The last page of RAM, and nothing behind it that answers but with ones; the limit is never met.
        Agree(64, code, cpu =>
        {
            cpu.State->Rsi = 0x6000;
            cpu.State->Rdi = 1;
            cpu.Memory.Write(0x6000UL + 4 * (200 + (ulong)past), 77u);
        }, [300, 1000, 200], unrolled: 28);
    }

    /// <summary>The loop stores over all of itself, from what is before it on.</summary>
    [Fact]
    public void ALoopMayChangeItself()
    {
        byte[] code = BareCpu.Assemble(64, a =>
        {
            Label again = a.CreateLabel();
            a.mov(ecx, 60);
            a.Label(ref again);
            a.add(rax, 1);
            a.mov(__byte_ptr[rsi], dl);
            a.inc(rsi);
            a.dec(ecx);
            a.jne(again);
            a.nop();
        });
        Agree(64, code, cpu =>
        {
            cpu.State->Rsi = BareCpu.CodeAddress + 8 - 40;
            cpu.State->Rdx = 2;
        }, [100, 104, 95], unrolled: null);
    }

    /// <summary>A loop that was unrolled and is left decoded later, as it is stored into again and again.</summary>
    [Fact]
    public void AnUnstableLoopIsTheSame()
    {
        byte[] code = BareCpu.Assemble(64, a =>
        {
            Label outer = a.CreateLabel(), inner = a.CreateLabel(), first = a.CreateLabel();
            a.mov(edi, 60);
            a.lea(rsi, __[inner]);
            a.Label(ref outer);
            a.cmp(edi, 50);
            a.jae(first);
            a.mov(__dword_ptr[rsi + 1], edi);
            a.Label(ref first);
            a.lea(ecx, __[rdi - 1]);
            a.and(ecx, 7);
            a.inc(ecx);
            a.jmp(inner);
            a.Label(ref inner);
            a.add(eax, 0x1000);
            a.dec(ecx);
            a.jne(inner);
            a.dec(edi);
            a.jne(outer);
        });
        using var translated = new BareCpu(64, cpu => new BinaryTranslation(cpu, new TranslationOptions { CacheSize = 4 << 20 }) { HotTurns = 3 });
        using var interpreted = new BareCpu(64);
        foreach (BareCpu cpu in new[] { translated, interpreted })
            cpu.Run(code, 2000);
        Assert.Equal(Registers(interpreted), Registers(translated));
        Assert.True(((BinaryTranslation)translated.Engine).ReadCache("").LeftDecoded > 0);
    }

    [Fact]
    public void ABreakpointStopsInEachTurn()
    {
        using BareCpu cpu = Translating();
        byte[] code = BareCpu.Assemble(64, a =>
        {
            Label again = a.CreateLabel();
            a.mov(ecx, 100);
            a.Label(ref again);
            a.add(rax, rcx);
            a.dec(ecx);
            a.jne(again);
        });
        cpu.Run(code, 1 + 3 * 50);
        Assert.Equal(12, LargestUnit(cpu));
        ulong head = cpu.State->Rip;
        cpu.Cpu.Breakpoints.Add(head);
        cpu.Engine.ForgetCode();
        for (int turn = 0; turn < 5; turn++)
        {
            ulong before = cpu.State->Rcx;
            cpu.Cpu.Breakpoints.Pass(head, cpu.State->Retired);
            cpu.Cpu.SetDeadline(cpu.State->Retired + 100);
            cpu.Continue();
            Assert.Equal((head, before - 1), (cpu.State->Rip, cpu.State->Rcx));
        }
    }

    [Fact]
    public void ALongLoopStaysAsItIs()
    {
        using BareCpu cpu = Translating();
        cpu.Run(BareCpu.Assemble(64, a =>
        {
            Label again = a.CreateLabel();
            a.mov(ecx, 100);
            a.Label(ref again);
            for (int i = 0; i < 40; i++)
                a.add(rax, rcx);
            a.dec(ecx);
            a.jne(again);
        }), 1 + 42 * 50);
        Assert.Equal(43, LargestUnit(cpu));
        Assert.True(((BinaryTranslation)cpu.Engine).ReadCache("").ChainsMade > 0);
    }
}
