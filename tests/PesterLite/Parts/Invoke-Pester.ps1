<#
.SYNOPSIS
Finds test files, runs them in two phases, discovery and run, and reports.
.PARAMETER Path
Files or folders; a folder gives every *.Tests.ps1 below it.
.PARAMETER CI
Writes testResults.xml and ends the session with the number of failures as exit code.
.PARAMETER Configuration
From New-PesterConfiguration, or a hashtable as it takes.
#>
function Invoke-Pester {
    [CmdletBinding(DefaultParameterSetName = 'Simple')]
    param (
        [Parameter(Position = 0, ParameterSetName = 'Simple')] [string[]] $Path = '.',
        [Parameter(ParameterSetName = 'Simple')] [string[]] $ExcludePath = @(),
        [Parameter(ParameterSetName = 'Simple')] [Alias('Tag', 'Tags')] [string[]] $TagFilter = @(),
        [Parameter(ParameterSetName = 'Simple')] [Alias('ExcludeTag')] [string[]] $ExcludeTagFilter = @(),
        [Parameter(ParameterSetName = 'Simple')] [Alias('Name')] [string[]] $FullNameFilter = @(),
        [Parameter(ParameterSetName = 'Simple')] [object[]] $Container = @(),
        [Parameter(ParameterSetName = 'Simple')] [ValidateSet('None', 'Normal', 'Detailed', 'Diagnostic')] [string] $Output = 'Normal',
        [Parameter(ParameterSetName = 'Simple')] [switch] $CI,
        [Parameter(ParameterSetName = 'Simple')] [switch] $PassThru,
        [Parameter(ParameterSetName = 'Advanced')] [object] $Configuration
    )

    if ($PSCmdlet.ParameterSetName -eq 'Simple') {
        $Configuration = @{
            Run        = @{ Path = $Path; ExcludePath = $ExcludePath; Container = $Container; PassThru = $PassThru; Exit = $CI }
            Filter     = @{ Tag = $TagFilter; ExcludeTag = $ExcludeTagFilter; FullName = $FullNameFilter }
            Output     = @{ Verbosity = $Output }
            TestResult = @{ Enabled = $CI }
        }
    }
    if ($Configuration -is [System.Collections.IDictionary]) { $Configuration = New-PesterConfiguration -Hashtable $Configuration }
    Assert-Configuration $Configuration

    $script:Run = @{
        Configuration = $Configuration
        SessionState  = $PSCmdlet.SessionState
        Binder        = New-ScopeBinder $PSCmdlet.SessionState
        Phase         = 'Discovery'
        CurrentBlock  = $null
        CurrentTest   = $null
        TestDrivePath = $null
        Indent        = 0
        Outer         = $script:Run
    }
    try { $result = Invoke-Run }
    finally { $script:Run = $script:Run.Outer }

    $options = $Configuration.Run
    if ($options.PassThru.Value) { $result }
    $failures = $result.FailedCount + $result.FailedBlocksCount + $result.FailedContainersCount
    if ($failures -eq 0) { return }
    if ($options.Throw.Value) { throw [System.Exception]::new("The test run failed: $(Get-FailureText $result).") }
    if ($options.Exit.Value) { exit $failures }
}

function Invoke-Run {
    $configuration = $script:Run.Configuration
    $clock = [System.Diagnostics.Stopwatch]::StartNew()

    $containers = @(Get-Container $configuration $script:Run.SessionState)
    if (-not $containers) { throw [System.IO.FileNotFoundException]::new("No test files were found below '$($configuration.Run.Path)'; they end in $($configuration.Run.TestExtension).") }
    Write-DiscoveryStart $containers
    foreach ($container in $containers) { Find-ContainerTest $container }
    Select-Test $containers $configuration.Filter
    Write-DiscoveryEnd $containers

    $script:Run.Phase = 'Run'
    foreach ($container in $containers) {
        if ($configuration.Run.SkipRun.Value) { Complete-Container $container } else { Invoke-Container $container }
    }

    $result = New-RunResult $containers $clock.Elapsed $configuration
    Write-RunEnd $result
    if ($configuration.TestResult.Enabled.Value) { Export-TestReport $result }
    $result
}
