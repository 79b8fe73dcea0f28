using System.IO.Enumeration;
using X86Virt.Engine;
using X86Virt.Engine.Processor;

namespace X86Virt.Bench;

/// <summary>What to measure, from the command line.</summary>
internal sealed class Options
{
    public const string Usage = """
        usage: X86Virt.Bench [--suite NAMES] [--kernel NAMES] [--engine NAMES] [--paging NAMES] [--peer NAMES] [--bits 64,32] [--boot NAMES] [--repeat N] [--passes N] [--divisor N]
                             [--table FILE]
          NAMES are separated by commas; kernels may have * and ?.
          --suite    compute, system, virtualization, hybrid, linux, startup, boot (default: all)
          --kernel   kernels of the first five suites (default: all)
          --engine   Interpreter, DecodedCache, BinaryTranslation, HardwareAssist, Hybrid (default: the second and third; for virtualization and linux the third and fourth)
          --paging   of HardwareAssist: Nested, Shadow (default: both)
          --peer     qemu or none (default: qemu)
          --bits     width of compute guests (default: 64,32)
          --boot     Linux kernels to boot: cloud-amd64, amd64, 686 (default: the first)
          --repeat   runs of each, in turns (default: 3)
          --passes   passes in a run, of which the first is not timed (default: 4)
          --divisor  part of the work to do; with much of it left out, a check of what is computed (default: 1)
          --table    a file for every measurement, separated by tabs
        """;

    public static readonly string[] Suites = ["compute", "system", "virtualization", "hybrid", "linux", "startup", "boot"];

    private EngineKind[]? _engines;

    public string[] SuiteNames { get; private set; } = Suites;
    public string[] Kernels { get; private set; } = ["*"];
    public PagingKind[] Pagings { get; private set; } = [PagingKind.Nested, PagingKind.Shadow];
    public bool Qemu { get; private set; } = true;
    public int[] Bits { get; private set; } = [64, 32];
    public string[] Boots { get; private set; } = ["cloud-amd64"];
    public int Repeat { get; private set; } = 3;
    public int Passes { get; private set; } = 4;
    public uint Divisor { get; private set; } = 1;
    public string? Table { get; private set; }

    /// <exception cref="BenchmarkException">Names the argument and what it may be.</exception>
    public static Options Parse(string[] arguments)
    {
        var options = new Options();
        for (int i = 0; i < arguments.Length; i++)
        {
            string name = arguments[i];
            if (++i == arguments.Length)
                throw new BenchmarkException($"'{name}' needs a value.\n{Usage}");
            string value = arguments[i];
            string[] values = value.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
            switch (name)
            {
                case "--suite":
                    options.SuiteNames = [.. values.Select(v => OneOf(name, v, Suites))];
                    break;
                case "--kernel":
                    options.Kernels = values;
                    break;
                case "--engine":
                    options._engines = [.. values.Select(v => Enum.Parse<EngineKind>(OneOf(name, v, Enum.GetNames<EngineKind>())))];
                    break;
                case "--paging":
                    options.Pagings = [.. values.Select(v => Enum.Parse<PagingKind>(OneOf(name, v, [nameof(PagingKind.Nested), nameof(PagingKind.Shadow)])))];
                    break;
                case "--peer":
                    options.Qemu = OneOf(name, value, ["qemu", "none"]) == "qemu";
                    break;
                case "--bits":
                    options.Bits = [.. values.Select(v => OneOf(name, v, ["64", "32"]) == "64" ? 64 : 32)];
                    break;
                case "--boot":
                    options.Boots = [.. values.Select(v => OneOf(name, v, ["cloud-amd64", "amd64", "686"]))];
                    break;
                case "--repeat":
                    options.Repeat = Count(name, value);
                    break;
                case "--passes":
                    options.Passes = Count(name, value);
                    break;
                case "--divisor":
                    options.Divisor = (uint)Count(name, value);
                    break;
                case "--table":
                    options.Table = value;
                    break;
                default:
                    throw new BenchmarkException($"There is no argument '{name}'.\n{Usage}");
            }
        }
        if (!Catalogue.All.Any(options.Wants))
            throw new BenchmarkException($"No kernel is called {string.Join(" or ", options.Kernels)}. There are {string.Join(", ", Catalogue.All.Select(b => b.Name))}.");
        // Who names kernels wants those.
        if (!arguments.Contains("--suite") && arguments.Contains("--kernel"))
            options.SuiteNames = ["compute", "system", "virtualization"];
        return options;
    }

    /// <summary>The engines that were asked for, or those that a suite is for; the hardware VMM once with each paging.</summary>
    public IReadOnlyList<EngineChoice> Engines(params EngineKind[] usual)
        => [.. (_engines ?? usual).SelectMany(e => e == EngineKind.HardwareAssist ? Pagings.Select(p => new EngineChoice(e, p)) : [new EngineChoice(e)])];

    /// <summary>Whether a benchmark was asked for, or one that it is taken off.</summary>
    public bool Wants(Benchmark benchmark)
        => Kernels.Any(pattern => FileSystemName.MatchesSimpleExpression(pattern, benchmark.Name)) || Catalogue.All.Any(b => b.Beyond == benchmark.Name && Wants(b));

    /// <summary>Whether a kernel of Linux is to be booted.</summary>
    public bool WantsBoot(string image) => Boots.Any(name => image == "vmlinuz-" + name);

    private static string OneOf(string name, string value, string[] known)
        => known.FirstOrDefault(k => k.Equals(value, StringComparison.OrdinalIgnoreCase))
            ?? throw new BenchmarkException($"{name} cannot be '{value}'. Give one of {string.Join(", ", known)}.");

    private static int Count(string name, string value)
        => int.TryParse(value, out int count) && count is > 0 and <= 10_000 ? count : throw new BenchmarkException($"{name} cannot be '{value}'. Give a number from 1 to 10000.");
}
