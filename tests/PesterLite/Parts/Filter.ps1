# Decides which tests run. An exclusion always wins; where any inclusion is asked for, an item needs one, its own or its block's.
function Select-Test($Containers, $Filter) {
    $criteria = @{
        Filter    = $Filter
        Inclusive = $Filter.Tag.Value.Count + $Filter.FullName.Value.Count + $Filter.Line.Value.Count -gt 0
    }
    foreach ($container in $Containers) { $null = Select-BlockTest $container.Root $criteria $false $false }
}

# Returns whether anything in the block runs. A block whose every test is skipped is skipped itself: its set-up has no use.
function Select-BlockTest($Block, $Criteria, [bool] $Included, [bool] $Skipped) {
    $Block.ShouldRun = $false
    $Included = $Included -or -not $Criteria.Inclusive -or (Test-Included $Block $Criteria)
    $Skipped = $Skipped -or $Block.Skip
    $allSkipped = $true
    if (-not (Test-Excluded $Block $Criteria.Filter)) {
        foreach ($item in $Block.Order) {
            if ($item.Command -ne 'It') { $run = Select-BlockTest $item $Criteria $Included $Skipped }
            else {
                $item.Skip = $item.Skip -or $Skipped
                $run = -not (Test-Excluded $item $Criteria.Filter) -and ($Included -or (Test-Included $item $Criteria))
                $item.ShouldRun = $run
            }
            if ($run) {
                $Block.ShouldRun = $true
                $allSkipped = $allSkipped -and $item.Skip
            }
        }
    }
    $Block.Skip = $Block.ShouldRun -and $allSkipped
    $Block.ShouldRun
}

function Test-Excluded($Item, $Filter) {
    (Test-AnyLike $Item.Tag $Filter.ExcludeTag.Value) -or (Test-Line $Item $Filter.ExcludeLine.Value)
}

function Test-Included($Item, $Criteria) {
    $filter = $Criteria.Filter
    (Test-AnyLike $Item.Tag $filter.Tag.Value) -or
    (Test-AnyLike ($Item.Path -join '.') $filter.FullName.Value) -or
    (Test-Line $Item $filter.Line.Value)
}

function Test-AnyLike([string[]] $Values, [string[]] $Patterns) {
    foreach ($value in $Values) {
        foreach ($pattern in $Patterns) { if ($value -like $pattern) { return $true } }
    }
    $false
}

# A line is given as path:number.
function Test-Line($Item, [string[]] $Lines) {
    if (-not $Item.File) { return $false }
    foreach ($line in $Lines) {
        $path, $number = $line -split ':(?=\d+$)'
        if ([int]$number -eq $Item.StartLine -and $script:Run.SessionState.Path.GetUnresolvedProviderPathFromPSPath($path) -eq $Item.File) { return $true }
    }
    $false
}
