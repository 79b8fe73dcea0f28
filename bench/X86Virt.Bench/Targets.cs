using X86Virt.Engine;
using X86Virt.Engine.Processor;

namespace X86Virt.Bench;

/// <summary>What one run of a guest program gave.</summary>
/// <param name="PassTimes">Nanoseconds of processor time of each pass.</param>
/// <param name="Checksum">What the program says it computed.</param>
internal sealed record Run(IReadOnlyList<double> PassTimes, string Checksum);

/// <summary>Something that runs the kernels of bench/guests: the host itself, an engine, a peer.</summary>
internal interface ITarget
{
    string Name { get; }

    /// <summary>By how much less work this target gets, to be done in about the same time.</summary>
    uint Divisor { get; }

    /// <summary>Whether there is what the benchmark is about.</summary>
    bool Has(Benchmark benchmark, int bits);

    /// <exception cref="BenchmarkException">The program did not come to its end.</exception>
    Run Run(Benchmark benchmark, int bits, uint units, int passes);
}

/// <summary>The same source as a process of the host.</summary>
internal sealed class NativeTarget(GuestPrograms programs) : ITarget
{
    public string Name => "native";
    public uint Divisor => 1;

    /// <summary>A host's kernel may be without 32-bit programs.</summary>
    public bool Has(Benchmark benchmark, int bits) => benchmark.Suite == Suite.Compute && TimedProcess.CanRun(programs.Native(bits));

    public Run Run(Benchmark benchmark, int bits, uint units, int passes)
        => TimedProcess.Run(programs.Native(bits), [GuestPrograms.Command(benchmark, units, passes)]);
}

/// <summary>QEMU with its translator (TCG).</summary>
internal sealed class QemuTarget(GuestPrograms programs) : ITarget
{
    public string Name => "QEMU";
    public uint Divisor => 1;

    public bool Has(Benchmark benchmark, int bits) => benchmark.Suite != Suite.Virtualization;

    public static string Program(int bits) => bits == 64 ? "qemu-system-x86_64" : "qemu-system-i386";

    public Run Run(Benchmark benchmark, int bits, uint units, int passes)
        => TimedProcess.Run(Program(bits),
        [
            "-accel", "tcg", "-m", "64", "-display", "none", "-nodefaults", "-monitor", "none", "-serial", "stdio", "-no-reboot",
            "-device", "isa-debug-exit,iobase=0xf4,iosize=4",
            "-kernel", programs.Guest(benchmark.Suite, bits), "-append", GuestPrograms.Command(benchmark, units, passes),
        ]);
}

/// <summary>An engine of ours, in this process.</summary>
internal sealed class EngineTarget(EngineChoice choice, GuestPrograms programs) : ITarget
{
    private const ulong SmallPage = 4096;

    private static readonly TimeSpan _limit = TimeSpan.FromMinutes(5);

    public EngineChoice Choice => choice;
    public string Name => choice.ToString();
    public uint Divisor => choice.Engine switch
    {
        EngineKind.Interpreter => 16,
        EngineKind.DecodedCache => 4,
        _ => 1,
    };

    /// <summary>Whether a hypervisor is part of it.</summary>
    public bool HasMonitor => choice.Engine is EngineKind.HardwareAssist or EngineKind.Hybrid;

    public bool Has(Benchmark benchmark, int bits)
        => !benchmark.EmptiesNestedTables || choice.Paging == PagingKind.Nested;

    /// <summary>What a machine is made of to run a kernel.</summary>
    public MachineConfiguration Configure(Benchmark benchmark, int bits, uint units, int passes) => new()
    {
        Name = $"{benchmark.Name}-{bits}",
        Engine = choice.Engine,
        Paging = choice.Paging,
        Features = benchmark.NeedsSvm ? ["+svm"] : [],
        MemorySize = 64 << 20,
        Kernel = programs.Guest(benchmark.Suite, bits),
        CommandLine = GuestPrograms.Command(benchmark, units, passes),
        NoReboot = true,
    };

    public Run Run(Benchmark benchmark, int bits, uint units, int passes)
    {
        using var machine = new VirtualMachine(Configure(benchmark, bits, units, passes));
        List<long> times = [];
        int seen = 0;
        // On the machine's thread: its time is the guest's.
        machine.Console.Written += (_, _) =>
        {
            string text = machine.Console.Read(seen);
            seen += text.Length;
            for (int dots = text.Count(c => c == '.'); dots > 0; dots--)
            {
                if (benchmark.EmptiesNestedTables)
                    machine.ClearNestedPages(SmallPage);
                times.Add(HostClock.OfThread());
            }
        };
        Complete(machine, benchmark, bits);
        return new Run([.. times.Zip(times.Skip(1), (from, to) => (double)(to - from))], machine.Console.Read(0).Trim('.', '\n'));
    }

    /// <summary>Runs a machine to the guest's end.</summary>
    public void Complete(VirtualMachine machine, Benchmark benchmark, int bits)
    {
        machine.Start();
        if (!machine.Wait(MachineState.Stopped, _limit, CancellationToken.None))
            throw new BenchmarkException($"{Name}: {benchmark.Name} ({bits} bits) has not ended in {_limit.TotalSeconds} s.");
        if (machine.ExitCode != 1)
            throw new BenchmarkException($"{Name}: {benchmark.Name} ({bits} bits) ended with {machine.StopReason}; console '{machine.Console.Read(0).Trim()}'.");
    }
}
