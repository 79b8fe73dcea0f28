using System.Diagnostics;
using System.Globalization;

namespace X86Virt.Bench;

/// <summary>A guest to boot: an image, and what it says when it is ready.</summary>
/// <param name="Memory">Bytes of RAM.</param>
/// <param name="Marker">Text on the serial console.</param>
internal sealed record Boot(string Title, string Kernel, string? InitialRamDisk, string CommandLine, ulong Memory, string Marker);

/// <summary>What a process that booted a guest cost.</summary>
/// <param name="MarkerSeconds">Time from the process's start to the marker.</param>
/// <param name="MarkerProcessorSeconds">Its processor time at the marker.</param>
/// <param name="Seconds">From its start to its end.</param>
/// <param name="GuestInstructions">Retired up to the marker; 0 where that is not known.</param>
/// <param name="UpMilliseconds">Processor time from New-VirtualMachine to a running machine.</param>
/// <param name="ExtraMebibytes">What the machine has added to the process's resident memory beside its RAM.</param>
internal sealed record BootResult(double MarkerSeconds, double MarkerProcessorSeconds, double Seconds, double GuestInstructions, double UpMilliseconds, double ExtraMebibytes);

/// <summary>Boots a guest as a user does, in a process that is measured from its start to its end.</summary>
internal static class GuestProcess
{
    /// <summary>Room for ROMs behind RAM and for what the host's kernel has joined with it, in the same mapping.</summary>
    private const ulong Neighbours = 8 << 20;

    public static BootResult Qemu(Boot boot)
    {
        List<string> arguments =
        [
            "-accel", "tcg", "-m", $"{boot.Memory >> 20}", "-display", "none", "-nodefaults", "-monitor", "none", "-serial", "stdio", "-no-reboot",
            "-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-kernel", boot.Kernel, "-append", boot.CommandLine,
        ];
        if (boot.InitialRamDisk != null)
            arguments.AddRange(["-initrd", boot.InitialRamDisk]);
        var watch = Stopwatch.StartNew();
        using Process process = TimedProcess.Start(QemuTarget.Program(64), arguments);
        using Timer limit = TimedProcess.Limit(process);
        BootResult? result = null;
        for (string? line = process.StandardOutput.ReadLine(); line != null; line = process.StandardOutput.ReadLine())
        {
            if (result == null && line.Contains(boot.Marker, StringComparison.Ordinal))
                result = AtMarker(process, watch);
        }
        process.WaitForExit();
        return (result ?? throw new BenchmarkException($"QEMU ended without the marker '{boot.Marker}' of {boot.Title}.")) with { Seconds = watch.Elapsed.TotalSeconds };
    }

    /// <summary>Runs bench/machine.ps1 in the launcher's PowerShell.</summary>
    public static BootResult Machine(string root, EngineChoice engine, Boot boot)
    {
        List<string> arguments =
        [
            Path.Combine(root, "bench", "machine.ps1"), "-Engine", $"{engine.Engine}", "-Kernel", boot.Kernel, "-CommandLine", boot.CommandLine,
            "-Memory", $"{boot.Memory}", "-Marker", boot.Marker,
        ];
        if (engine.Paging is { } paging)
            arguments.AddRange(["-Paging", $"{paging}"]);
        if (boot.InitialRamDisk != null)
            arguments.AddRange(["-InitialRamDisk", boot.InitialRamDisk]);
        string launcher = Path.Combine(root, OperatingSystem.IsWindows() ? "x86virt.cmd" : "x86virt");
        var watch = Stopwatch.StartNew();
        using Process process = TimedProcess.Start(launcher, arguments);
        using Timer limit = TimedProcess.Limit(process);
        double before = 0, up = double.NaN;
        BootResult? result = null;
        for (string? line = process.StandardOutput.ReadLine(); line != null; line = process.StandardOutput.ReadLine())
        {
            string[] words = line.Split(' ');
            switch (words[0])
            {
                case "loaded":
                    before = ResidentMebibytes(process.Id, boot.Memory);
                    break;
                case "up":
                    up = double.Parse(words[1], CultureInfo.InvariantCulture);
                    break;
                case "marker":
                    result = AtMarker(process, watch) with
                    {
                        GuestInstructions = double.Parse(words[1], CultureInfo.InvariantCulture),
                        UpMilliseconds = up,
                        ExtraMebibytes = ResidentMebibytes(process.Id, boot.Memory) - before,
                    };
                    break;
                default:
                    break;
            }
            process.StandardInput.WriteLine();
        }
        process.WaitForExit();
        return (result ?? throw new BenchmarkException($"{engine} ended with exit code {process.ExitCode} without the marker '{boot.Marker}' of {boot.Title}."))
            with { Seconds = watch.Elapsed.TotalSeconds };
    }

    private static BootResult AtMarker(Process process, Stopwatch watch)
        => new(watch.Elapsed.TotalSeconds, HostClock.OfProcess(process.Id) / 1e9 ?? double.NaN, 0, 0, double.NaN, double.NaN);

    /// <summary>Resident memory of a process without the mapping that holds the guest's RAM. What is mapped twice counts once.</summary>
    private static double ResidentMebibytes(int id, ulong ram)
    {
        string maps = $"/proc/{id}/smaps";
        if (!File.Exists(maps))
            return double.NaN;
        double kibibytes = 0;
        bool isRam = false;
        foreach (string line in File.ReadLines(maps))
        {
            string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (words[0] == "Size:")
                isRam = ulong.Parse(words[1], CultureInfo.InvariantCulture) << 10 is ulong size && size >= ram && size <= ram + Neighbours;
            else if (words[0] == "Pss:" && !isRam)
                kibibytes += double.Parse(words[1], CultureInfo.InvariantCulture);
        }
        return kibibytes / 1024;
    }
}
