using System.Buffers.Binary;
using System.Diagnostics;
using System.IO.Compression;
using System.Runtime.InteropServices;
using System.Text;
using X86Virt.Engine.Processor;
using X86Virt.Guests;
using Xunit;

namespace X86Virt.Engine.Tests.Guests;

/// <summary>forkwait and memorywalk: their files, their RAM disks, and what they do on a Linux host.</summary>
public sealed class LinuxProgramTests
{
    /// <summary>A test that runs the program on the host.</summary>
    private sealed class OnLinuxAttribute : TheoryAttribute
    {
        public OnLinuxAttribute()
        {
            if (!OperatingSystem.IsLinux() || RuntimeInformation.OSArchitecture != Architecture.X64)
                Skip = "The host is no x86-64 Linux.";
        }
    }

    private static (int ExitCode, string Output) Run(byte[] program, params string[] arguments)
    {
        string path = Path.Combine(Path.GetTempPath(), $"program-{Guid.NewGuid():n}");
        try
        {
            File.WriteAllBytes(path, program);
            if (OperatingSystem.IsLinux())
                File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserExecute);
            using Process process = Process.Start(new ProcessStartInfo(path, arguments) { RedirectStandardOutput = true })!;
            string output = process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            return (process.ExitCode, output);
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void IsAnElfFileWhoseSegmentIsTheFileAndHasTheEntryPoint()
    {
        byte[] image = ForkWait.Program;
        Assert.Equal([0x7F, (byte)'E', (byte)'L', (byte)'F', 2, 1, 1, 0], image[..8]);
        Assert.Equal(2, BinaryPrimitives.ReadUInt16LittleEndian(image.AsSpan(16)));
        Assert.Equal(62, BinaryPrimitives.ReadUInt16LittleEndian(image.AsSpan(18)));
        ulong entry = BinaryPrimitives.ReadUInt64LittleEndian(image.AsSpan(24));
        ulong address = BinaryPrimitives.ReadUInt64LittleEndian(image.AsSpan(64 + 16));
        Assert.Equal(1u, BinaryPrimitives.ReadUInt32LittleEndian(image.AsSpan(64)));
        Assert.Equal(5u, BinaryPrimitives.ReadUInt32LittleEndian(image.AsSpan(64 + 4)));
        Assert.Equal((ulong)image.Length, BinaryPrimitives.ReadUInt64LittleEndian(image.AsSpan(64 + 32)));
        Assert.Equal((ulong)image.Length, BinaryPrimitives.ReadUInt64LittleEndian(image.AsSpan(64 + 40)));
        Assert.InRange(entry, address + 120, address + (ulong)image.Length - 1);
    }

    [Fact]
    public void RamDiskHasTheProgramAsInitAndAConsole()
    {
        using var gzip = new GZipStream(new MemoryStream(ForkWait.InitialRamDisk), CompressionMode.Decompress);
        using var archive = new MemoryStream();
        gzip.CopyTo(archive);
        byte[] bytes = archive.ToArray();
        string text = Encoding.Latin1.GetString(bytes);
        Assert.Contains("dev/console\0", text, StringComparison.Ordinal);
        int name = text.IndexOf("init\0", StringComparison.Ordinal);
        Assert.Equal($"{ForkWait.Program.Length:X8}", text.Substring(name - 110 + 54, 8));
        Assert.Equal("000081ED", text.Substring(name - 110 + 14, 8));
        Assert.Equal(ForkWait.Program, bytes[(name + 6)..(name + 6 + ForkWait.Program.Length)]);
    }

    [OnLinux]
    [InlineData("25")]
    [InlineData("007")]
    [InlineData("4", "16", "8", "16")]
    [InlineData("2", "1")]
    public void ForksAndWaitsAsOftenAsItIsTold(params string[] arguments)
        => Assert.Equal((0, $"forkwait {arguments[0]} half\nforkwait {arguments[0]} done\n"), Run(ForkWait.Program, arguments));

    [OnLinux]
    [InlineData("0")]
    [InlineData("1")]
    public void FewForksHaveNoHalf(string count) => Assert.Equal((0, $"forkwait {count} done\n"), Run(ForkWait.Program, count));

    [OnLinux]
    [InlineData("many")]
    [InlineData("12x")]
    [InlineData("-1")]
    [InlineData("")]
    [InlineData("1", "2", "3")]
    [InlineData("1", "2", "2", "3")]
    [InlineData("1", "9999999")]
    public void RefusesWhatIsNoNumber(params string[] arguments)
    {
        (int exitCode, string output) = Run(ForkWait.Program, arguments);
        Assert.Equal(2, exitCode);
        Assert.Contains("no number of forks", output, StringComparison.Ordinal);
    }

    [OnLinux]
    [InlineData("1000", "1", "4096")]
    [InlineData("0", "8", "4096")]
    public void ReadsAsOftenAsItIsTold(params string[] arguments)
        => Assert.Equal((0, $"memorywalk {arguments[0]} touched\nmemorywalk {arguments[0]} done\n"), Run(MemoryWalk.Program, arguments));

    [OnLinux]
    [InlineData("many")]
    [InlineData("10", "3")]
    [InlineData("10", "0")]
    [InlineData("10", "99999999")]
    [InlineData("10", "4", "8192")]
    public void RefusesAreasThatCannotBe(params string[] arguments)
    {
        (int exitCode, string output) = Run(MemoryWalk.Program, arguments);
        Assert.Equal(2, exitCode);
        Assert.Contains("wrong arguments", output, StringComparison.Ordinal);
    }

    [OnLinux]
    [InlineData("nothing")]
    [InlineData("fibonacci")]
    [InlineData("fib", "many")]
    public void RefusesWhatItCannotCompute(params string[] arguments)
    {
        (int exitCode, string output) = Run(ComputeBenchmark.Program, arguments);
        Assert.Equal(2, exitCode);
        Assert.Contains("all, fib, sieve, matrix, hash or chase", output, StringComparison.Ordinal);
    }

    /// <summary>What the host's processor computes, an engine does, too, without an operating system.</summary>
    [OnLinux]
    [InlineData(EngineKind.Interpreter)]
    [InlineData(EngineKind.DecodedCache)]
    [InlineData(EngineKind.BinaryTranslation)]
    [InlineData(EngineKind.HardwareAssist)]
    public void ComputesTheSameWithoutLinux(EngineKind engine)
    {
        string image = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(image, ComputeBenchmark.Image);
            using var machine = new VirtualMachine(new MachineConfiguration { Name = "compute", Kernel = image, CommandLine = " all  2", MemorySize = 16 << 20, Engine = engine });
            machine.Start();
            Assert.True(machine.Wait(MachineState.Stopped, TimeSpan.FromMinutes(2), default));
            Assert.Equal(StopKind.PowerOff, machine.StopReason.Kind);
            Assert.Equal((0, machine.Console.Read(0)), Run(ComputeBenchmark.Program, "all", "2"));
        }
        finally
        {
            File.Delete(image);
        }
    }

