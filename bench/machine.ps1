<#
.SYNOPSIS
    Starts one machine for the benchmark program, which measures this process from outside.
.DESCRIPTION
    Says "loaded", "up MILLISECONDS" (processor time from New-VirtualMachine until the machine runs), "marker INSTRUCTIONS" when the
    guest has written what it is to write, and "ended INSTRUCTIONS". It waits for a line on its input after each of the first three.
#>
[CmdletBinding()]
param(
    [Parameter(Mandatory)] [string] $Engine,
    [Parameter(Mandatory)] [string] $Kernel,
    [string] $InitialRamDisk,
    [string] $Paging,
    [string] $CommandLine,
    [string] $Memory = '256MB',
    # A regular expression that the guest's console is to match.
    [Parameter(Mandatory)] [string] $Marker
)

function Write-Step([string] $Text) {
    [Console]::Out.WriteLine($Text)
    [Console]::Out.Flush()
    if ($Text -notlike 'ended*') { $null = [Console]::In.ReadLine() }
}

$null = Get-VirtualMachine
Write-Step 'loaded'
$settings = @{ Name = 'bench'; Engine = $Engine; Kernel = $Kernel; CommandLine = $CommandLine; Memory = $Memory }
if ($Paging) { $settings.Paging = $Paging }
if ($InitialRamDisk) { $settings.InitialRamDisk = $InitialRamDisk }
$before = [Environment]::CpuUsage.TotalTime
$machine = New-VirtualMachine @settings
Start-VM -VM $machine
$up = ([Environment]::CpuUsage.TotalTime - $before).TotalMilliseconds
Write-Step "up $($up.ToString([Globalization.CultureInfo]::InvariantCulture))"
$null = Wait-VM -VM $machine -ConsoleText $Marker -Timeout 600
Write-Step "marker $($machine.InstructionsRetired)"
$null = Wait-VM -VM $machine -State Stopped -Timeout 600
Write-Step "ended $($machine.InstructionsRetired)"
