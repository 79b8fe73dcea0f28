using System.Management.Automation;
using X86Virt.Engine;
using X86Virt.Guests;

namespace X86Virt.PowerShell;

/// <summary>Benchmarks that can be written to a file.</summary>
public enum BenchmarkImage
{
    /// <summary>A kernel that does one sensitive operation in each of its loops: a multiboot image.</summary>
    Nanobenchmark,

    /// <summary>A Linux program that forks and waits, on an initial RAM disk.</summary>
    ForkWait,

    /// <summary>A Linux program that reads memory all over a large area, on an initial RAM disk.</summary>
    MemoryWalk,

    /// <summary>A Linux program that only computes, on an initial RAM disk.</summary>
    Compute,

    /// <summary>The same without an operating system: a multiboot image.</summary>
    ComputeBare,

    /// <summary>A hypervisor with a guest of its own, for processors with SVM: a multiboot image.</summary>
    Hypervisor,
}

/// <summary>Writes a benchmark to a file, for use with any kernel, in other virtual machines and on real PCs.</summary>
/// <remarks>
/// <para>Nanobenchmark is a multiboot image: any multiboot loader starts it (QEMU with -kernel, GRUB with multiboot). It writes to the first serial port and turns the machine off, or halts. Its command line takes operations=a,b,c and iterations=n, and cycles=n to double the iterations of a loop until it takes that many, which is a million where neither is given; numbers are printed in hexadecimal, times in cycles of the time-stamp counter.</para>
/// <para>It is for processors with long mode; with -Bits 32 for 32-bit ones with PAE, SSE2, SYSENTER, a local APIC and the EFER register.</para>
/// <para>ForkWait is an initial RAM disk for a 64-bit Linux kernel, with one program as /init. It forks as many children as the kernel's command line says behind '--' (40000 unless given), one after the other, waits for each, prints 'forkwait N half' and 'forkwait N done', and turns the machine off. Behind the number of forks may stand the pages of memory that the parent has, how many of them each child writes to, and how many the parent between forks: 1000 64 64 64.</para>
/// <para>MemoryWalk is such a RAM disk, too. Behind '--' stand the reads to make (1000000), the MiB to read in (64), and the bytes of a page (4096; or 2097152, with hugepages=N in front of '--' to set N of them aside). Nearly every read misses the TLB where pages are small. It prints 'memorywalk N touched' when all pages have been touched and 'memorywalk N done' when all reads are made, and turns the machine off.</para>
/// <para>Compute is such a RAM disk with small programs that only compute: fib (recursion), sieve, matrix, hash (rotations and additions) and chase (loads that need one another). Behind '--' stand the program's name, or all, and the passes (10). Each prints its sum. ComputeBare is the same code without an operating system, a multiboot image whose command line has these arguments; it needs 16 MiB.</para>
/// <para>Hypervisor is a multiboot image, too, for a processor with SVM (New-VirtualMachine -Feature Svm; QEMU with -cpu qemu64,+svm,+npt). It enters its guest by VMRUN, with nested paging where there is some, prints 'exit CODE EXITINFO1 EXITINFO2' for each #VMEXIT of the first round and the number of all, in hexadecimal. Its command line takes the number of rounds (1). It needs 16 MiB.</para>
/// </remarks>
/// <example>
/// <code>Export-VMBenchmarkImage -Path nano.bin; New-VirtualMachine demo2 -Kernel ./nano.bin -CommandLine 'operations=syscall,in iterations=1000' | Start-VM -Wait -PassThru | Get-VMConsole</code>
/// <para>Writes the image and runs two of its operations. Elsewhere: qemu-system-x86_64 -display none -serial stdio -kernel nano.bin</para>
/// </example>
/// <example>
/// <code>Export-VMBenchmarkImage -Path nano32.bin -Bits 32</code>
/// <para>Writes the kernel in 32-bit code. Elsewhere: qemu-system-i386 -display none -serial stdio -kernel nano32.bin -append 'operations=in,cpuid cycles=100000000'</para>
/// </example>
/// <example>
/// <code>Export-VMBenchmarkImage -Path forkwait.cpio.gz -Benchmark ForkWait</code>
/// <para>Writes the RAM disk. Then: New-VirtualMachine forks -Kernel ./vmlinuz -InitialRamDisk ./forkwait.cpio.gz -CommandLine 'console=ttyS0 -- 1000' | Start-VM -Wait</para>
/// </example>
/// <example>
/// <code>Export-VMBenchmarkImage -Path tools.cpio.gz -Benchmark ForkWait -InitialRamDisk ./initrd.gz</code>
/// <para>Adds the program to a RAM disk with a shell, in which '/forkwait 1000' runs it.</para>
/// </example>
/// <example>
/// <code>Export-VMBenchmarkImage -Path compute.bin -Benchmark ComputeBare; Compare-VMEngine -Kernel ./compute.bin -CommandLine 'sieve 100' -Engine BinaryTranslation, HardwareAssist</code>
/// <para>Compares two engines on code that needs no monitor.</para>
/// </example>
/// <example>
/// <code>Export-VMBenchmarkImage -Path hypervisor.bin -Benchmark Hypervisor; New-VirtualMachine demo2 -Kernel ./hypervisor.bin -Memory 16MB -Feature Svm -Engine HardwareAssist | Start-VM -Wait; Get-VMConsole demo2; Get-VmExit demo2 | Format-Table Level, Reason, Disassembly, Detail</code>
/// <para>Runs a hypervisor under the hardware VMM, and shows what it was told of its guest beside the exits of both.</para>
/// </example>
[Cmdlet(VerbsData.Export, "VMBenchmarkImage", SupportsShouldProcess = true)]
[OutputType(typeof(FileInfo))]
public sealed class ExportVMBenchmarkImage : PSCmdlet
{
    /// <summary>The file to write.</summary>
    [Parameter(Mandatory = true, Position = 0)]
    [ValidateNotNullOrEmpty]
    public string Path { get; set; } = "";

