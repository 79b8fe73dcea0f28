# NUnit 3 results: test-run, a test-suite for each file and block, a test-case for each test.
function Write-NUnit3Report($Writer, $Result) {
    $attributes = [ordered]@{ id = 0; name = $Result.Configuration.TestResult.TestSuiteName.Value; testcasecount = $Result.TotalCount - $Result.NotRunCount }
    Write-Element $Writer 'test-run' ($attributes + (Get-NUnit3Summary $Result.Tests $Result.Result $Result.Duration)) {
        $id = @{ Next = 1 }
        foreach ($container in $Result.Containers) {
            if ($container.Result -eq 'NotRun') { continue }
            Write-NUnit3Suite $Writer $id 'Assembly' $container.Root $container.Name $container
        }
    }
}

function Write-NUnit3Suite($Writer, $Id, [string] $Type, $Block, [string] $Name, $Outcome) {
    $tests = @(Get-BlockTest $Block | Where-Object ShouldRun)
    $attributes = [ordered]@{
        type = $Type; id = ($Id.Next++); name = $Name; fullname = if ($Block.ExpandedPath) { $Block.ExpandedPath } else { $Name }; testcasecount = $tests.Count
    }
    Write-Element $Writer 'test-suite' ($attributes + (Get-NUnit3Summary $tests $Outcome.Result $Outcome.Duration)) {
        Write-NUnit3Property $Writer $Block
        if ($Outcome.ErrorRecord.Count -gt 0) { Write-NUnit3Failure $Writer $Outcome }
        foreach ($item in Get-ReportItem $Block) {
            if ($item.Command -eq 'It') { Write-NUnit3Case $Writer $Id $item }
            else { Write-NUnit3Suite $Writer $Id 'TestFixture' $item $item.ExpandedName $item }
        }
    }
}

function Write-NUnit3Case($Writer, $Id, $Test) {
    $attributes = [ordered]@{
        id = ($Id.Next++); name = $Test.ExpandedName; fullname = $Test.ExpandedPath; methodname = $Test.Name
        classname = $Test.Parent.ExpandedPath; result = $Test.Result; duration = Format-Seconds $Test.Duration; asserts = 0
    }
    Write-Element $Writer 'test-case' $attributes {
        Write-NUnit3Property $Writer $Test
        if ($Test.Result -eq 'Failed') { Write-NUnit3Failure $Writer $Test }
        elseif ($Test.Result -ne 'Passed') { Write-Element $Writer 'reason' @{} { Write-TextElement $Writer 'message' (Get-FailureMessage $Test) } }
    }
}

function Write-NUnit3Property($Writer, $Item) {
    if (-not $Item.Tag) { return }
    Write-Element $Writer 'properties' @{} {
        foreach ($tag in $Item.Tag) { Write-Element $Writer 'property' ([ordered]@{ name = 'Category'; value = $tag }) }
    }
}

function Write-NUnit3Failure($Writer, $Item) {
    Write-Element $Writer 'failure' @{} {
        Write-TextElement $Writer 'message' (Get-FailureMessage $Item)
        Write-TextElement $Writer 'stack-trace' (Get-FailurePosition $Item)
    }
}

function Get-NUnit3Summary($Tests, [string] $Outcome, [timespan] $Duration) {
    $ran = @($Tests | Where-Object Result -NE 'NotRun')
    [ordered]@{
        result = if ($Outcome -eq 'NotRun') { 'Inconclusive' } else { $Outcome }; total = $ran.Count
        passed = @($ran | Where-Object Result -EQ 'Passed').Count; failed = @($ran | Where-Object Result -EQ 'Failed').Count
        inconclusive = @($ran | Where-Object Result -EQ 'Inconclusive').Count; skipped = @($ran | Where-Object Result -EQ 'Skipped').Count
        asserts = 0; duration = Format-Seconds $Duration
    }
}
