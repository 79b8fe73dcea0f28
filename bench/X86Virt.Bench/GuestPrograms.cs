using System.ComponentModel;
using System.Diagnostics;

namespace X86Virt.Bench;

/// <summary>
/// The programs of bench/guests, compiled by gcc with the same options for the host and for guests: multiboot ELF32 images, also of
/// the 64-bit ones, since that is what QEMU and multiboot take.
/// </summary>
internal sealed class GuestPrograms
{
    private static readonly string[] _common =
    [
        "-O2", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-ffreestanding", "-nostdlib", "-static", "-fno-pie", "-no-pie", "-fno-stack-protector",
        "-fno-asynchronous-unwind-tables", "-fcf-protection=none", "-fno-math-errno", "-Wl,--build-id=none",
        // Loops stay the loops that they are written as.
        "-fno-tree-loop-distribute-patterns", "-fno-tree-vectorize",
    ];

    private readonly string _source;
    private readonly string _output;

    /// <exception cref="BenchmarkException">There is no gcc, or it refuses the sources.</exception>
    public GuestPrograms(string root)
    {
        _source = Path.Combine(root, "bench", "guests");
        _output = Path.Combine(root, "artifacts", "bench");
        DateTime newest = Directory.EnumerateFiles(_source, "*", SearchOption.AllDirectories).Max(File.GetLastWriteTimeUtc);
        string stamp = Path.Combine(_output, "stamp");
        if (File.Exists(stamp) && File.GetLastWriteTimeUtc(stamp) > newest)
            return;
        Directory.CreateDirectory(_output);
        Build(64);
        Build(32);
        File.WriteAllText(stamp, "");
    }

    public static string Command(Benchmark benchmark, uint units, int passes) => $"kernel={benchmark.Kernel} n={units} passes={passes}";

    public string Native(int bits) => Path.Combine(_output, $"native{bits}");

    public string Guest(Suite suite, int bits) => Path.Combine(_output, $"{suite.ToString().ToLowerInvariant()}{bits}");

    private void Build(int bits)
    {
        List<string> compute = [.. Directory.GetFiles(Path.Combine(_source, "kernels"), "*.c").Order(StringComparer.Ordinal), Source("compute.c"), Source("runtime.c")];
        List<string> objects = [.. compute.Select(file => Compile(file, bits))];
        Link(Native(bits), bits, [.. objects, Compile(Source("host.c"), bits)]);
        string[] machine = [Compile(Source($"start{bits}.S"), bits), Compile(Source("machine.c"), bits)];
        LinkGuest(Suite.Compute, bits, [.. machine, .. objects]);
        if (bits == 32)
            return;
        string[] alone = [.. machine, Compile(Source("runtime.c"), bits)];
        LinkGuest(Suite.System, bits, [.. alone, Compile(Source("system.c"), bits), Compile(Source("system_entry.S"), bits)]);
        LinkGuest(Suite.Virtualization, bits, [.. alone, Compile(Source("virtualization.c"), bits)]);
    }

    private string Source(string name) => Path.Combine(_source, name);

    // An interrupt may come where the red zone is.
    private static string[] ModeOptions(int bits) => bits == 64 ? ["-m64", "-mno-red-zone"] : ["-m32", "-march=i686", "-msse2", "-mfpmath=sse"];

    private string Compile(string file, int bits)
    {
        string output = Path.Combine(_output, $"{Path.GetFileNameWithoutExtension(file)}{bits}.o");
        string[] special = Path.GetFileName(file) switch
        {
            // Inlined, few of its calls would be left.
            "fib.c" => ["-fno-inline", "-fno-optimize-sibling-calls"],
            // One jump an operation, not one for all.
            "bytecode.c" => ["-fno-gcse", "-fno-crossjumping"],
            _ => [],
        };
        Execute("gcc", [.. _common, .. ModeOptions(bits), .. special, "-c", file, "-o", output]);
        return output;
    }

    private static void Link(string output, int bits, IEnumerable<string> objects, params string[] options)
        => Execute("gcc", [.. _common, .. ModeOptions(bits), .. options, .. objects, "-o", output]);

    private void LinkGuest(Suite suite, int bits, IEnumerable<string> objects)
    {
        string linked = Guest(suite, bits) + ".elf";
        Link(linked, bits, objects, "-Wl,-T," + Source("guest.ld"));
        Execute("objcopy", ["-O", "elf32-i386", linked, Guest(suite, bits)]);
    }

    private static void Execute(string program, string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardError = true };
        try
        {
            using Process process = Process.Start(start)!;
            string errors = process.StandardError.ReadToEnd();
            process.WaitForExit();
            if (process.ExitCode != 0)
                throw new BenchmarkException($"{program} {arguments[^1]} ended with exit code {process.ExitCode}: {errors.Trim()}");
        }
        catch (Win32Exception e)
        {
            throw new BenchmarkException($"the guest programs need {program}, which cannot be run ({e.Message}); install gcc and binutils (apt-get install gcc).");
        }
    }
}
