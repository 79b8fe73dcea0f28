<#
.SYNOPSIS
    Fetches Debian's kernels, hypervisor and firmware and makes an initial RAM disk, for guests to boot.
.DESCRIPTION
    Packages come through the apt client, which runs with folders of its own and changes nothing on the host. What cannot be
    had is skipped with a warning and a reason in guests.json. Images that are there already are kept.
.PARAMETER Force
    Fetch and make everything again, in the newest version.
#>
[CmdletBinding()]
param(
    # Where the images go.
    [string] $Destination,
    [switch] $Force
)

$ErrorActionPreference = 'Stop'
$root = [IO.Path]::GetDirectoryName($PSScriptRoot)
if (-not $Destination) { $Destination = [IO.Path]::Combine($root, 'artifacts', 'guests') }
$cache = [IO.Path]::Combine($Destination, '.cache')
$manifestPath = [IO.Path]::Combine($Destination, 'guests.json')

# An image: its name here, the architecture and package, a pattern where that is a metapackage that depends on the real one, and
# the file inside. The initial RAM disks are made of a file.
$images = @(
    @{ Name = 'vmlinuz-cloud-amd64'; Architecture = 'amd64'; Package = 'linux-image-cloud-amd64'; DependsOn = '^linux-image-\d.*-cloud-amd64$'; File = 'boot/vmlinuz-*' }
    @{ Name = 'vmlinuz-amd64'; Architecture = 'amd64'; Package = 'linux-image-amd64'; DependsOn = '^linux-image-\d.*-amd64$'; File = 'boot/vmlinuz-*' }
    @{ Name = 'vmlinuz-686'; Architecture = 'i386'; Package = 'linux-image-686'; DependsOn = '^linux-image-\d.*-686$'; File = 'boot/vmlinuz-*' }
    @{ Name = 'initramfs-amd64.cpio.gz'; Architecture = 'amd64'; Package = 'busybox-static'; File = 'bin/busybox'; InitialRamDisk = $true }
    @{ Name = 'initramfs-i386.cpio.gz'; Architecture = 'i386'; Package = 'busybox-static'; File = 'bin/busybox'; InitialRamDisk = $true }
    @{ Name = 'kvm-amd64.cpio.gz'; Architecture = 'amd64'; Package = 'linux-image-amd64'; DependsOn = '^linux-image-\d.*-amd64$'; KvmDisk = $true }
    @{ Name = 'xen'; Architecture = 'amd64'; Package = 'xen-system-amd64'; DependsOn = '^xen-hypervisor-\d.*-amd64$'; File = 'boot/xen-*-amd64.gz' }
    @{ Name = 'gnumach'; Architecture = 'i386'; Package = 'gnumach-image-1-486'; DependsOn = '^gnumach-image-\d\.\d+-486$'; File = 'boot/gnumach-*-486.gz' }
    @{ Name = 'bios.bin'; Architecture = 'amd64'; Package = 'seabios'; File = 'usr/share/seabios/bios.bin' }
    @{ Name = 'bios-256k.bin'; Architecture = 'amd64'; Package = 'seabios'; File = 'usr/share/seabios/bios-256k.bin' }
)

# Runs a program to its end in a folder and returns its output; throws with what it complained about if it fails.
function Invoke-Program([string] $Program, [string[]] $Arguments, [string] $Folder = $Destination, [switch] $IgnoreExitCode) {
    $start = [Diagnostics.ProcessStartInfo]::new($Program)
    $start.WorkingDirectory = $Folder
    $start.RedirectStandardOutput = $start.RedirectStandardError = $true
    $start.Environment['LC_ALL'] = 'C'
    foreach ($argument in $Arguments) { $start.ArgumentList.Add($argument) }
    try { $process = [Diagnostics.Process]::Start($start) }
    catch { throw "$Program cannot be run. Guest images need apt-get, apt-cache and dpkg-deb, the one for KVM gcc; run this on Debian or Ubuntu, or in a container of theirs." }
    $errors = $process.StandardError.ReadToEndAsync()
    $output = $process.StandardOutput.ReadToEnd()
    $process.WaitForExit()
    if ($process.ExitCode -ne 0 -and -not $IgnoreExitCode) {
        $complaint = @("$($errors.Result)`n$output" -split "`n" | Where-Object { $_ -match '^E:|error' }) + $errors.Result
        throw "$Program $($Arguments[-1]) ended with exit code $($process.ExitCode): $($complaint[0].Trim())"
    }
    $output
}

