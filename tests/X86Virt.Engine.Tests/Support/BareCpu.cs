using Iced.Intel;
using X86Virt.Engine.Costs;
using X86Virt.Engine.Memory;
using X86Virt.Engine.Monitors;
using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Tests;

/// <summary>A processor with RAM and no devices, for tests of instructions.</summary>
internal sealed unsafe class BareCpu : IDisposable
{
    public const ulong CodeAddress = 0x10000;
    public const ulong StackTop = 0x9000;

    private readonly ExecutionEngine _engine;
    private readonly int _bitness;

    public BareCpu(int bitness, bool decodedCache = false, ulong ramSize = 1 << 20)
        : this(bitness, decodedCache ? cpu => new DecodedCache(cpu) : cpu => new Interpreter(cpu), ramSize)
    {
    }

    public BareCpu(int bitness, Func<Cpu, ExecutionEngine> engine, ulong ramSize = 1 << 20, ProcessorModel? model = null)
    {
        Memory = new PhysicalMemory(ramSize, MonitorMemory.SizeFor(ramSize));
        Memory.MapRam(0, ramSize, 0);
        Cpu = new Cpu(Memory, Bus, model ?? new ProcessorModel());
        _engine = engine(Cpu);
        if (_engine is not (HardwareAssist or Hybrid))
            Cpu.UsePaging(_engine.DefaultPaging);
        _bitness = bitness;
        SetUp();
    }

    /// <summary>
    /// Every engine there is, by name, for tests that all of them must pass. Tests put one piece of code after the other in the same place, which
    /// adaptation would leave decoded.
    /// </summary>
    public static IReadOnlyDictionary<string, Func<Cpu, ExecutionEngine>> Engines { get; } = new Dictionary<string, Func<Cpu, ExecutionEngine>>
    {
        ["Interpreter"] = cpu => new Interpreter(cpu),
        ["DecodedCache"] = cpu => new DecodedCache(cpu),
        ["BinaryTranslation"] = Translating,
        ["HardwareAssist, nested"] = cpu => new HardwareAssist(cpu, PagingKind.Nested, ShadowPaging.DefaultTables, ProcessorGeneration.Current, Translating),
        ["HardwareAssist, shadow"] = cpu => new HardwareAssist(cpu, PagingKind.Shadow, ShadowPaging.DefaultTables, ProcessorGeneration.Current, silicon => new Interpreter(silicon)),
        ["Hybrid, nested"] = cpu => Alternating(cpu, PagingKind.Nested),
        ["Hybrid, shadow"] = cpu => Alternating(cpu, PagingKind.Shadow),
    };

    /// <summary>Those and silicon of the first generation, for tests of what the monitor sees of a guest.</summary>
    public static IReadOnlyDictionary<string, Func<Cpu, ExecutionEngine>> SystemEngines { get; } = new Dictionary<string, Func<Cpu, ExecutionEngine>>(Engines)
    {
        ["HardwareAssist, first generation"] = cpu
            => new HardwareAssist(cpu, PagingKind.Shadow, ShadowPaging.DefaultTables, ProcessorGeneration.FirstGeneration, silicon => new DecodedCache(silicon)),
    };

    private static BinaryTranslation Translating(Cpu cpu)
        => new BinaryTranslation(cpu, new TranslationOptions { CacheSize = 4 << 20, Features = TranslationFeatures.All & ~TranslationFeatures.Adaptation });

    /// <summary>Changes techniques every few instructions, whatever it costs.</summary>
    private static Hybrid Alternating(Cpu cpu, PagingKind paging)
    {
        var hardware = new HardwareAssist(cpu, paging, ShadowPaging.DefaultTables, ProcessorGeneration.Current, Translating);
        return new Hybrid(cpu, hardware, Translating(cpu), new AlternatingPolicy());
    }

    private sealed class AlternatingPolicy() : HybridPolicy(CostProfiles.Pentium4)
    {
        public override long Window => 3;

        public override bool EndWindow(ReadOnlySpan<long> events, CostTechnique technique, long instructions)
        {
            base.EndWindow(events, technique, instructions);
            return true;
        }
    }

    public ExecutionEngine Engine => _engine;

    /// <summary>The processor is a monitor's record: other silicon executes its code, whose TLB may drop more than this processor's would.</summary>
    public bool HasMonitor => _engine is HardwareAssist or Hybrid;

    /// <summary>
    /// Whether the engine drops more translations than it is told to, as a TLB may: those of a large page that a hypervisor has mapped in pieces, global ones that its
    /// shadow does not know as such, all of them in going from one technique to the other.
    /// </summary>
    public bool MayDropTranslations => _engine is Hybrid or HardwareAssist { Paging: ShadowGuestPaging };
    public PhysicalMemory Memory { get; }
    public Cpu Cpu { get; }
    public CpuState* State => Cpu.State;
    public TestBus Bus { get; } = new();
    public bool Shutdown => Bus.Shutdown;

