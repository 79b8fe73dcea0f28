<#
.SYNOPSIS
    Does again what Adams and Agesen's paper (ASPLOS 2006) measured, and puts the published figures beside what comes of it.
.DESCRIPTION
    The worked example of the translator, the nanobenchmarks, direct execution, exits by generations of hardware; and under Linux forkwait, the overheads of a boot,
    nested and shadow paging with a large working set, and the hybrid VMM. build.ps1 Guests fetches Debian's cloud kernel the first time; where it cannot be had, what
    needs it is skipped and named. Takes a minute on two idle cores. docs/paper.md goes through the output.

    Writes a page with charts, a picture of each, and a summary as text.
.EXAMPLE
    ./paper.ps1
    Writes paper.html, paper-1.png, paper-2.png ... and paper.txt.
.EXAMPLE
    ./paper.ps1 -Path /tmp/all.html -Forks 4000
    The same with more forks, elsewhere.
#>
[CmdletBinding()]
param(
    # The page to write; pictures and summary go beside it.
    [ValidateNotNullOrEmpty()]
    [string] $Path = 'paper.html',
    # Forks of forkwait, of which half are counted; 40000 in the paper.
    [ValidateRange(2, 1000000)]
    [int] $Forks = 400
)

$ErrorActionPreference = 'Stop'
$root = [IO.Path]::GetDirectoryName($PSScriptRoot)
if (-not (Get-Command New-VirtualMachine -ErrorAction Ignore)) {
    if (-not [IO.File]::Exists([IO.Path]::Combine($root, 'module', 'bin', 'X86Virt.PowerShell.dll'))) {
        $null = & ([IO.Path]::Combine($root, 'build.ps1')) Build
    }
    Import-Module ([IO.Path]::Combine($root, 'module', 'X86Virt.psd1'))
}

$activity = 'The paper again'
$parts = 8
$part = 0
$clock = [Diagnostics.Stopwatch]::StartNew()
$summary = [Collections.Generic.List[string]]::new()
$results = [Collections.Generic.List[object]]::new()
$page = $ExecutionContext.SessionState.Path.GetUnresolvedProviderPathFromPSPath($Path)
$folder = [IO.Path]::Combine([IO.Path]::GetTempPath(), ('paper-{0:d10}' -f $PID))
$null = [IO.Directory]::CreateDirectory($folder)

# Lines of the summary, which are shown as they come.
function Add-Line([string[]] $Lines) {
    foreach ($line in $Lines) {
        $summary.Add($line)
        $line
    }
}

function Add-Table($Objects, [object[]] $Property) {
    Add-Line (($Objects | Format-Table $Property | Out-String -Width 120).TrimEnd() -split "`r?`n")
    Add-Line ''
}

function Start-Part([string] $Title) {
    $script:part++
    Write-Progress -Activity $activity -Status $Title -PercentComplete (100 * ($part - 1) / $parts)
    Add-Line "== $part of ${parts}: $Title   ($([int]$clock.Elapsed.TotalSeconds) s)"
}

function Save-Image([string] $Name, [string] $Benchmark) {
    (Export-VMBenchmarkImage -Path ([IO.Path]::Combine($folder, $Name)) -Benchmark $Benchmark).FullName
}

# Refills of the TLB are not counted by HardwareAssist; without them engines can be compared.
function Measure-Cycles($Measurement, [string] $Technique, [switch] $WithRefills) {
    $sum = 0.0
    foreach ($cost in Get-VMCost -Measurement $Measurement -Technique $Technique) { if ($WithRefills -or $cost.Event -ne 'TlbMiss') { $sum += $cost.Cycles } }
    $sum
}

# Events of one kind, and of one detail if that is given.
function Measure-Count($Measurement, [string] $Kind, [string] $Detail = '*') {
    $sum = 0
    foreach ($exit in $Measurement.Exits) { if ($exit.Kind -eq $Kind -and $exit.Detail -like $Detail) { $sum += $exit.Count } }
    $sum
}

function Limit([double] $Value, [int] $Digits = 3) { [Math]::Round($Value, $Digits) }

# A column of a table, its numbers with so many digits behind the point.
function Column([string] $Name, [int] $Digits, [string] $Property = $Name) {
    @{ Name = $Name; Expression = [scriptblock]::Create("if (`$null -ne `$_.$Property) { '{0:N$Digits}' -f `$_.$Property }"); Alignment = 'Right' }
}

