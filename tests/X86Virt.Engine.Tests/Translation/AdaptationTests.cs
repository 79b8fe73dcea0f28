using Iced.Intel;
using X86Virt.Engine.Processor;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace X86Virt.Engine.Tests.Translation;

/// <summary>Instructions that trap often become SIMULATE and go back; code that is stored into again and again is left decoded.</summary>
public unsafe class AdaptationTests
{
    // Nothing answers there: every access traps.
    private const ulong Device = 0x20_0000, Memory = 0x8000;

    /// <summary>Stores RCX times to where RDI points, and the same to where RSI points.</summary>
    private static byte[] StoreLoops(uint first, uint second) => BareCpu.Assemble(64, a =>
    {
        Label top = a.CreateLabel("top"), next = a.CreateLabel("next");
        a.mov(rdi, Device);
        a.mov(ecx, first);
        a.xor(ebx, ebx);
        a.jmp(top);
        a.Label(ref next);
        a.mov(edi, (uint)Memory);
        a.mov(ecx, second);
        a.Label(ref top);
        a.mov(__[rdi], rcx);
        a.dec(ecx);
        a.jne(top);
        a.inc(ebx);
        a.cmp(ebx, 2);
        a.jne(next);
    });

    private static BareCpu Adaptive() => new(64, cpu => new BinaryTranslation(cpu, new TranslationOptions { CacheSize = 4 << 20 }));

    private static TranslatedInstruction Store(BareCpu cpu)
        => ((BinaryTranslation)cpu.Engine).ReadUnits("").SelectMany(u => u.Instructions).Last(i => i.Text.StartsWith("mov [rdi]", StringComparison.Ordinal));

    private static TranslationCacheInfo Cache(BareCpu cpu) => ((BinaryTranslation)cpu.Engine).ReadCache("");

    [Fact]
    public void AStoreThatTrapsBecomesSimulateAndGoesBackWhenItTrapsNoMore()
    {
        byte[] code = StoreLoops(200, 10_000);
        using BareCpu cpu = Adaptive();
        cpu.Run(code, 400);
        Assert.Equal((1, 0), (Cache(cpu).Adapted, Cache(cpu).Reverted));
        Assert.Equal(TranslationKind.Simulate, Store(cpu).Kind);
        cpu.Cpu.SetDeadline(cpu.State->Retired + 1_000_000);
        cpu.Continue();
        Assert.Equal((1, 1), (Cache(cpu).Adapted, Cache(cpu).Reverted));
        Assert.Equal((TranslationKind.Memory, 1), (Store(cpu).Kind, Store(cpu).Reversions));
    }

    [Fact]
    public void AnOccasionalTrapChangesNothing()
    {
        byte[] code = BareCpu.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            a.mov(ecx, 10_000);
            a.mov(edi, 0x8FFC - 1024);
            a.Label(ref top);
            // Across the page boundary once in a round.
            a.mov(rax, __[rdi]);
            a.inc(edi);
            a.cmp(edi, 0x9001);
            a.mov(edx, 0x8FFC - 1024);
            a.cmove(edi, edx);
            a.dec(ecx);
            a.jne(top);
        });
        using BareCpu cpu = Adaptive();
        cpu.Run(code, 100_000);
        // In all turns of the loop that are in its unit.
        Assert.True(((BinaryTranslation)cpu.Engine).ReadUnits("").SelectMany(u => u.Instructions).Where(i => i.Text == "mov rax, [rdi]").Sum(i => i.Traps) > 20);
        Assert.Equal(0, Cache(cpu).Adapted);
    }

    [Fact]
    public void WithoutAdaptationNothingIsAdapted()
    {
        using var cpu = new BareCpu(64, c => new BinaryTranslation(c, new TranslationOptions { CacheSize = 4 << 20, Features = TranslationFeatures.All & ~TranslationFeatures.Adaptation }));
        cpu.Run(StoreLoops(200, 100), 1000);
        Assert.Equal(0, Cache(cpu).Adapted);
        Assert.Equal(TranslationKind.Memory, Store(cpu).Kind);
    }

    /// <summary>A function whose immediate operand is stored into before each call, then a loop that leaves it alone.</summary>
    [Fact]
    public void CodeThatIsStoredIntoAgainAndAgainIsLeftDecodedUntilItSettles()
    {
        byte[] code = BareCpu.Assemble(64, a =>
        {
            Label function = a.CreateLabel(), patch = a.CreateLabel(), call = a.CreateLabel(), end = a.CreateLabel();
            a.xor(ebx, ebx);
            a.mov(ecx, 500);
            a.Label(ref patch);
            a.lea(rdi, __[function]);
            a.mov(__dword_ptr[rdi + 1], ecx);
            a.call(function);
            a.add(ebx, eax);
            a.dec(ecx);
            a.jne(patch);
            a.mov(ecx, 1000);
            a.Label(ref call);
            a.call(function);
            a.add(ebx, eax);
            a.dec(ecx);
            a.jne(call);
            a.jmp(end);
            a.Label(ref function);
            a.mov(eax, 0);
            a.ret();
            a.Label(ref end);
            a.nop();
        });
        var results = new List<(ulong, ulong, long)>();
        foreach (string engine in BareCpu.Engines.Keys)
        {
            using BareCpu cpu = engine == "BinaryTranslation" ? Adaptive() : new BareCpu(64, BareCpu.Engines[engine]);
            cpu.Run(code, 20_000);
            results.Add((cpu.State->Rbx, cpu.State->Rip, cpu.State->Retired));
            if (engine != "BinaryTranslation")
                continue;
            Assert.InRange(Cache(cpu).UnitsTranslated, 5, 30);
            Assert.True(Cache(cpu).LeftDecoded > 100);
            Assert.Contains(((BinaryTranslation)cpu.Engine).ReadUnits(""), u => u.Instructions is [{ Text: "mov eax, 1" }, ..]);
        }
        Assert.All(results, r => Assert.Equal(results[0], r));
        Assert.Equal(500UL * 501 / 2 + 1000, results[0].Item1);
    }
}
