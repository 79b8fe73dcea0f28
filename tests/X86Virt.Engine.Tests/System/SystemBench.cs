using Iced.Intel;
using X86Virt.Engine.Processor;
using Xunit;
using Xunit.Sdk;

namespace X86Virt.Engine.Tests.SystemInstructions;

/// <summary>What tests of system instructions share: every case runs on a new processor of every engine.</summary>
internal static unsafe class SystemBench
{
    public const ulong Data = 0x8000;

    /// <summary>Runs a test on every engine, with a model and feature switches such as "-Avx"; the engine's name goes into the failure.</summary>
    public static void OnEveryEngine(int bitness, Action<BareCpu> test, string? model = null, params string[] features)
    {
        foreach ((string name, Func<Cpu, ExecutionEngine> engine) in BareCpu.SystemEngines)
        {
            using var cpu = new BareCpu(bitness, engine, model: ProcessorModel.Parse(model, features));
            try
            {
                test(cpu);
            }
            catch (XunitException e)
            {
                throw new XunitException($"{name}: {e.Message}");
            }
        }
    }

    /// <summary>Executes instructions; null if none raised an exception, else the first that one did.</summary>
    public static ExceptionRecord? Execute(this BareCpu cpu, int bitness, Action<Assembler> write, int count = 1)
        => cpu.Execute(BareCpu.Assemble(bitness, write), count);

    public static ExceptionRecord? Execute(this BareCpu cpu, byte[] code, int count = 1)
    {
        cpu.Run(code, count);
        return cpu.Cpu.ExceptionHistory.ToList() is [var first, ..] ? first : null;
    }

    /// <summary>One instruction raises an exception with its RIP on itself.</summary>
    public static void Raises(Vector vector, uint? errorCode, ExceptionRecord? actual)
    {
        Assert.NotNull(actual);
        Assert.Equal((vector, errorCode), (actual.Value.Vector, actual.Value.ErrorCode));
        Assert.Equal(BareCpu.CodeAddress, actual.Value.Rip);
    }

    public static void RaisesGeneralProtection(ExceptionRecord? actual) => Raises(Vector.GeneralProtection, 0, actual);

    public static void RaisesInvalidOpcode(ExceptionRecord? actual) => Raises(Vector.InvalidOpcode, null, actual);

    /// <summary>Goes to privilege level 3 in flat user segments, every page open to user code.</summary>
    public static void EnterUser(this BareCpu cpu)
    {
        CpuState* s = cpu.State;
        for (ulong table = 0x1000; s->LongMode && table <= 0x2018; table += table == 0x1000 ? 0x1000u : 8u)
            cpu.Memory.Write(table, cpu.Memory.Read<ulong>(table) | 4);
        for (int i = 0; i < 6; i++)
        {
            SegmentRegister* r = CpuState.Seg(s, (Segment)i);
            r->Selector |= 3;
            r->Attributes |= (SegmentAttributes)(3 << 5);
        }
        s->Cpl = 3;
        cpu.Cpu.FlushTlb(keepGlobal: false);
        ModeChange.Update(cpu.Cpu);
    }

    /// <summary>Virtual-8086 mode with segments at the bottom of memory.</summary>
    public static void EnterVirtual8086(this BareCpu cpu, int iopl)
    {
        CpuState* s = cpu.State;
        s->SystemFlags = (s->SystemFlags & ~Flags.IoplMask) | Flags.Vm | (uint)iopl << 12;
        for (int i = 0; i < 6; i++)
        {
            *CpuState.Seg(s, (Segment)i) = new SegmentRegister
            {
                Limit = 0xFFFF,
                Attributes = SegmentAttributes.Present | SegmentAttributes.CodeOrData | SegmentAttributes.Writable | SegmentAttributes.Accessed | (SegmentAttributes)(3 << 5),
            };
        }
        SegmentRegister* cs = CpuState.Seg(s, Segment.Cs);
        cs->Selector = (ushort)(BareCpu.CodeAddress >> 4);
        cs->Base = BareCpu.CodeAddress;
        s->Cpl = 3;
        ModeChange.Update(cpu.Cpu);
    }
}
