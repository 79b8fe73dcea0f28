<#
.SYNOPSIS
    Compares the engines on single operations, a boot of Linux and forkwait, and writes a page with charts.
.DESCRIPTION
    build.ps1 Guests fetches Debian's cloud kernel and makes an initial RAM disk the first time. Where they cannot be had, the comparison is
    of single operations alone. Takes two minutes or so with the default engines.
.EXAMPLE
    ./compare-engines.ps1
    Writes comparison.html, and shows the charts as text.
.EXAMPLE
    ./compare-engines.ps1 -Path all.html -Engine Interpreter, DecodedCache, BinaryTranslation, HardwareAssist -Repeat 5
    Compares all engines, by medians of five runs.
#>
[CmdletBinding()]
param(
    # The page to write.
    [string] $Path = 'comparison.html',
    [string[]] $Engine = @('DecodedCache', 'BinaryTranslation', 'HardwareAssist'),
    # Each engine is run with those of these that it has.
    [string[]] $Paging = @('Shadow', 'Nested'),
    # Runs of each; the median counts.
    [ValidateRange(1, 1000)]
    [int] $Repeat = 3,
    # Forks of forkwait; 40000 in the paper.
    [ValidateRange(1, 1000000)]
    [int] $Forks = 1000
)

$ErrorActionPreference = 'Stop'
$root = [IO.Path]::GetDirectoryName($PSScriptRoot)
Import-Module ([IO.Path]::Combine($root, 'module', 'X86Virt.psd1'))

$guests = [IO.Path]::Combine($root, 'artifacts', 'guests')
$kernel = [IO.Path]::Combine($guests, 'vmlinuz-cloud-amd64')
$disk = [IO.Path]::Combine($guests, 'initramfs-amd64.cpio.gz')
if (-not ([IO.File]::Exists($kernel) -and [IO.File]::Exists($disk))) {
    try { $null = & ([IO.Path]::Combine($root, 'build', 'Guests.ps1')) }
    catch { Write-Warning "Linux cannot be had: $($_.Exception.Message)" }
}
$forkWait = [IO.Path]::Combine([IO.Path]::GetTempPath(), "forkwait-$PID.cpio.gz")

$results = @(
    Write-Progress -Activity 'Comparing engines' -Status 'Single operations' -PercentComplete 0
    foreach ($one in $Engine) {
        # With the way of paging that suits it best.
        Invoke-VMNanobenchmark -Engine $one -Repeat $Repeat
    }
    if ([IO.File]::Exists($kernel) -and [IO.File]::Exists($disk)) {
        $linux = @{ Kernel = $kernel; Engine = $Engine; Paging = $Paging; Repeat = $Repeat; NoReboot = $true; Timeout = 600 }
        Write-Progress -Activity 'Comparing engines' -Status 'Linux boots and switches the power off' -PercentComplete 30
        Compare-VMEngine @linux -InitialRamDisk $disk -CommandLine 'console=ttyS0 x86virt.action=poweroff'
        Write-Progress -Activity 'Comparing engines' -Status 'forkwait' -PercentComplete 70
        $null = Export-VMBenchmarkImage -Path $forkWait -Benchmark ForkWait
        try { Compare-VMEngine @linux -InitialRamDisk $forkWait -CommandLine "console=ttyS0 -- $Forks" }
        finally { [IO.File]::Delete($forkWait) }
    }
)
Write-Progress -Activity 'Comparing engines' -Completed
$results | Show-VMReport
($results | Export-VMReport -Path $Path -Title 'Engines compared').FullName
