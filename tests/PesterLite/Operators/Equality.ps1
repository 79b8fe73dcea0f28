$equality = @{
    TakesArray = $true
    Parameter  = [ordered]@{ ExpectedValue = [object] }
    Test       = {
        param ($Actual, $Bound, $Variant)
        $expected = $Bound['ExpectedValue']
        $shown = if ($Actual -is [array] -and $Actual.Count -eq 1) { $Actual[0] } else { $Actual }
        $succeeded = Test-ArrayEqual @($Actual) @($expected) $Variant.CaseSensitive
        $exactly = if ($Variant.CaseSensitive) { ' in the same case' }
        $difference = if (-not $succeeded) { Get-FirstDifference $expected $shown $Variant.CaseSensitive }
        New-Verdict $succeeded "$(Format-Value $expected)$exactly" "$(Format-Value $shown)$difference"
    }
}
Add-Operator -Name Be -Alias EQ -Variant @{ CaseSensitive = $false } @equality
Add-Operator -Name BeExactly -Alias CEQ -Variant @{ CaseSensitive = $true } @equality

# Nothing, an empty array and an array of one null are all the same; the rest compares item by item.
function Test-ArrayEqual([object[]] $First, [object[]] $Second, [bool] $CaseSensitive, [int] $Depth = 0) {
    $firstEmpty = Test-ArrayEmpty $First
    $secondEmpty = Test-ArrayEmpty $Second
    if ($firstEmpty -or $secondEmpty) { return $firstEmpty -and $secondEmpty }
    if ($First.Count -ne $Second.Count) { return $false }
    for ($i = 0; $i -lt $First.Count; $i++) {
        $actual = $First[$i]
        $expected = $Second[$i]
        # The depth limit ends the comparison of arrays that contain themselves.
        $same = if (($actual -is [array] -or $expected -is [array]) -and $Depth -lt 100) { Test-ArrayEqual @($actual) @($expected) $CaseSensitive ($Depth + 1) }
        elseif ($CaseSensitive) { $expected -ceq $actual }
        else { $expected -eq $actual }
        if (-not $same) { return $false }
    }
    $true
}

function Test-ArrayEmpty([object[]] $Array) {
    $null -eq $Array -or $Array.Count -eq 0 -or ($Array.Count -eq 1 -and $null -eq $Array[0])
}