# The apt client for one architecture with state and cache of its own.
function Invoke-Apt([string] $Architecture, [string] $Program, [string[]] $Arguments, [string] $Folder = $Destination, [switch] $IgnoreExitCode) {
    $private = [IO.Path]::Combine($cache, $Architecture)
    $status = [IO.Path]::Combine($private, 'state', 'status')
    if (-not [IO.File]::Exists($status)) {
        foreach ($name in 'state/lists/partial', 'cache/archives/partial') { $null = [IO.Directory]::CreateDirectory([IO.Path]::Combine($private, $name)) }
        [IO.File]::WriteAllText($status, '')
    }
    $options = '-o', "APT::Architecture=$Architecture", '-o', "APT::Architectures=$Architecture", '-o', "Dir::State=$private/state",
        '-o', "Dir::State::status=$status", '-o', "Dir::Cache=$private/cache", '-o', 'APT::Sandbox::User=', '-q'
    Invoke-Program $Program ($options + $Arguments) $Folder -IgnoreExitCode:$IgnoreExitCode
}

# The package that an image comes from: the named one, or the one that it depends on in its newest version.
function Resolve-Package($Image) {
    if (-not $Image.DependsOn) { return $Image.Package }
    $listing = Invoke-Apt $Image.Architecture 'apt-cache' 'depends', $Image.Package
    foreach ($line in $listing -split "`n") {
        $name = ($line -replace '^\s*Depends:\s*').Trim()
        if ($name -match $Image.DependsOn) { return $name }
    }
    throw "package $($Image.Package) ($($Image.Architecture)) depends on nothing that matches $($Image.DependsOn)"
}

# Downloads a package; returns its version and file.
function Get-Package([string] $Architecture, [string] $Package) {
    $policy = Invoke-Apt $Architecture 'apt-cache' 'policy', $Package
    if ($policy -notmatch 'Candidate: (\d\S*)') { throw "apt offers no package $Package for $Architecture" }
    $version = $Matches[1]
    $folder = [IO.Path]::Combine($cache, $Architecture, "$($Package)_$($version -replace '[^\w.+~-]', '_')")
    $null = [IO.Directory]::CreateDirectory($folder)
    if ([IO.Directory]::GetFiles($folder, '*.deb').Count -eq 0) {
        $null = Invoke-Apt $Architecture 'apt-get' 'download', "$Package=$version" $folder
    }
    @{ Version = $version; File = [IO.Directory]::GetFiles($folder, '*.deb')[0] }
}

# Unpacks a package for as long as a script block reads it; the folder is its argument.
function Use-Package([string] $Archive, [scriptblock] $Reader) {
    $folder = [IO.Path]::Combine($cache, 'unpacked')
    try {
        $null = Invoke-Program 'dpkg-deb' '-x', $Archive, $folder
        & $Reader $folder
    }
    finally {
        if ([IO.Directory]::Exists($folder)) { [IO.Directory]::Delete($folder, $true) }
    }
}

# The contents of the one file in a package that a pattern such as boot/vmlinuz-* names.
function Read-PackageFile([string] $Archive, [string] $Pattern) {
    Use-Package $Archive {
        param($folder)
        $files = @([IO.Directory]::GetFiles([IO.Path]::Combine($folder, [IO.Path]::GetDirectoryName($Pattern)), [IO.Path]::GetFileName($Pattern)))
        if ($files.Count -eq 0) { throw "the package has no file $Pattern" }
        [Array]::Sort($files, [StringComparer]::Ordinal)
        , [IO.File]::ReadAllBytes($files[-1])
    }
}

# The guest tools' assembly: as loaded with the module, else built.
function Import-GuestTools {
    if ('X86Virt.Guests.CpioArchive' -as [type]) { return }
    $folder = [IO.Path]::Combine($cache, 'tools')
    $null = Invoke-Program 'dotnet' 'build', '-c', 'Release', '-v', 'q', '-nologo', '-o', $folder, ([IO.Path]::Combine($root, 'src', 'X86Virt.Guests')) $root
    $null = [Reflection.Assembly]::LoadFrom([IO.Path]::Combine($folder, 'X86Virt.Guests.dll'))
}

# A RAM disk of busybox, the init script and the test scripts.
function New-InitialRamDisk([byte[]] $BusyBox) {
    Import-GuestTools
    $parts = [IO.Path]::Combine($PSScriptRoot, 'guest')
    $archive = [X86Virt.Guests.CpioArchive]::new()
    foreach ($folder in 'bin', 'dev', 'proc', 'root', 'scripts', 'sys', 'tmp') { $archive.AddDirectory($folder) }
    $archive.AddDevice('dev/console', 5, 1)
    $archive.AddDevice('dev/null', 1, 3)
    $archive.AddProgram('bin/busybox', $BusyBox)
    $archive.AddLink('bin/sh', 'busybox')
    $archive.AddProgram('init', [IO.File]::ReadAllBytes([IO.Path]::Combine($parts, 'init')))
    $archive.AddProgram('scripts/selftest', [IO.File]::ReadAllBytes([IO.Path]::Combine($parts, 'selftest')))
    , $archive.ToGzip()
}

