# What a run shows on the console. Text goes out as host information, as from Write-Host, so `6>` redirects it.

$script:Colors = @{ Passed = "`e[92m"; Failed = "`e[91m"; Skipped = "`e[93m"; Inconclusive = "`e[90m"; Heading = "`e[35m"; Plain = ''; Dim = "`e[90m" }
$script:Marks = @{ Passed = '[+]'; Failed = '[-]'; Skipped = '[!]'; Inconclusive = '[?]' }

function Write-Line {
    [CmdletBinding()]
    param ([string] $Text, [string] $Color = 'Plain', [int] $Indent = 0)

    $mode = $script:Run.Configuration.Output.RenderMode.Value
    $colored = $script:Colors[$Color] -and $mode -ne 'Plaintext' -and ($mode -ne 'Auto' -or
        (-not [Console]::IsOutputRedirected -and -not [Environment]::GetEnvironmentVariable('NO_COLOR')))
    foreach ($line in $Text -split '\r?\n') {
        $line = ' ' * $Indent + $line
        if ($colored) { $line = "$($script:Colors[$Color])$line`e[0m" }
        $message = [System.Management.Automation.HostInformationMessage]::new()
        $message.Message = $line
        $PSCmdlet.WriteInformation($message, [string[]]@('PSHOST'))
    }
}

function Test-Verbosity([string[]] $Levels) { $script:Run.Configuration.Output.Verbosity.Value -in $Levels }

function Test-Quiet { Test-Verbosity 'None' }

function Test-Detailed { Test-Verbosity 'Detailed', 'Diagnostic' }

function Format-Duration([timespan] $Duration) {
    $culture = [cultureinfo]::InvariantCulture
    if ($Duration.TotalSeconds -lt 1) { return [math]::Round($Duration.TotalMilliseconds).ToString($culture) + 'ms' }
    if ($Duration.TotalMinutes -lt 1) { return $Duration.TotalSeconds.ToString('0.00', $culture) + 's' }
    '{0}m {1}s' -f [math]::Floor($Duration.TotalMinutes), $Duration.Seconds
}

function Write-DiscoveryStart($Containers) {
    if (Test-Quiet) { return }
    Write-Line "Starting discovery in $($Containers.Count) file$(if ($Containers.Count -ne 1) { 's' })." Heading
}

function Write-DiscoveryEnd($Containers) {
    if (Test-Quiet) { return }
    $tests = @(foreach ($container in $Containers) { Get-BlockTest $container.Root })
    $duration = [timespan]::Zero
    foreach ($container in $Containers) { $duration += $container.DiscoveryDuration }
    Write-Line "Discovery found $($tests.Count) test$(if ($tests.Count -ne 1) { 's' }) in $(Format-Duration $duration)." Heading
    $running = @($tests | Where-Object ShouldRun).Count
    if ($running -ne $tests.Count) { Write-Line "The filters select $running of them." Heading }
    Write-Line 'Running tests.' Heading
}

function Write-ContainerStart($Container) {
    if (-not (Test-Detailed) -or -not $Container.Root.ShouldRun) { return }
    Write-Line ''
    Write-Line "Running tests from '$($Container.Name)'" Heading
}

function Write-ContainerEnd($Container) {
    if (Test-Quiet) { return }
    if ($Container.ErrorRecord.Count -gt 0) {
        Write-Line "$($script:Marks.Failed) $($Container.Name) $(Format-Duration $Container.Duration)" Failed
        Write-ErrorText $Container.ErrorRecord 2
    }
    elseif (-not (Test-Detailed) -and $Container.Result -ne 'NotRun') {
        Write-Line "$($script:Marks[$Container.Result]) $($Container.Name) $(Format-Duration $Container.Duration)" $Container.Result
    }
}

function Write-BlockStart($Block) {
    if ($Block.Command -eq 'Root') { return }
    if (Test-Detailed) {
        $heading = if ($Block.Command -eq 'Describe') { 'Describing' } else { 'Context' }
        Write-Line "$heading $($Block.ExpandedName)" Plain $script:Run.Indent
    }
    $script:Run.Indent += 2
}

function Write-BlockEnd($Block) {
    if ($Block.Command -eq 'Root') { return }
    $script:Run.Indent = [math]::Max(0, $script:Run.Indent - 2)
    if ((Test-Quiet) -or $Block.ErrorRecord.Count -eq 0) { return }
    $indent = if (Test-Detailed) { $script:Run.Indent } else { 0 }
    Write-Line "$($script:Marks.Failed) $($Block.Command) $($Block.ExpandedPath) failed" Failed $indent
    Write-ErrorText $Block.ErrorRecord ($indent + 2)
}

function Write-TestEnd($Test) {
    if (Test-Quiet) { return }
    $detailed = Test-Detailed
    if (-not $detailed -and $Test.Result -ne 'Failed') { return }
    $name = if ($detailed) { $Test.ExpandedName } else { $Test.ExpandedPath }
    $indent = if ($detailed) { $script:Run.Indent } else { 0 }
    $reason = if ($Test.Result -in 'Skipped', 'Inconclusive' -and $Test.ErrorRecord.Count -gt 0) { " $($Test.ErrorRecord[0].Exception.Message)" }
    Write-Line "$($script:Marks[$Test.Result]) $name$reason $(Format-Duration $Test.Duration)" $Test.Result $indent
    if ($Test.Result -eq 'Failed') { Write-ErrorText $Test.ErrorRecord ($indent + 2) }
}

function Write-ErrorText($Records, [int] $Indent) {
    foreach ($record in $Records) {
        Write-Line (Get-ErrorMessage $record) Failed $Indent
        foreach ($line in Get-ErrorPosition $record) { Write-Line $line Failed $Indent }
    }
}

function Write-RunEnd($Result) {
    if (Test-Quiet) { return }
    Write-Line "Tests completed in $(Format-Duration $Result.Duration)"
    $color = if ($Result.Result -eq 'Failed') { 'Failed' } else { 'Passed' }
    Write-Line ("Tests Passed: {0}, Failed: {1}, Skipped: {2}, Inconclusive: {3}, NotRun: {4}" -f
        $Result.PassedCount, $Result.FailedCount, $Result.SkippedCount, $Result.InconclusiveCount, $Result.NotRunCount) $color
    if ($Result.FailedBlocksCount) {
        Write-Line "BeforeAll or AfterAll failed in $($Result.FailedBlocksCount): $(@($Result.FailedBlocks.ExpandedPath) -join ', ')" Failed
    }
    if ($Result.FailedContainersCount) {
        Write-Line "Files failed as a whole, $($Result.FailedContainersCount): $(@($Result.FailedContainers.Name) -join ', ')" Failed
    }
}

function Get-FailureText($Result) {
    "$($Result.FailedCount) of $($Result.TotalCount) tests failed, with $($Result.FailedBlocksCount) blocks and $($Result.FailedContainersCount) files failing as a whole"
}
