function Invoke-Container($Container) {
    $root = $Container.Root
    Write-ContainerStart $Container
    $clock = [System.Diagnostics.Stopwatch]::StartNew()
    if ($Container.Result -ne 'Failed' -and $root.ShouldRun) {
        $location = $script:Run.SessionState.Path.CurrentLocation
        New-TestDrive
        try { Invoke-Block $root }
        finally {
            $null = $script:Run.SessionState.Path.SetLocation($location.Path)
            Remove-TestDrive
        }
        foreach ($record in $root.ErrorRecord) { $Container.ErrorRecord.Add($record) }
    }
    $Container.Duration = $clock.Elapsed
    Complete-Container $Container
    Write-ContainerEnd $Container
}

function Invoke-Block($Block) {
    if (-not $Block.ShouldRun) { return }
    $clock = [System.Diagnostics.Stopwatch]::StartNew()
    $content = Get-TestDriveContent
    # A skipped block has its data and its name, but no set-up.
    $setup = if ($Block.Skip) { @{} } else { $Block.Setup }
    $frame = @{
        Item     = $Block
        Enter    = { param ($frame) Set-ScopeData $frame.Item }
        Setup    = @($setup['BeforeAll'] | Where-Object { $_ })
        Ready    = { param ($frame) Expand-ItemName $frame.Item }
        Children = { param ($frame) Invoke-BlockChildren $frame.Item $frame.Errors }
        Teardown = @($setup['AfterAll'] | Where-Object { $_ })
        Errors   = $Block.ErrorRecord
    }
    if ($Block.Command -eq 'Root') { Invoke-InScriptScope $script:BlockFrame $frame } else { Invoke-Frame $script:BlockFrame $frame }
    Clear-TestDrive $content
    $Block.Duration = $clock.Elapsed
    $failed = $Block.ErrorRecord.Count -gt 0 -or @($Block.Order | Where-Object Result -EQ 'Failed').Count -gt 0
    $Block.Result = if ($failed) { 'Failed' } elseif ($Block.Skip) { 'Skipped' } else { 'Passed' }
    Write-BlockEnd $Block
}

# Called from the block's frame after its BeforeAll: a failed one fails all that the block contains.
function Invoke-BlockChildren($Block, $Errors) {
    Write-BlockStart $Block
    if ($Errors.Count -eq 0) {
        foreach ($item in $Block.Order) {
            if ($item.Command -eq 'It') { Invoke-Test $item } else { Invoke-Block $item }
        }
        return
    }
    foreach ($inner in Get-BlockDescendant $Block) { if ($inner.ShouldRun -and -not $inner.Skip) { $inner.Result = 'Failed' } }
    foreach ($test in Get-BlockTest $Block) {
        if (-not $test.ShouldRun) { continue }
        if ($test.Skip) { Complete-Test $test 'Skipped'; continue }
        $test.ErrorRecord.Add($Errors[0])
        Complete-Test $test 'Failed'
    }
}

function Invoke-Test($Test) {
    if (-not $Test.ShouldRun) { return }
    if ($Test.Skip) { Complete-Test $Test 'Skipped'; return }

    $setup = [System.Collections.Generic.List[scriptblock]]::new()
    $teardown = [System.Collections.Generic.List[scriptblock]]::new()
    for ($block = $Test.Parent; $block; $block = $block.Parent) {
        if ($block.Setup.ContainsKey('BeforeEach')) { $setup.Insert(0, $block.Setup.BeforeEach) }
        if ($block.Setup.ContainsKey('AfterEach')) { $teardown.Add($block.Setup.AfterEach) }
    }
    $frame = @{
        Item      = $Test
        Enter     = { param ($frame) Set-ScopeData $frame.Item }
        Ready     = { param ($frame) Expand-ItemName $frame.Item }
        Setup     = $setup
        Body      = $Test.ScriptBlock
        Arguments = Get-BodyArgument $Test.ScriptBlock $Test.Data
        Teardown  = $teardown
        Errors    = $Test.ErrorRecord
        Output    = $null
        Completed = $false
    }
    $script:Run.CurrentTest = $Test
    $clock = [System.Diagnostics.Stopwatch]::StartNew()
    try { Invoke-Frame $script:TestFrame $frame }
    finally { $script:Run.CurrentTest = $null }
    $Test.Duration = $clock.Elapsed
    $Test.StandardOutput = $frame.Output
    if (-not $frame.Completed -and $Test.ErrorRecord.Count -eq 0) {
        $Test.ErrorRecord.Add([System.Management.Automation.ErrorRecord]::new(
                [System.InvalidOperationException]::new('The test was left by a break or continue outside any loop.'),
                'TestLeft', 'InvalidResult', $Test.Name))
    }
    $Test.Executed = $true
    Complete-Test $Test (Get-TestOutcome $Test.ErrorRecord)
}

function Complete-Test($Test, [string] $Result) {
    $Test.Result = $Result
    $Test.Passed = $Result -eq 'Passed'
    $Test.Skipped = $Result -eq 'Skipped'
    $Test.Inconclusive = $Result -eq 'Inconclusive'
    # A test that its frame never reached has not had its name expanded, but its blocks have.
    if (-not $Test.Executed -and $Test.Parent.ExpandedPath) { $Test.ExpandedPath = "$($Test.Parent.ExpandedPath).$($Test.ExpandedName)" }
    Write-TestEnd $Test
}
