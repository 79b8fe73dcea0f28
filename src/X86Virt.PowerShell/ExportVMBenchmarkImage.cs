using System.Management.Automation;
using X86Virt.Engine;
using X86Virt.Guests;

namespace X86Virt.PowerShell;

/// <summary>Writes the nanobenchmark kernel to a file, for use in other virtual machines and on real PCs.</summary>
/// <remarks>
/// <para>A multiboot image: any multiboot loader starts it (QEMU with -kernel, GRUB with multiboot). It writes to the first serial port and turns the machine off, or halts. Its command line takes operations=a,b,c and iterations=n; numbers are printed in hexadecimal, times in cycles of the time-stamp counter.</para>
/// </remarks>
/// <example>
/// <code>Export-VMBenchmarkImage -Path nano.bin; New-VirtualMachine demo2 -Kernel ./nano.bin -CommandLine 'operations=syscall,in iterations=1000' | Start-VM -Wait -PassThru | Get-VMConsole</code>
/// <para>Writes the image and runs two of its operations. Elsewhere: qemu-system-x86_64 -display none -serial stdio -kernel nano.bin</para>
/// </example>
[Cmdlet(VerbsData.Export, "VMBenchmarkImage", SupportsShouldProcess = true)]
[OutputType(typeof(FileInfo))]
public sealed class ExportVMBenchmarkImage : PSCmdlet
{
    /// <summary>The file to write.</summary>
    [Parameter(Mandatory = true, Position = 0)]
    [ValidateNotNullOrEmpty]
    public string Path { get; set; } = "";

    /// <inheritdoc/>
    protected override void ProcessRecord()
    {
        string path = SessionState.Path.GetUnresolvedProviderPathFromPSPath(Path);
        if (!ShouldProcess(path))
            return;
        try
        {
            File.WriteAllBytes(path, BuiltInGuest.Nanobenchmark.Image);
            WriteObject(new FileInfo(path));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            var error = new MachineException("FileNotWritten", $"{path}: the file cannot be written ({e.Message}). Check the path and its permissions.");
            WriteError(ErrorRecords.From(error, path));
        }
    }
}