    [QemuFact]
    public void ComputesUnderQemu()
        => Assert.Equal($"compute fib {3 * 17711:x16}\ncompute done\n", Qemu.RunOnSerialPort(ComputeBenchmark.Image, TimeSpan.FromMinutes(2), "-append", "fib 3"));

    [Fact]
    public void ComputesFibonacciNumbers()
    {
        Assert.Equal(["fib", "sieve", "matrix", "hash", "chase"], ComputeBenchmark.Names);
        string image = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(image, ComputeBenchmark.Image);
            using var machine = new VirtualMachine(new MachineConfiguration { Name = "compute", Kernel = image, CommandLine = "fib 3", MemorySize = 16 << 20 });
            machine.Start();
            Assert.True(machine.Wait(MachineState.Stopped, TimeSpan.FromMinutes(2), default));
            Assert.Equal($"compute fib {3 * 17711:x16}\ncompute done\n", machine.Console.Read(0));
        }
        finally
        {
            File.Delete(image);
        }
    }

    [Fact]
    public void TheProgramsAreOnTheirOwnRamDisks()
        => Assert.Equal(3, new[] { ForkWait.InitialRamDisk, MemoryWalk.InitialRamDisk, ComputeBenchmark.InitialRamDisk }.Select(Convert.ToBase64String).Distinct().Count());
}
