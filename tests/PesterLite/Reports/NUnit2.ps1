# NUnit 2.5 results: test-results, a test-suite for each file and block, a test-case for each test.
function Write-NUnit2Report($Writer, $Result) {
    $culture = [cultureinfo]::CurrentCulture.Name
    $now = [datetime]::Now
    $suiteName = $Result.Configuration.TestResult.TestSuiteName.Value
    Write-Element $Writer 'test-results' ([ordered]@{
            name = $suiteName; total = $Result.TotalCount - $Result.NotRunCount; errors = 0; failures = $Result.FailedCount
            'not-run' = $Result.NotRunCount; inconclusive = $Result.InconclusiveCount; ignored = 0; skipped = $Result.SkippedCount
            invalid = 0; date = $now.ToString('yyyy-MM-dd'); time = $now.ToString('HH:mm:ss')
        }) {
        Write-Element $Writer 'environment' ([ordered]@{
                'nunit-version' = '2.5.8.0'; 'clr-version' = [Environment]::Version; 'os-version' = [Environment]::OSVersion.Version
                platform = [Environment]::OSVersion.Platform; cwd = [Environment]::CurrentDirectory
                'machine-name' = [Environment]::MachineName; user = [Environment]::UserName; 'user-domain' = [Environment]::UserDomainName
            })
        Write-Element $Writer 'culture-info' ([ordered]@{ 'current-culture' = $culture; 'current-uiculture' = [cultureinfo]::CurrentUICulture.Name })
        Write-NUnit2Suite $Writer $suiteName $Result.Duration $Result.Result {
            foreach ($container in $Result.Containers) {
                if ($container.Result -eq 'NotRun') { continue }
                Write-NUnit2Suite $Writer $container.Name $container.Duration $container.Result {
                    foreach ($item in Get-ReportItem $container.Root) { Write-NUnit2Item $Writer $item }
                } $container
            }
        }
    }
}

function Write-NUnit2Item($Writer, $Item) {
    if ($Item.Command -eq 'It') { Write-NUnit2Case $Writer $Item; return }
    Write-NUnit2Suite $Writer $Item.ExpandedPath $Item.Duration $Item.Result {
        foreach ($inner in Get-ReportItem $Item) { Write-NUnit2Item $Writer $inner }
    } $Item
}

function Write-NUnit2Suite($Writer, [string] $Name, [timespan] $Duration, [string] $Outcome, [scriptblock] $Content, $FailedItem) {
    Write-Element $Writer 'test-suite' ([ordered]@{
            type = 'TestFixture'; name = $Name; executed = 'True'; result = Get-NUnit2Result $Outcome
            success = [string]($Outcome -ne 'Failed'); time = Format-Seconds $Duration; asserts = 0; description = $Name
        }) {
        if ($FailedItem -and $FailedItem.ErrorRecord.Count -gt 0) { Write-NUnit2Failure $Writer $FailedItem }
        Write-Element $Writer 'results' @{} $Content
    }
}

function Write-NUnit2Case($Writer, $Test) {
    $ran = $Test.Result -in 'Passed', 'Failed'
    $attributes = [ordered]@{
        description = $Test.ExpandedName; name = $Test.ExpandedPath; time = Format-Seconds $Test.Duration; asserts = 0
        success = [string]($Test.Result -eq 'Passed'); result = Get-NUnit2Result $Test.Result; executed = [string]$ran
    }
    Write-Element $Writer 'test-case' $attributes {
        if ($Test.Result -eq 'Failed') { Write-NUnit2Failure $Writer $Test }
        elseif (-not $ran) { Write-Element $Writer 'reason' @{} { Write-TextElement $Writer 'message' (Get-FailureMessage $Test) } }
    }
}

function Write-NUnit2Failure($Writer, $Item) {
    Write-Element $Writer 'failure' @{} {
        Write-TextElement $Writer 'message' (Get-FailureMessage $Item)
        Write-TextElement $Writer 'stack-trace' (Get-FailurePosition $Item)
    }
}

function Get-NUnit2Result([string] $Outcome) {
    switch ($Outcome) {
        'Passed' { 'Success' }
        'Failed' { 'Failure' }
        'Skipped' { 'Ignored' }
        default { 'Inconclusive' }
    }
}
