# JUnit results: testsuites, a testsuite for each file, a testcase for each test.
function Write-JUnitReport($Writer, $Result) {
    $attributes = [ordered]@{
        name = $Result.Configuration.TestResult.TestSuiteName.Value; tests = $Result.TotalCount - $Result.NotRunCount
        errors = $Result.FailedContainersCount + $Result.FailedBlocksCount; failures = $Result.FailedCount
        disabled = $Result.NotRunCount; time = Format-Seconds $Result.Duration
    }
    Write-Element $Writer 'testsuites' $attributes {
        $id = 0
        foreach ($container in $Result.Containers) {
            if ($container.Result -ne 'NotRun') { Write-JUnitSuite $Writer $container ($id++) }
        }
    }
}

function Write-JUnitSuite($Writer, $Container, [int] $Id) {
    $attributes = [ordered]@{
        name = $Container.Name; tests = $Container.TotalCount - $Container.NotRunCount; errors = $Container.ErrorRecord.Count
        failures = $Container.FailedCount; skipped = $Container.SkippedCount + $Container.InconclusiveCount
        hostname = [Environment]::MachineName; id = $Id; package = $Container.Name; time = Format-Seconds $Container.Duration
    }
    Write-Element $Writer 'testsuite' $attributes {
        foreach ($test in Get-BlockTest $Container.Root) { if ($test.ShouldRun) { Write-JUnitCase $Writer $Container $test } }
        if ($Container.ErrorRecord.Count -gt 0) { Write-TextElement $Writer 'system-err' (Get-FailureMessage $Container) }
    }
}

function Write-JUnitCase($Writer, $Container, $Test) {
    $attributes = [ordered]@{
        name = $Test.ExpandedPath; status = $Test.Result; classname = $Container.Name; assertions = 0; time = Format-Seconds $Test.Duration
    }
    Write-Element $Writer 'testcase' $attributes {
        if ($Test.Result -eq 'Failed') {
            Write-Element $Writer 'failure' @{ message = Get-FailureMessage $Test } { $Writer.WriteString((ConvertTo-XmlText (Get-FailurePosition $Test))) }
        }
        elseif ($Test.Result -in 'Skipped', 'Inconclusive') { Write-Element $Writer 'skipped' @{ message = Get-FailureMessage $Test } }
    }
}
