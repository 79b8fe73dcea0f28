using System.Text;
using X86Virt.Engine.Processor;
using Xunit;
using Xunit.Abstractions;

namespace X86Virt.Engine.Tests.Differential;

/// <summary>
/// The engines run the same random programs (<see cref="RandomProgram"/>) and must be in the same state after every thousand instructions.
/// Set X86VIRT_FUZZ_PROGRAMS for a longer run and X86VIRT_FUZZ_SEED for other programs.
/// </summary>
public unsafe class ProgramAgreement(ITestOutputHelper output)
{
    private const int Chunk = 1000, Chunks = 20;

    private static readonly Dictionary<string, Func<Cpu, ExecutionEngine>> s_engines = new()
    {
        ["DecodedCache"] = BareCpu.Engines["DecodedCache"],
        ["BinaryTranslation"] = cpu => new BinaryTranslation(cpu, new TranslationOptions { CacheSize = 4 << 20 }),
        ["Unrolled soon"] = cpu => new BinaryTranslation(cpu, new TranslationOptions { CacheSize = 4 << 20 }) { HotTurns = 2 },
        ["Short units"] = cpu => new BinaryTranslation(cpu, new TranslationOptions { CacheSize = 1 << 20, UnitLimit = 3 }),
        ["No features"] = cpu => new BinaryTranslation(cpu, new TranslationOptions { CacheSize = 1 << 20, Features = TranslationFeatures.None }),
    };

    public static TheoryData<string> Engines() => [.. s_engines.Keys];

    private static int Setting(string name, int standard) => int.TryParse(Environment.GetEnvironmentVariable(name), out int value) ? value : standard;

    [Theory, MemberData(nameof(Engines))]
    public void RandomProgramsGoTheSameWay(string engine)
    {
        int first = Setting("X86VIRT_FUZZ_SEED", 1), programs = Setting("X86VIRT_FUZZ_PROGRAMS", 10);
        long retired = 0, events = 0, adapted = 0, leftDecoded = 0, translated = 0;
        for (int seed = first; seed < first + programs; seed++)
        {
            using var reference = new BareCpu(64, BareCpu.Engines["Interpreter"], RandomProgram.RamSize);
            using var tested = new BareCpu(64, s_engines[engine], RandomProgram.RamSize);
            new RandomProgram(seed).Load(reference);
            new RandomProgram(seed).Load(tested);
            for (int chunk = 0; chunk < Chunks && !reference.Shutdown && !reference.State->Halted; chunk++)
            {
                string expected = Run(reference), actual = Run(tested);
                if (expected != actual)
                    Assert.Fail($"seed {seed}, chunk {chunk}\ninterpreter {expected}\n{engine} {actual}");
            }
            retired += reference.State->Retired;
            events += reference.Memory.Read<uint>(RandomProgram.EventCount);
            if (tested.Engine is BinaryTranslation translation)
            {
                TranslationCacheInfo cache = translation.ReadCache("");
                (adapted, leftDecoded) = (adapted + cache.Adapted, leftDecoded + cache.LeftDecoded);
                translated += cache.UnitsTranslated;
            }
        }
        output.WriteLine($"{programs} programs, {retired} instructions, {events} events, {translated} units translated, {adapted} adapted, {leftDecoded} left decoded");
        // The test is one only if programs get on.
        Assert.True(retired > programs * 10_000L, $"only {retired} instructions");
        Assert.True(events > programs * 100L, $"only {events} events");
        if (engine is ("BinaryTranslation" or "Short units") && programs >= 10)
            Assert.True(adapted > 5 && leftDecoded > 0, $"only {adapted} instructions adapted, {leftDecoded} blocks left decoded");
    }

    private static string Run(BareCpu cpu)
    {
        CpuState* s = cpu.State;
        cpu.Cpu.SetDeadline(s->Retired + Chunk);
        cpu.Continue();
        var text = new StringBuilder();
        for (int i = 0; i < 16; i++)
            text.Append(s->Gpr[i].ToString("x")).Append(' ');
        text.Append($"rip {s->Rip:x} flags {Flags.Rflags(s):x} cs {CpuState.Seg(s, Segment.Cs)->Selector:x} retired {s->Retired} cr2 {s->Cr2:x} halted {s->Halted} shutdown {cpu.Shutdown} memory {cpu.Checksum():x}");
        text.Append($" mxcsr {s->Mxcsr:x} x87 {Convert.ToHexString(new ReadOnlySpan<byte>(s->Fx, 32 + 8 * 16 + 4))}");
        text.Append($" vectors {Convert.ToHexString(new ReadOnlySpan<byte>(s->Vectors, 16 * CpuState.VectorSize))}");
        return text.ToString();
    }
}
