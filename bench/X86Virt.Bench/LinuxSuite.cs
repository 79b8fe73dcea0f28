using System.Text;
using X86Virt.Engine;
using X86Virt.Guests;

namespace X86Virt.Bench;

/// <summary>
/// Direct execution under an operating system: the compute kernels as the first process of Linux, the very program that is timed as a process of the host. A
/// machine boots once and runs all of them.
/// </summary>
internal sealed class LinuxSuite(Options options, GuestPrograms programs, string root, Report report)
{
    private const int Bits = 64, MarkLength = 18;
    private const string Kernel = "vmlinuz-cloud-amd64";

    private static readonly TimeSpan _limit = TimeSpan.FromMinutes(15);

    /// <summary>False if a guest computed something else than the host.</summary>
    public bool Run()
    {
        Benchmark[] benchmarks = [.. Catalogue.All.Where(b => b.Suite == Suite.Compute && options.Wants(b))];
        string kernel = Path.Combine(root, "artifacts", "guests", Kernel);
        if (!File.Exists(kernel))
            throw new BenchmarkException($"'{kernel}' is missing; fetch it with ./x86virt build.ps1 Guests.");
        string ramDisk = Path.Combine(root, "artifacts", "bench", "native64.cpio.gz");
        File.WriteAllBytes(ramDisk, InitialRamDisk(File.ReadAllBytes(programs.Native(Bits))));
        var native = new NativeTarget(programs);
        EngineTarget[] engines = [.. options.Engines(EngineKind.BinaryTranslation, EngineKind.HardwareAssist).Select(e => new EngineTarget(e, programs))];
        EngineTarget? translation = engines.FirstOrDefault(e => e.Choice.Engine == EngineKind.BinaryTranslation);
        EngineTarget[] monitors = translation == null ? [] : [.. engines.Where(e => e.HasMonitor)];
        var times = new Dictionary<(ITarget, Benchmark), List<double>>();
        bool right = true;
        for (int turn = 0; turn < options.Repeat; turn++)
        {
            var sums = new Dictionary<(Benchmark, uint), string>();
            foreach (Benchmark benchmark in benchmarks)
                Take(native, benchmark, native.Run(benchmark, Bits, UnitsOf(native, benchmark), options.Passes));
            foreach (EngineTarget engine in engines)
            {
                Run[] runs = Boot(engine, benchmarks, kernel, ramDisk);
                foreach ((Benchmark benchmark, Run run) in benchmarks.Zip(runs))
                    Take(engine, benchmark, run);
            }

            void Take(ITarget target, Benchmark benchmark, Run run)
            {
                uint units = UnitsOf(target, benchmark);
                if (sums.TryAdd((benchmark, units), run.Checksum) || sums[(benchmark, units)] == run.Checksum)
                {
                    if (!times.TryGetValue((target, benchmark), out List<double>? list))
                        times.Add((target, benchmark), list = []);
                    list.Add(run.PassTimes.Skip(1).DefaultIfEmpty(run.PassTimes[0]).Average() / units);
                    return;
                }
                right = false;
                Report.Complain($"{benchmark.Name} under Linux: {target.Name} computed {run.Checksum}, not {sums[(benchmark, units)]}.");
            }
        }
        Write(benchmarks, native, engines, translation, monitors, (target, benchmark) => times.TryGetValue((target, benchmark), out List<double>? list) ? KernelSuite.Median(list) : double.NaN);
        return right;
    }

    private uint UnitsOf(ITarget target, Benchmark benchmark) => Math.Max(1, benchmark.Units / target.Divisor / options.Divisor);

    private void Write(Benchmark[] benchmarks, NativeTarget native, EngineTarget[] engines, EngineTarget? translation, EngineTarget[] monitors, Func<ITarget, Benchmark, double> time)
    {
        report.Title($"Compute guests, {Bits}-bit, as processes of Linux: times slower than the host");
        report.Header(["kernel", "native, ns a unit", .. engines.Select(e => e.Name), .. monitors.Select(m => $"{m.Name} / {translation!.Name}")]);
        foreach (Benchmark benchmark in benchmarks)
        {
            double scale = time(native, benchmark);
            report.Row([benchmark.Title, Report.Number(scale), .. engines.Select(e => Report.Number(time(e, benchmark) / scale)), .. monitors.Select(m => Report.Number(time(m, benchmark) / time(translation!, benchmark)))]);
            foreach (EngineTarget engine in engines)
                report.Record("Linux", benchmark.Name, Bits, engine.Name, time(engine, benchmark), time(engine, benchmark) / scale, double.NaN);
        }
        double Mean(Func<Benchmark, double> value) => Math.Exp(benchmarks.Average(b => Math.Log(value(b))));
        report.Row(["**geometric mean**", "", .. engines.Select(e => Report.Number(Mean(b => time(e, b) / time(native, b)))), .. monitors.Select(m => Report.Number(Mean(b => time(m, b) / time(translation!, b))))]);
    }

    private static byte[] InitialRamDisk(byte[] program)
    {
        var archive = new CpioArchive();
        archive.AddDirectory("dev");
        archive.AddDevice("dev/console", 5, 1);
        archive.AddProgram("init", program);
        return archive.ToGzip();
    }

    /// <summary>One run of each kernel. The kernel panics when its first process has ended, and resets the machine.</summary>
    private Run[] Boot(EngineTarget engine, Benchmark[] benchmarks, string kernel, string ramDisk)
    {
        var commands = benchmarks.Select(b => $"\"{GuestPrograms.Command(b, UnitsOf(engine, b), options.Passes)}\"");
        using var machine = new VirtualMachine(new MachineConfiguration
        {
            Name = "linux", Engine = engine.Choice.Engine, Paging = engine.Choice.Paging, Kernel = kernel, InitialRamDisk = ramDisk, NoReboot = true,
            CommandLine = $"console=ttyS0 quiet panic=-1 -- {string.Join(' ', commands)}",
        });
        List<Run> runs = [];
        List<long> marks = [];
        var line = new StringBuilder();
        int seen = 0;
        // On the machine's thread: its time is the guest's. Characters take the guest's UART as long behind each mark.
        machine.Console.Written += (_, _) =>
        {
            string text = machine.Console.Read(seen);
            seen += text.Length;
            foreach (char c in text)
            {
                line.Append(c);
                if (c == ']' && line.Length >= MarkLength && line[^MarkLength] == '[')
                {
                    marks.Add(HostClock.OfThread());
                    line.Clear();
                }
                else if (c == '\n')
                {
                    if (marks.Count > 1)
                        runs.Add(new Run([.. marks.Zip(marks.Skip(1), (from, to) => (double)(to - from))], line.ToString().Trim()));
                    marks.Clear();
                    line.Clear();
                }
            }
        };
        machine.Start();
        if (!machine.Wait(MachineState.Stopped, _limit, CancellationToken.None) || runs.Count != benchmarks.Length)
            throw new BenchmarkException($"{engine.Name}: Linux has run {runs.Count} of {benchmarks.Length} kernels ({machine.StopReason}); console '{machine.Console.Read(0).Trim()}'.");
        return [.. runs];
    }
}
