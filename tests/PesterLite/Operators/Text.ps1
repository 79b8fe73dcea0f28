$expectedValue = [ordered]@{ ExpectedValue = [object] }
$regularExpression = [ordered]@{ RegularExpression = [object] }

Add-Operator -Name BeLike -Parameter $expectedValue -Test {
    param ($Actual, $Bound)
    New-Verdict ($Actual -like $Bound.ExpectedValue) "a text like $(Format-Value $Bound.ExpectedValue)" (Format-Value $Actual)
}

Add-Operator -Name BeLikeExactly -Parameter $expectedValue -Test {
    param ($Actual, $Bound)
    New-Verdict ($Actual -clike $Bound.ExpectedValue) "a text like $(Format-Value $Bound.ExpectedValue) in the same case" (Format-Value $Actual)
}

Add-Operator -Name Match -Parameter $regularExpression -Test {
    param ($Actual, $Bound)
    New-Verdict ($Actual -match $Bound.RegularExpression) "a match of $(Format-Value $Bound.RegularExpression)" (Format-Value $Actual)
}

Add-Operator -Name MatchExactly -Alias CMATCH -Parameter $regularExpression -Test {
    param ($Actual, $Bound)
    New-Verdict ($Actual -cmatch $Bound.RegularExpression) "a match of $(Format-Value $Bound.RegularExpression) in the same case" (Format-Value $Actual)
}
