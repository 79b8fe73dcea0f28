<#
.SYNOPSIS
    Boots Linux to a shell with a live console.
.DESCRIPTION
    Without -Kernel it boots Debian's cloud kernel with a small initial RAM disk; build.ps1 Guests fetches and makes them the first
    time. Where they cannot be had it boots the built-in guest instead.

    At a terminal the console is live: Ctrl-] leaves it, and the machine with it. Where input or output is redirected, the
    console's lines are written until the machine stops.
.EXAMPLE
    ./boot-linux.ps1
    Boots to a shell. 'exit' powers the machine off.
.EXAMPLE
    ./boot-linux.ps1 -Action script -Engine Interpreter
    Runs the guest's self-test on the plain interpreter and powers off.
.EXAMPLE
    ./boot-linux.ps1 -Kernel ./bzImage -InitialRamDisk ./initrd.gz -CommandLine 'console=ttyS0 quiet'
    Boots your own kernel.
.EXAMPLE
    $vm = ./boot-linux.ps1 -NoWait; Wait-VM $vm -ConsoleText 'X86VIRT-GUEST-READY' -Timeout 120
    Boots in the background and hands the machine over.
#>
[CmdletBinding()]
param(
    # A bzImage, or any other image that New-VirtualMachine takes for a kernel.
    [string] $Kernel,
    [string] $InitialRamDisk,
    # The kernel's command line. Default: console on the first serial line, and the action.
    [string] $CommandLine,
    [uint64] $Memory = 256MB,
    [ValidateSet('Interpreter', 'DecodedCache', 'BinaryTranslation')]
    [string] $Engine = 'BinaryTranslation',
    # What the initial RAM disk made here does when it is up. Default: a shell at a terminal, else power off.
    [ValidateSet('shell', 'poweroff', 'reboot', 'halt', 'script')]
    [string] $Action,
    # Guest time. Default: real time for a person at a console, else the deterministic virtual clock.
    [ValidateSet('Virtual', 'RealTime')]
    [string] $Clock,
    [string] $Name = 'linux',
    # Return the started machine instead of showing its console.
    [switch] $NoWait
)

$ErrorActionPreference = 'Stop'
$root = [IO.Path]::GetDirectoryName($PSScriptRoot)
if (-not (Get-Command New-VirtualMachine -ErrorAction Ignore)) {
    if (-not [IO.File]::Exists([IO.Path]::Combine($root, 'module', 'bin', 'X86Virt.PowerShell.dll'))) {
        Write-Progress -Activity 'Building X86Virt' -Status 'once'
        $null = & ([IO.Path]::Combine($root, 'build.ps1')) Build
        Write-Progress -Activity 'Building X86Virt' -Completed
    }
    Import-Module ([IO.Path]::Combine($root, 'module', 'X86Virt.psd1'))
}

$interactive = -not $NoWait -and -not [Console]::IsInputRedirected -and -not [Console]::IsOutputRedirected
if (-not $Clock) { $Clock = if ($interactive) { 'RealTime' } else { 'Virtual' } }
if (-not $Action) { $Action = if ($interactive -or $NoWait) { 'shell' } else { 'poweroff' } }
$builtIn = $false

if (-not $Kernel) {
    $guests = [IO.Path]::Combine($root, 'artifacts', 'guests')
    $Kernel = [IO.Path]::Combine($guests, 'vmlinuz-cloud-amd64')
    if (-not $InitialRamDisk) { $InitialRamDisk = [IO.Path]::Combine($guests, 'initramfs-amd64.cpio.gz') }
    if (-not [IO.File]::Exists($Kernel) -or -not [IO.File]::Exists($InitialRamDisk)) {
        try { $null = & ([IO.Path]::Combine($root, 'build.ps1')) Guests }
        catch { Write-Warning "The guests cannot be made: $($_.Exception.Message)" }
    }
    $builtIn = -not [IO.File]::Exists($Kernel) -or -not [IO.File]::Exists($InitialRamDisk)
    if (-not $CommandLine) { $CommandLine = "console=ttyS0 x86virt.action=$Action" }
}

if ($builtIn) {
    Write-Warning "Debian's kernel and busybox could not be had. This is the built-in guest instead: a monitor, not Linux."
    $null = [IO.Directory]::CreateDirectory($guests)
    $Kernel = [IO.Path]::Combine($guests, 'hello.bin')
    [IO.File]::WriteAllBytes($Kernel, [X86Virt.Guests.BuiltInGuest]::Hello.Image)
    $InitialRamDisk = $CommandLine = ''
}
elseif (-not $CommandLine) { $CommandLine = 'console=ttyS0' }

$machine = @{ Name = $Name; Memory = $Memory; Engine = $Engine; Clock = $Clock; Kernel = $Kernel }
if ($CommandLine) { $machine.CommandLine = $CommandLine }
if ($InitialRamDisk) { $machine.InitialRamDisk = $InitialRamDisk }
$vm = New-VirtualMachine @machine
if ($NoWait) {
    Start-VM -VM $vm
    return $vm
}

try {
    Start-VM -VM $vm
    if ($interactive) {
        Enter-VMConsole -VM $vm
        if ("$($vm.State)" -ne 'Stopped') { Stop-VM -VM $vm -Confirm:$false }
    }
    else {
        if ($builtIn) {
            Wait-VM -VM $vm -ConsoleText '> ' -Timeout 60
            Send-VMConsole -VM $vm -Text "help`npoweroff"
        }
        Receive-VMConsole -VM $vm -Follow
    }
    $vm
}
finally {
    Remove-VirtualMachine -VM $vm -Force -Confirm:$false
}