try {
    $guests = [IO.Path]::Combine($root, 'artifacts', 'guests')
    $kernel = [IO.Path]::Combine($guests, 'vmlinuz-cloud-amd64')
    $disk = [IO.Path]::Combine($guests, 'initramfs-amd64.cpio.gz')
    $missing = ''
    if (-not ([IO.File]::Exists($kernel) -and [IO.File]::Exists($disk))) {
        Write-Progress -Activity $activity -Status 'Fetching a Linux kernel' -PercentComplete 0
        try { $null = & ([IO.Path]::Combine($root, 'build', 'Guests.ps1')) }
        catch { $missing = $_.Exception.Message }
        if (-not $missing -and -not ([IO.File]::Exists($kernel) -and [IO.File]::Exists($disk))) { $missing = 'build.ps1 Guests could not fetch it' }
    }
    $linux = @{ Kernel = $kernel; NoReboot = $true; Timeout = 600 }

    Start-Part 'isPrime(49), the worked example: translation units and compiled code fragments'
    $guest = [X86Virt.Guests.BuiltInGuest]::IsPrime(49)
    $image = [IO.Path]::Combine($folder, 'isprime.bin')
    [IO.File]::WriteAllBytes($image, $guest.Image)
    $vm = New-VirtualMachine -FlatBinary $image -LoadAddress $guest.LoadAddress -BootMode Long -Memory 16MB -Engine BinaryTranslation -TranslationUnitLimit 12
    try {
        Start-VM $vm -Wait
        $units = @(Get-TranslationUnit $vm | Where-Object { $_.Address -ge $guest.Symbols['isPrime'] })
    }
    finally { Remove-VirtualMachine $vm -Force -Confirm:$false }
    $links = @($units | ForEach-Object { $_.LinksOut })
    $count = { param($kind) @($links | Where-Object { $_.Kind -eq $kind }).Count }
    $fragments = @(
        [pscustomobject]@{ PSTypeName = 'isPrime(49)'; What = 'compiled code fragments'; Here = $units.Count; Published = 4 }
        [pscustomobject]@{ PSTypeName = 'isPrime(49)'; What = 'continuations left'; Here = & $count 'Continuation'; Published = 2 }
        [pscustomobject]@{ PSTypeName = 'isPrime(49)'; What = 'became fall-through'; Here = & $count 'FallThrough'; Published = 2 }
        [pscustomobject]@{ PSTypeName = 'isPrime(49)'; What = 'became a jump to nexti'; Here = @($links | Where-Object { $_.Kind -eq 'Chained' -and $_.Target -eq $guest.Symbols['nexti'] }).Count; Published = 1 }
    )
    $fragments | ForEach-Object { $results.Add($_) }
    Add-Table $fragments What, Here, Published

    Start-Part 'Nanobenchmarks, cycles of a Pentium 4 672'
    $nanobenchmarks = @(Compare-VMNanobenchmark)
    $nanobenchmarks | ForEach-Object { $results.Add($_) }
    Add-Table $nanobenchmarks Operation, Technique, (Column Predicted 0), (Column Published 0), (Column Ratio 2), Kind

    Start-Part 'Direct execution: code that needs no monitor'
    $image = Save-Image 'compute.bin' ComputeBare
    $programs = @(foreach ($name in [X86Virt.Guests.ComputeBenchmark]::Names) {
        $translated, $assisted = Compare-VMEngine -Kernel $image -CommandLine "$name 200" -Memory 16MB -Engine BinaryTranslation, HardwareAssist
        [pscustomobject]@{
            PSTypeName = 'Direct execution'; Program = $name; Under = 'nothing'; Instructions = $translated.Instructions; TranslatedSeconds = Limit $translated.Seconds; AssistedSeconds = Limit $assisted.Seconds
            SoftwareVmm = Limit ((Measure-Cycles $translated SoftwareVmm) / (Measure-Cycles $translated Native)); HardwareVmm = Limit ((Measure-Cycles $assisted HardwareVmm) / (Measure-Cycles $assisted Native))
        }
    })
    if (-not $missing) {
        # In user mode; what is before the end of the first program, the boot among others, is taken off.
        $ram = Save-Image 'compute.cpio.gz' Compute
        $compute = $linux + @{ InitialRamDisk = $ram; CommandLine = 'console=ttyS0 -- all 200'; Paging = 'Shadow' }
        $runs = foreach ($engine in 'BinaryTranslation', 'HardwareAssist') { foreach ($mark in 'fib', 'done') { Compare-VMEngine @compute -Engine $engine -Until "^compute $mark" } }
        $less = { param($technique, $first) (Measure-Cycles $runs[$first + 1] $technique) - (Measure-Cycles $runs[$first] $technique) }
        $programs += [pscustomobject]@{
            PSTypeName = 'Direct execution'; Program = 'sieve to chase'; Under = 'Linux'; Instructions = $runs[1].Instructions - $runs[0].Instructions
            TranslatedSeconds = $null; AssistedSeconds = $null
            SoftwareVmm = Limit ((& $less SoftwareVmm 0) / (& $less Native 0)); HardwareVmm = Limit ((& $less HardwareVmm 2) / (& $less Native 2))
        }
    }
    $programs | ForEach-Object { $results.Add($_) }
    Add-Line 'Modelled time as a multiple of the bare processor''s; published for SPECint 2000: 1.04 (software), 1.05 (hardware). Seconds are those of this host, where both engines'' guests are translated.'
    Add-Table $programs Program, Under, (Column Instructions 0), (Column SoftwareVmm 3), (Column HardwareVmm 3), (Column TranslatedSeconds 2), (Column AssistedSeconds 2)

    Start-Part "forkwait, $Forks forks scaled to 40000, seconds"
    if ($missing) { Add-Line "skipped: no Linux kernel ($missing)", '' }
    else {
        $forkWait = @(Compare-VMForkWait -Kernel $kernel -Forks $Forks -Timeout 600)
        $forkWait | ForEach-Object { $results.Add($_) }
        Add-Table $forkWait Row, Technique, (Column Predicted 2), (Column Published 2), (Column Ratio 2), Kind
    }

    Start-Part 'Boot and halt: overhead by source, seconds of a Pentium 4 672'
    $boots = @()
    if ($missing) { Add-Line "skipped: no Linux kernel ($missing)", '' }
    else {
        $boots = @(Compare-VMEngine @linux -InitialRamDisk $disk -CommandLine 'console=ttyS0 x86virt.action=poweroff' -Engine BinaryTranslation, HardwareAssist, Hybrid -Paging Shadow, Nested)
        $boots | ForEach-Object { $results.Add($_) }
        $overheads = @($boots | Where-Object { $_.Engine -ne 'Hybrid' -and $_.Paging -eq 'Shadow' } | Compare-VMBootOverhead)
        $overheads | ForEach-Object { $results.Add($_) }
        Add-Line 'Published: 64-bit Windows XP, read off the plot. Here: Debian''s cloud kernel.'
        Add-Table $overheads Row, Technique, (Column Here 3 Predicted), (Column Published 2)
    }

    Start-Part 'A large working set: shadow and nested paging, pages of 4 KiB and of 2 MiB'
    if ($missing) { Add-Line "skipped: no Linux kernel ($missing)", '' }
    else {
        $ram = Save-Image 'memorywalk.cpio.gz' MemoryWalk
        $reads = 2000000
        $walks = foreach ($size in 4096, 2097152) {
            # With shadow page tables a miss is a walk of as many references as there are levels; the translator counts them, hardware assist those of walks in two dimensions.
            foreach ($paging in 'Shadow', 'Nested') {
                $engine = if ($paging -eq 'Nested') { 'HardwareAssist' } else { 'BinaryTranslation' }
                # The boot and the first touch of each page are in both, and taken off.
                $walk = $linux + @{ InitialRamDisk = $ram; CommandLine = "console=ttyS0 hugepages=32 -- $reads 64 $size"; Engine = $engine; Paging = $paging }
                $touched = Compare-VMEngine @walk -Until '^memorywalk \d+ touched'
                $all = Compare-VMEngine @walk -Until '^memorywalk \d+ done'
                $each = { param($kind, $detail = '*') ((Measure-Count $all $kind $detail) - (Measure-Count $touched $kind $detail)) / $reads }
                $levels = if ($size -eq 4096) { 4 } else { 3 }
                $misses, $references = if ($paging -eq 'Nested') { (& $each NestedPaging 'guest walk'), (& $each NestedPaging 'reference') } else { (& $each HiddenPageFault 'refill'), ($levels * (& $each HiddenPageFault 'refill')) }
                [pscustomobject]@{
                    PSTypeName = 'A large working set, for each read'; Page = $size; Paging = $paging; FaultsOfTouching = Measure-Count $touched Exception '#PF*'
                    TlbMisses = Limit $misses; References = Limit $references
                    ModelledCycles = Limit (((Measure-Cycles $all HardwareVmm -WithRefills) - (Measure-Cycles $touched HardwareVmm -WithRefills)) / $reads) 1
                }
            }
        }
        $walks | ForEach-Object { $results.Add($_) }
        Add-Line "For each of $reads reads all over 64 MiB, under a hardware VMM (Pentium 4 672)"
        Add-Table $walks Page, Paging, (Column FaultsOfTouching 0), (Column TlbMisses 3), (Column References 3), (Column ModelledCycles 1)
    }

    Start-Part 'The hybrid VMM, seconds of each processor'
    $image = Save-Image 'nano.bin' Nanobenchmark
    $phases = 'operations=syscall,in,pteset,callret,pteclear,divzero iterations=100000'
    $hybrid = @(foreach ($profile in 'Pentium4-672', 'Core2') {
        $runs = @(Compare-VMEngine -Kernel $image -CommandLine $phases -Memory 16MB -NoReboot -Engine BinaryTranslation, HardwareAssist, Hybrid -Paging Shadow -CostProfile $profile)
        [pscustomobject]@{ PSTypeName = 'Hybrid'; Guest = 'phases'; Profile = $profile; SoftwareVmm = Limit $runs[0].ModelledSeconds; HardwareVmm = Limit $runs[1].ModelledSeconds; Hybrid = Limit $runs[2].ModelledSeconds; Changes = $runs[2].Hybrid.Switches }
    })
    if ($boots) {
        $runs = @($boots | Where-Object Paging -EQ Shadow)
        $hybrid += [pscustomobject]@{ PSTypeName = 'Hybrid'; Guest = 'boot and halt'; Profile = 'Pentium4-672'; SoftwareVmm = Limit $runs[0].ModelledSeconds; HardwareVmm = Limit $runs[1].ModelledSeconds; Hybrid = Limit $runs[2].ModelledSeconds; Changes = $runs[2].Hybrid.Switches }
    }
    $hybrid | ForEach-Object { $results.Add($_) }
    Add-Table $hybrid Guest, Profile, (Column SoftwareVmm 3), (Column HardwareVmm 3), (Column Hybrid 3), Changes

    Start-Part 'Exits by generations of hardware: published round trips, exits counted here'
    # Agesen et al., USENIX ATC 2012.
    $roundTrips = [ordered]@{ Prescott = 3963; Merom = 1579; Penryn = 1266; Nehalem = 1009; Westmere = 761; 'Sandy Bridge' = 784 }
    $exits = @{}
    foreach ($boot in $boots) { if ($boot.Engine -eq 'HardwareAssist') { $exits["$($boot.Paging)"] = Measure-Count $boot GuestExit } }
    $generations = foreach ($name in $roundTrips.Keys) {
        $row = [ordered]@{ PSTypeName = 'Exits by generation'; Generation = $name; RoundTrip = $roundTrips[$name] }
        foreach ($paging in 'Shadow', 'Nested') { if ($exits.ContainsKey($paging)) { $row["Boot$paging"] = Limit ($exits[$paging] * $roundTrips[$name] / 1e6) 0 } }
        [pscustomobject]$row
    }
    $generations | ForEach-Object { $results.Add($_) }
    if ($exits.Count) { Add-Line "Million cycles of a boot for $($exits['Shadow']) exits with shadow and $($exits['Nested']) with nested paging, the monitor's own work apart." }
    Add-Table $generations Generation, (Column RoundTrip 0), (Column BootShadow 0), (Column BootNested 0)

    Write-Progress -Activity $activity -Status 'Writing the page' -PercentComplete 99
    $files = @($results | Export-VMReport -Path $page -Title 'A comparison of software and hardware techniques, again' -Png)
    $text = [IO.Path]::ChangeExtension($page, '.txt')
    Add-Line "$($files[0].FullName), $($files.Count - 1) pictures and $text in $([int]$clock.Elapsed.TotalSeconds) s"
    [IO.File]::WriteAllLines($text, $summary)
}
finally {
    Write-Progress -Activity $activity -Completed
    [IO.Directory]::Delete($folder, $true)
}