    /// <summary>The exception that came first; without an interrupt table others follow it.</summary>
    public Vector? FirstFault => Cpu.ExceptionHistory.ToList() is [var first, ..] ? first.Vector : null;

    /// <summary>Flat segments, CPL 0; 64-bit mode maps the first 4 GiB to itself with 1 GiB pages at 0x1000.</summary>
    private void SetUp()
    {
        int bitness = _bitness;
        CpuState* s = State;
        if (bitness == 16)
        {
            for (int i = 0; i < 6; i++)
                CpuState.Seg(s, (Segment)i)->Base = 0;
            CpuState.Seg(s, Segment.Cs)->Limit = uint.MaxValue;
        }
        else
        {
            s->Cr0 |= Cr0.Pe;
            SegmentAttributes data = SegmentAttributes.Present | SegmentAttributes.CodeOrData | SegmentAttributes.Writable
                | SegmentAttributes.Accessed | SegmentAttributes.Big | SegmentAttributes.Granular;
            for (int i = 0; i < 6; i++)
                *CpuState.Seg(s, (Segment)i) = new SegmentRegister { Selector = 0x10, Limit = uint.MaxValue, Attributes = data };
            SegmentAttributes code = data | SegmentAttributes.Code;
            if (bitness == 64)
                code = (code & ~SegmentAttributes.Big) | SegmentAttributes.Long;
            *CpuState.Seg(s, Segment.Cs) = new SegmentRegister { Selector = 0x08, Limit = uint.MaxValue, Attributes = code };
        }
        if (bitness == 64)
        {
            Memory.Write(0x1000, 0x2003UL);
            for (ulong i = 0; i < 4; i++)
                Memory.Write(0x2000 + i * 8, (i << 30) | 0x83);
            s->Cr3 = 0x1000;
            s->Cr4 |= Cr4.Pae | Cr4.Osfxsr;
            s->Efer = Efer.Lme | Efer.Lma | Efer.Nxe;
            s->Cr0 |= Cr0.Pg;
        }
        s->Rsp = StackTop;
        s->Rip = CodeAddress;
        ModeChange.Update(Cpu);
    }

    public static byte[] Assemble(int bitness, Action<Assembler> write, ulong address = CodeAddress)
    {
        var assembler = new Assembler(bitness);
        write(assembler);
        using var stream = new MemoryStream();
        assembler.Assemble(new StreamCodeWriter(stream), address);
        return stream.ToArray();
    }

    /// <summary>Puts code at <see cref="CodeAddress"/> and runs up to <paramref name="instructions"/> of it.</summary>
    public void Run(byte[] code, long instructions)
    {
        Memory.Write(CodeAddress, code);
        EndBlocksBehind(code);
        State->Rip = CodeAddress;
        Cpu.SetDeadline(State->Retired + instructions);
        Continue();
    }

    /// <summary>
    /// Has a breakpoint end blocks behind the code: one that went on into what is there would not fit before the deadline, and be left to the
    /// interpreter by every engine.
    /// </summary>
    private void EndBlocksBehind(byte[] code)
    {
        ulong end = CodeAddress + (ulong)code.Length;
        if (Cpu.Breakpoints.Addresses.FirstOrDefault() == end)
            return;
        foreach (ulong address in Cpu.Breakpoints.Addresses.ToArray())
            Cpu.Breakpoints.Remove(address);
        Cpu.Breakpoints.Add(end);
        _engine.ForgetCode();
    }

    /// <summary>Goes on from where the processor is.</summary>
    public void Continue()
    {
        Cpu.Breakpoints.Begin();
        _engine.Run();
    }

    /// <summary>Power-on state again; the engine keeps what it has decoded.</summary>
    public void Restart()
    {
        Bus.Shutdown = false;
        Cpu.Reset();
        Cpu.ExceptionHistory.Clear();
        SetUp();
    }

    /// <summary>Fills RAM from 0x4000 on with a pattern.</summary>
    public void Fill(int seed)
    {
        for (ulong address = 0x4000; address < Memory.RamSize; address += 0x1000)
        {
            Memory.Write(address, 0x1234_5678_9ABC_DEF0UL * (ulong)(seed + 1) + address);
            Memory.Write(address + 0xFF8, 0x0FED_CBA9_8765_4321UL * (ulong)(seed + 1) + address);
        }
    }

    /// <summary>Of RAM from 0x4000 on.</summary>
    public ulong Checksum()
    {
        var words = new ReadOnlySpan<ulong>(Memory.Block + 0x4000, (int)(Memory.RamSize - 0x4000) / 8);
        ulong sum = 0;
        foreach (ulong word in words)
            sum = (sum ^ word) * 0x100_0000_01B3;
        return sum;
    }

    public void Dispose()
    {
        _engine.Dispose();
        Cpu.Dispose();
        Memory.Dispose();
    }
}