    /// <summary>Which benchmark; Nanobenchmark unless given.</summary>
    [Parameter(Position = 1)]
    public BenchmarkImage Benchmark { get; set; }

    /// <summary>Nanobenchmark: the size of its words, 32 or 64; 64 unless given.</summary>
    [Parameter]
    [ValidateSet("32", "64")]
    public int Bits { get; set; } = 64;

    /// <summary>ForkWait, MemoryWalk and Compute: an initial RAM disk (a cpio archive, compressed or not) to which the program is added, as /forkwait, /memorywalk or /compute, instead of making one with nothing else on it.</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    public string? InitialRamDisk { get; set; }

    /// <summary>The Linux program of the benchmark; null if it is none.</summary>
    private byte[]? Program => Benchmark switch
    {
        BenchmarkImage.ForkWait => ForkWait.Program,
        BenchmarkImage.MemoryWalk => MemoryWalk.Program,
        BenchmarkImage.Compute => ComputeBenchmark.Program,
        _ => null,
    };

    /// <inheritdoc/>
    protected override void BeginProcessing()
    {
        if (InitialRamDisk != null && Program == null)
            ThrowTerminatingError(ErrorRecords.From(new MachineException("NoSuchImage", $"{Benchmark} is no Linux program to add to a RAM disk. Leave out -InitialRamDisk, or choose ForkWait, MemoryWalk or Compute."), Benchmark));
        if (Bits != 64 && Benchmark != BenchmarkImage.Nanobenchmark)
            ThrowTerminatingError(ErrorRecords.From(new MachineException("NoSuchImage", $"{Benchmark} is there in 64-bit code only, not in {Bits} bits. Leave out -Bits, or choose Nanobenchmark."), Benchmark));
    }

    /// <inheritdoc/>
    protected override void ProcessRecord()
    {
        string path = SessionState.Path.GetUnresolvedProviderPathFromPSPath(Path);
        if (!ShouldProcess(path))
            return;
        try
        {
            File.WriteAllBytes(path, Benchmark switch
            {
                _ when InitialRamDisk != null => AddedTo(SessionState.Path.GetUnresolvedProviderPathFromPSPath(InitialRamDisk)),
                BenchmarkImage.ForkWait => ForkWait.InitialRamDisk,
                BenchmarkImage.MemoryWalk => MemoryWalk.InitialRamDisk,
                BenchmarkImage.Compute => ComputeBenchmark.InitialRamDisk,
                BenchmarkImage.ComputeBare => ComputeBenchmark.Image,
                BenchmarkImage.Hypervisor => HypervisorGuest.Image,
                _ => NanobenchmarkImage.Of(Bits).Image,
            });
            WriteObject(new FileInfo(path));
        }
        catch (MachineException e)
        {
            WriteError(ErrorRecords.From(e, InitialRamDisk));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            var error = new MachineException("FileNotWritten", $"{path}: the file cannot be written ({e.Message}). Check the path and its permissions.");
            WriteError(ErrorRecords.From(error, path));
        }
    }

    private byte[] AddedTo(string ramDisk)
    {
        byte[] content;
        try
        {
            content = File.ReadAllBytes(ramDisk);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new MachineException("ImageUnreadable", $"{ramDisk}: the file cannot be read ({e.Message}). Check the path and its permissions.");
        }
        var archive = new CpioArchive();
        archive.AddProgram(Benchmark.ToString().ToLowerInvariant(), Program!);
        return archive.AppendTo(content);
    }
}