# What goes behind the RAM disk of a kernel for its KVM: the modules from its package, and a program that runs guests.
function New-KvmDisk([string] $Archive) {
    Import-GuestTools
    $parts = [IO.Path]::Combine($PSScriptRoot, 'guest')
    $program = [IO.Path]::Combine($cache, 'kvm')
    $null = Invoke-Program 'gcc' '-O1', '-static', '-no-pie', '-o', $program, ([IO.Path]::Combine($parts, 'kvm.c'))
    Use-Package $Archive {
        param($folder)
        $disk = [X86Virt.Guests.CpioArchive]::new()
        foreach ($name in 'kvm', 'scripts') { $disk.AddDirectory($name) }
        $modules = [IO.Path]::Combine($folder, 'lib', 'modules')
        foreach ($name in 'irqbypass', 'ccp', 'kvm', 'kvm-amd') {
            $files = [IO.Directory]::GetFiles($modules, "$name.ko", [IO.SearchOption]::AllDirectories)
            if ($files.Count -eq 0) { throw "the package has no module $name" }
            $disk.AddProgram("kvm/$name.ko", [IO.File]::ReadAllBytes($files[0]))
        }
        $disk.AddProgram('kvm/kvm', [IO.File]::ReadAllBytes($program))
        $disk.AddProgram('scripts/kvm', [IO.File]::ReadAllBytes([IO.Path]::Combine($parts, 'kvm')))
        , $disk.ToGzip()
    }
}

function Write-Manifest($Entries) {
    $array = [Text.Json.Nodes.JsonArray]::new()
    foreach ($entry in $Entries) {
        $node = [Text.Json.Nodes.JsonObject]::new()
        foreach ($key in $entry.Keys) { $node.Add($key, [Text.Json.Nodes.JsonValue]::Create([string] $entry[$key])) }
        $array.Add([Text.Json.Nodes.JsonNode] $node)
    }
    $options = [Text.Json.JsonSerializerOptions]::new()
    $options.WriteIndented = $true
    [IO.File]::WriteAllText($manifestPath, $array.ToJsonString($options) + "`n")
}

# What an earlier run made and is still there.
function Read-Manifest {
    $known = @{}
    if ([IO.File]::Exists($manifestPath)) {
        foreach ($node in [Text.Json.Nodes.JsonNode]::Parse([IO.File]::ReadAllText($manifestPath)).AsArray()) {
            $entry = [ordered]@{}
            foreach ($pair in $node.AsObject()) { $entry[$pair.Key] = $pair.Value.ToString() }
            if ($entry.path -and [IO.File]::Exists([IO.Path]::Combine($Destination, $entry.path))) { $known[$entry.name] = $entry }
        }
    }
    $known
}

$null = [IO.Directory]::CreateDirectory($Destination)
$known = if ($Force) { @{} } else { Read-Manifest }
$made = [IO.File]::GetLastWriteTimeUtc($manifestPath)
$partsChanged = @([IO.Directory]::GetFiles([IO.Path]::Combine($PSScriptRoot, 'guest')) | Where-Object { [IO.File]::GetLastWriteTimeUtc($_) -gt $made }).Count -ne 0
$updated = @{}
$entries = [Collections.Generic.List[object]]::new()
$step = 0
foreach ($image in $images) {
    Write-Progress -Activity 'Making guest images' -Status "$($image.Name) ($($image.Package), $($image.Architecture))" -PercentComplete ([int](100 * $step++ / $images.Count))
    if ($known[$image.Name] -and -not (($image.InitialRamDisk -or $image.KvmDisk) -and $partsChanged)) {
        $entries.Add($known[$image.Name])
        continue
    }
    $package = $image.Package
    try {
        if (-not $updated[$image.Architecture]) {
            # A mirror that is being updated fails for some of its indexes; the others are good enough.
            $null = Invoke-Apt $image.Architecture 'apt-get' @('update') -IgnoreExitCode
            $updated[$image.Architecture] = $true
        }
        $package = Resolve-Package $image
        $found = Get-Package $image.Architecture $package
        [byte[]] $content = if ($image.KvmDisk) { New-KvmDisk $found.File } else { Read-PackageFile $found.File $image.File }
        if ($image.InitialRamDisk) { $content = New-InitialRamDisk $content }
        [IO.File]::WriteAllBytes([IO.Path]::Combine($Destination, $image.Name), $content)
        $entry = [ordered]@{
            name = $image.Name; package = $package; architecture = $image.Architecture; version = $found.Version; path = $image.Name
            sha256 = [Convert]::ToHexString([Security.Cryptography.SHA256]::HashData($content)).ToLowerInvariant()
        }
    }
    catch {
        $entry = [ordered]@{ name = $image.Name; package = $package; architecture = $image.Architecture; skipped = $_.Exception.Message }
        Write-Warning "Guest image $($image.Name) is skipped: $($_.Exception.Message)"
    }
    $entries.Add($entry)
    Write-Manifest $entries
}
Write-Progress -Activity 'Making guest images' -Completed
Write-Manifest $entries
foreach ($entry in $entries) { [pscustomobject] $entry }
