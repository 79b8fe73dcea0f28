$script:TestResults = 'Passed', 'Failed', 'Skipped', 'Inconclusive', 'NotRun'

function Complete-Container($Container) {
    $tests = @(Get-BlockTest $Container.Root)
    $Container.TotalCount = $tests.Count
    foreach ($result in $script:TestResults) { $Container."${result}Count" = @($tests | Where-Object Result -EQ $result).Count }
    if ($Container.ErrorRecord.Count -gt 0 -or $Container.Root.Result -eq 'Failed') { $Container.Result = 'Failed' }
    elseif ($Container.Root.ShouldRun) { $Container.Result = 'Passed' }
}

# The object that Invoke-Pester -PassThru gives.
function New-RunResult($Containers, [timespan] $Duration, $Configuration) {
    $tests = @(foreach ($container in $Containers) { Get-BlockTest $container.Root })
    $blocks = @(foreach ($container in $Containers) { Get-BlockDescendant $container.Root })
    $failedBlocks = @($blocks | Where-Object { $_.ErrorRecord.Count -gt 0 })
    # A container fails by itself in discovery or in the file's own BeforeAll or AfterAll; failed tests are counted as such.
    $failedContainers = @($Containers | Where-Object { $_.ErrorRecord.Count -gt 0 })

    $values = [ordered]@{
        PSTypeName            = 'PesterLite.Run'
        Result                = 'Passed'
        TotalCount            = $tests.Count
        PassedCount           = 0
        FailedCount           = 0
        SkippedCount          = 0
        InconclusiveCount     = 0
        NotRunCount           = 0
        FailedBlocksCount     = $failedBlocks.Count
        FailedContainersCount = $failedContainers.Count
        Duration              = $Duration
        Passed                = @()
        Failed                = @()
        Skipped               = @()
        Inconclusive          = @()
        NotRun                = @()
        FailedBlocks          = $failedBlocks
        FailedContainers      = $failedContainers
        Tests                 = $tests
        Containers            = @($Containers)
        Configuration         = $Configuration
        PSVersion             = [string]$PSVersionTable.PSVersion
    }
    foreach ($result in $script:TestResults) {
        $values[$result] = @($tests | Where-Object Result -EQ $result)
        $values["${result}Count"] = $values[$result].Count
    }
    if ($values.FailedCount + $failedBlocks.Count + $failedContainers.Count -gt 0) { $values.Result = 'Failed' }
    [pscustomobject]$values
}
