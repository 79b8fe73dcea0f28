using System.Diagnostics;
using Xunit;

namespace X86Virt.Engine.Tests;

/// <summary>QEMU's emulation of the processor, another opinion about what instructions do.</summary>
internal static class Qemu
{
    public const string Program = "qemu-system-x86_64";

    public static bool IsThere => (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator).Any(p => File.Exists(Path.Combine(p, Program)));

    /// <summary>Why a test is skipped; null if it need not be.</summary>
    public static string? Missing => IsThere ? null : $"{Program} is not there; the engines are compared with each other only.";

    /// <summary>What a multiboot image prints on port E9h until it writes to port F4h, or is killed at the limit.</summary>
    public static string Run(byte[] image, TimeSpan limit, params string[] more)
    {
        string path = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(path, image);
            string[] arguments =
            [
                "-accel", "tcg", "-m", "16", "-nodefaults", "-display", "none", "-no-reboot", "-debugcon", "stdio", "-device", "isa-debug-exit,iobase=0xf4", "-kernel", path, .. more,
            ];
            using Process process = Process.Start(new ProcessStartInfo(Program, arguments) { RedirectStandardOutput = true })!;
            using var guard = new Timer(_ => process.Kill(), null, limit, Timeout.InfiniteTimeSpan);
            string output = process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            return output;
        }
        finally
        {
            File.Delete(path);
        }
    }

    /// <summary>What a multiboot image prints on the first serial port until it switches the power off, or is killed at the limit.</summary>
    public static string RunOnSerialPort(byte[] image, TimeSpan limit, params string[] more)
    {
        string serial = Path.GetTempFileName();
        try
        {
            Run(image, limit, ["-serial", $"file:{serial}", .. more]);
            return File.ReadAllText(serial);
        }
        finally
        {
            File.Delete(serial);
        }
    }
}

/// <summary>A test that is skipped where there is no QEMU.</summary>
public sealed class QemuFactAttribute : FactAttribute
{
    public QemuFactAttribute() => Skip = Qemu.Missing;
}

/// <summary>Tests that are skipped where there is no QEMU.</summary>
public sealed class QemuTheoryAttribute : TheoryAttribute
{
    public QemuTheoryAttribute() => Skip = Qemu.Missing;
}
