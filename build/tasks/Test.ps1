# Builds, then runs the test projects and the acceptance tests; the last line is the sum of both.
$sum = @{ Passed = 0; Failed = 0; Skipped = 0 }
$results = [IO.Path]::Combine($root, 'artifacts', 'test-results')
$null = [IO.Directory]::CreateDirectory($results)

. ([IO.Path]::Combine($root, 'build', 'tasks', 'Build.ps1'))

# Debian's kernels are wanted by some tests, which skip by name without them.
try { & ([IO.Path]::Combine($root, 'build', 'Guests.ps1')) | Out-Null }
catch { Write-Warning "The guests cannot be made, and tests that need them will be skipped: $($_.Exception.Message)" }

foreach ($project in [IO.Directory]::GetFiles([IO.Path]::Combine($root, 'tests'), '*.Tests.csproj', 'AllDirectories')) {
    $trx = [IO.Path]::Combine($results, [IO.Path]::GetFileNameWithoutExtension($project) + '.trx')
    if ([IO.File]::Exists($trx)) { [IO.File]::Delete($trx) }
    $arguments = @('test', $project, '-c', 'Release', '--no-build', '--nologo', '-v', 'q', '--logger', "trx;LogFileName=$trx")
    if ($Filter) { $arguments += @('--filter', "FullyQualifiedName~$Filter") }
    & dotnet @arguments
    if (-not [IO.File]::Exists($trx)) {
        Write-Warning "The tests of '$project' did not run."
        $sum.Failed++
        continue
    }
    $counters = ([xml][IO.File]::ReadAllText($trx)).TestRun.ResultSummary.Counters
    $sum.Passed += [int]$counters.passed
    $sum.Failed += [int]$counters.failed + [int]$counters.error + [int]$counters.timeout + [int]$counters.aborted
    $sum.Skipped += [int]$counters.notExecuted
    if ([int]$counters.total -gt [int]$counters.executed) { $sum.Skipped += [int]$counters.total - [int]$counters.executed - [int]$counters.notExecuted }
}

# Pester where it is installed, else the runner that stands in for it.
$pester = Get-Module Pester -ListAvailable | Where-Object { $_.Version -ge [version]'5.7' } | ForEach-Object { $_ }
if ($pester) { Import-Module Pester -MinimumVersion 5.7 }
else { Import-Module ([IO.Path]::Combine($root, 'tests', 'PesterLite', 'PesterLite.psd1')) }
$folders = @('tests/Pester', 'tests/PesterLite/Tests') | ForEach-Object { [IO.Path]::Combine($root, $_) } | Where-Object { [IO.Directory]::Exists($_) }
$configuration = New-PesterConfiguration
$configuration.Run.Path = @($folders)
$configuration.Run.PassThru = $true
$configuration.Output.Verbosity = 'Normal'
$configuration.TestResult.Enabled = $true
$configuration.TestResult.OutputPath = [IO.Path]::Combine($results, 'Pester.xml')
if ($Filter) { $configuration.Filter.FullName = "*$Filter*" }
if (-not $All) { $configuration.Filter.ExcludeTag = @('Slow') }
$run = Invoke-Pester -Configuration $configuration
$sum.Passed += $run.PassedCount
$sum.Failed += $run.FailedCount + $run.FailedBlocksCount + $run.FailedContainersCount
$sum.Skipped += $run.SkippedCount + $run.InconclusiveCount

"$($sum.Passed) passed, $($sum.Failed) failed, $($sum.Skipped) skipped"
if ($sum.Failed -gt 0) { exit 1 }
