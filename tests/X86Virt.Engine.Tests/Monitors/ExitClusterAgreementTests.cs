using System.Security.Cryptography;
using Iced.Intel;
using X86Virt.Engine.Boot;
using X86Virt.Engine.Processor;
using X86Virt.Engine.Tests.Differential;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace X86Virt.Engine.Tests.Monitors;

/// <summary>Loops of random instructions, many of which exit: with clusters and without the guest ends in the same state as without a monitor.</summary>
public sealed class ExitClusterAgreementTests : IDisposable
{
    private const int Programs = 60, Instructions = 24, Turns = 150, MemorySize = 1 << 20, LowMemory = 0xA_0000;
    private const ulong Address = 0x7C00;
    private const int Data = 0x9000, Handler = (int)Address + 2;
    private const long ApicPriority = 0xFEE0_0080, HpetCounter = 0xFED0_00F0;
    private const int ApicBase = 0x1B, Pat = 0x277;

    private readonly string _file = Path.GetTempFileName();

    public void Dispose() => File.Delete(_file);

    private sealed record Outcome(string Stop, string Memory, string Registers)
    {
        public static Outcome Of(VirtualMachine machine)
        {
            machine.Start();
            Assert.True(machine.Wait(MachineState.Stopped, TimeSpan.FromMinutes(1), CancellationToken.None));
            return new($"{machine.StopReason.Kind} {machine.InstructionsRetired}", Convert.ToHexString(SHA256.HashData(machine.ReadMemory(0, LowMemory, AddressSpace.Physical))),
                string.Join(' ', machine.ReadRegisters((_, _, part) => !part).Select(r => $"{r.Name}={r.Hex}")));
        }
    }

    private VirtualMachine Machine(EngineKind engine, PagingKind? paging, BootMode mode, bool clustering) => new(new MachineConfiguration
    {
        Name = $"{engine} {paging}", MemorySize = MemorySize, Engine = engine, Paging = paging, ExitClustering = clustering, NoReboot = true,
        // So slow that the timer comes round every fifty instructions.
        FlatBinary = _file, LoadAddress = Address, BootMode = mode, ClockRate = 1_000_000,
    });

    [Theory]
    [InlineData(BootMode.Real, PagingKind.Nested)]
    [InlineData(BootMode.Real, PagingKind.Shadow)]
    [InlineData(BootMode.Protected, PagingKind.Nested)]
    [InlineData(BootMode.Protected, PagingKind.Shadow)]
    public void ClustersChangeNothing(BootMode mode, PagingKind paging)
    {
        long avoided = 0;
        for (ulong seed = 0; seed < Programs; seed++)
        {
            File.WriteAllBytes(_file, BareCpu.Assemble(mode == BootMode.Real ? 16 : 32, a => Write(a, new RandomSource(seed), mode == BootMode.Real), Address));
            using VirtualMachine reference = Machine(EngineKind.DecodedCache, null, mode, clustering: false);
            using VirtualMachine single = Machine(EngineKind.HardwareAssist, paging, mode, clustering: false);
            using VirtualMachine machine = Machine(EngineKind.HardwareAssist, paging, mode, clustering: true);
            Outcome expected = Outcome.Of(reference);
            Assert.Equal((seed, expected), (seed, Outcome.Of(single)));
            Assert.Equal((seed, expected), (seed, Outcome.Of(machine)));
            avoided += machine.ReadStatistics().Reasons.Sum(r => r.Avoided);
        }
        // Clusters there were.
        Assert.InRange(avoided, Programs * Turns, long.MaxValue);
    }

    /// <summary>In real mode under a timer, whose handler takes down where it came from.</summary>
    private static void Write(Assembler a, RandomSource random, bool real)
    {
        Label turn = a.CreateLabel();
        if (real)
            WriteTimer(a);
        a.mov(esi, Turns);
        a.Label(ref turn);
        for (int left = Instructions; left > 0;)
        {
            Label behind = a.CreateLabel();
            bool jumps = random.Percent(15);
            if (jumps)
                a.jnz(behind);
            for (int i = random.Below(4); i >= 0; i--, left--)
                WriteOne(a, random, real);
            if (jumps)
                a.Label(ref behind);
        }
        a.dec(esi);
        a.jnz(turn);
        a.cli();
        a.hlt();
    }

    private static void WriteTimer(Assembler a)
    {
        Label start = a.CreateLabel();
        a.jmp(start);
        a.push(ax);
        a.mov(bp, sp);
        a.rol(edi, 3);
        a.add(di, __[bp + 2]);
        a.add(edi, ebx);
        a.mov(al, 0x20);
        a.@out(0x20, al);
        a.pop(ax);
        a.iret();
        a.Label(ref start);
        a.xor(ax, ax);
        a.mov(ds, ax);
        a.mov(ss, ax);
        a.mov(sp, 0x7000);
        a.mov(__word_ptr[0x20], Handler);
        a.mov(__word_ptr[0x22], 0);
        foreach ((byte port, byte value) in ((byte, byte)[])[(0x20, 0x11), (0x21, 8), (0x21, 4), (0x21, 1), (0x21, 0xFE), (0x43, 0x34), (0x40, 61), (0x40, 0)])
        {
            a.mov(al, value);
            a.@out(port, al);
        }
        a.sti();
    }

    private static void WriteOne(Assembler a, RandomSource random, bool real)
    {
        int value = (int)random.Next();
        switch (random.Below(22))
        {
            case 0 or 1 or 2:
                // The timer's count, which tells when it is read.
                a.@in(al, 0x40);
                break;
            case 3 or 4 or 5:
                a.@out(0x80, al);
                break;
            case 6 when random.Percent(30):
                a.cpuid();
                break;
            case 7:
                a.mov(ecx, random.Percent(50) ? ApicBase : Pat);
                a.rdmsr();
                break;
            case 8 or 9 when !real:
                a.mov(edx, __dword_ptr[HpetCounter]);
                break;
            case 8 or 9:
                // Masks the timer for a while, so that unmasking it brings its interrupt at once.
                a.mov(al, 0xFF);
                a.@out(0x21, al);
                a.add(ebx, edx);
                a.mov(al, 0xFE);
                a.@out(0x21, al);
                break;
            case 10 when !real:
                a.mov(__dword_ptr[ApicPriority], eax);
                a.add(ebx, __dword_ptr[ApicPriority]);
                break;
            case 11:
                a.mov(__dword_ptr[Data + (value & 0xFC)], eax);
                break;
            case 12:
                a.xor(ebx, __dword_ptr[Data + (value & 0xFC)]);
                break;
            case 13:
                a.shl(eax, (byte)(value & 31));
                break;
            case 14:
                a.test(eax, value);
                break;
            case 15:
                a.movzx(ecx, dl);
                break;
            case 16:
                a.sub(ecx, value);
                break;
            case 17:
                a.neg(ebx);
                break;
            case 18:
                a.bswap(edx);
                break;
            case 19:
                a.lea(eax, __[ebx + ecx * 4 + 5]);
                break;
            default:
                a.add(ebx, eax);
                break;
        }
    }
}
