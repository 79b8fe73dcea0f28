using Iced.Intel;
using X86Virt.Engine.Processor;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace X86Virt.Engine.Tests.Svm;

/// <summary>
/// Random VMCBs: each is refused, or runs until it leaves, halts or its time is up; no host exception comes of any. The host is whole afterwards.
/// X86VIRT_FUZZ is how many each engine gets (a few thousand unless it says so).
/// </summary>
public unsafe class VmcbFuzzTests
{
    private const int FewIterations = 3000;

    // The registers and controls that are mutated: qwords of the VMCB.
    private static readonly int[] Fields =
    [
        0x000, 0x004, 0x008, 0x00C, 0x010, 0x03C, 0x040, 0x048, 0x050, 0x058, 0x060, 0x068, 0x090, 0x0A8, 0x0B0, 0x0C0, 0x0C8,
        0x400, 0x408, 0x410, 0x418, 0x420, 0x428, 0x430, 0x438, 0x440, 0x448, 0x460, 0x468, 0x470, 0x478, 0x480, 0x488, 0x490, 0x498,
        0x4C8, 0x4D0, 0x548, 0x550, 0x558, 0x560, 0x568, 0x570, 0x578, 0x5D8, 0x5F8, 0x640, 0x668,
    ];

    private static int Iterations
        => int.TryParse(Environment.GetEnvironmentVariable("X86VIRT_FUZZ"), out int count) ? count : FewIterations;

    [Theory]
    [InlineData("Interpreter")]
    [InlineData("DecodedCache")]
    [InlineData("BinaryTranslation")]
    [InlineData("HardwareAssist, nested")]
    [InlineData("HardwareAssist, shadow")]
    [InlineData("HardwareAssist, first generation")]
    [InlineData("Hybrid, nested")]
    [InlineData("Hybrid, shadow")]
    public void NoVmcbBreaksTheProcessor(string engine)
    {
        var random = new Random(20261123);
        using var cpu = new BareCpu(64, BareCpu.SystemEngines[engine], model: ProcessorModel.Parse(null, ["Svm"]));
        int invalid = 0, left = 0, running = 0;
        using var watchdog = new Timer(_ => EndLivelock(cpu, ref running), null, 200, 200);
        for (int i = 0; i < Iterations; i++)
        {
            Volatile.Write(ref running, i + 1);
            cpu.Cpu.WithdrawAttention(Attention.Stop);
            cpu.Restart();
            var bench = new GuestBench(cpu);
            if (random.Next(2) == 0)
                bench.NestPages();
            for (int vector = 0; vector < 0x40; vector++)
                bench.Gate(vector);
            bench.Guest(a => { a.cpuid(); a.mov(rbx, cr0); a.push(rax); a.pushfq(); a.rdtsc(); a.@in(al, 0x60); a.sidt(__[rsp]); a.@int(0x30); });
            for (int changes = random.Next(1, 5); changes > 0; changes--)
                Mutate(bench, random);
            if (random.Next(4) == 0)
            {
                cpu.Bus.InterruptPending = true;
                cpu.Cpu.RequestAttention(Attention.Interrupt);
            }
            bench.Enter(200);
            if (cpu.State->GuestMode)
                continue;
            left++;
            if (bench.Vmcb->ExitCode == SvmExitCode.Invalid)
                invalid++;
            Assert.Equal((true, 0x1000UL, (byte)0), (cpu.State->LongMode, cpu.State->Cr3, cpu.State->Cpl));
        }
        // Both happen often, or the test tests nothing.
        Assert.InRange(invalid, Iterations / 10, Iterations);
        Assert.InRange(left - invalid, Iterations / 10, Iterations);
    }

    /// <summary>A guest whose handlers fault on their first instruction retires nothing, and would go on for ever, as it would on a real processor.</summary>
    private static void EndLivelock(BareCpu cpu, ref int running)
    {
        const int Seen = int.MinValue;
        int iteration = Volatile.Read(ref running);
        if ((iteration & Seen) != 0)
            cpu.Cpu.RequestAttention(Attention.Stop);
        else
            Interlocked.CompareExchange(ref running, iteration | Seen, iteration);
    }

    private static void Mutate(GuestBench bench, Random random)
    {
        ulong* field = (ulong*)((byte*)bench.Vmcb + Fields[random.Next(Fields.Length)]);
        *field = random.Next(4) switch
        {
            0 => (ulong)random.NextInt64() << random.Next(2),
            1 => *field ^ 1UL << random.Next(64),
            2 => *field ^ 1UL << random.Next(32),
            _ => (ulong)random.Next(),
        };
    }
}
