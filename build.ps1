<#
.SYNOPSIS
    Builds, tests and packages X86Virt.
.EXAMPLE
    ./x86virt build.ps1 Test
    Builds everything and runs all tests; the last line is the sum.
.EXAMPLE
    ./x86virt build.ps1 Test -Filter Platform
    Runs the tests whose full names contain 'Platform'.
#>
[CmdletBinding()]
param(
    # Build: compile all. Test: compile, run all tests. Bench: measure against the peers. Guests: fetch and make guests.
    # Package: a module folder and archive to install elsewhere. Clean: remove what was built.
    [Parameter(Position = 0)]
    [ValidateSet('Build', 'Test', 'Bench', 'Guests', 'Package', 'Clean')]
    [string[]] $Task = 'Build',
    # Test: only tests whose full names contain this.
    [string] $Filter,
    # Test: those that take minutes too.
    [switch] $All,
    # Bench: engines to measure; DecodedCache and BinaryTranslation if not given, for the suites virtualization and linux BinaryTranslation and HardwareAssist.
    [ValidateSet('Interpreter', 'DecodedCache', 'BinaryTranslation', 'HardwareAssist', 'Hybrid')]
    [string[]] $Engine,
    # Bench: what HardwareAssist is measured with; both if not given.
    [ValidateSet('Nested', 'Shadow')]
    [string[]] $Paging,
    # Bench: only kernels of these names, which may have wildcards.
    [string[]] $Kernel,
    # Bench: only these suites.
    [ValidateSet('compute', 'system', 'virtualization', 'hybrid', 'linux', 'startup', 'boot')]
    [string[]] $Suite,
    # Bench: runs of each, in turns.
    [ValidateRange(1, 1000)]
    [int] $Repeat,
    # Bench: whom to compare with.
    [ValidateSet('qemu', 'none')]
    [string] $Peer,
    # Guests: fetch again what is there.
    [switch] $Force
)

$ErrorActionPreference = 'Stop'
$env:DOTNET_NOLOGO = $env:DOTNET_CLI_TELEMETRY_OPTOUT = '1'
$root = $PSScriptRoot

# Runs dotnet and throws if it fails.
function Invoke-DotNet {
    & dotnet @args
    if ($LASTEXITCODE -ne 0) { throw "dotnet $($args -join ' ') ended with exit code $LASTEXITCODE." }
}

foreach ($name in $Task) {
    $script = [IO.Path]::Combine($root, 'build', 'tasks', "$name.ps1")
    . $script
}
