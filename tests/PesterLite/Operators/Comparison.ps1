$expectedValue = [ordered]@{ ExpectedValue = [object] }

Add-Operator -Name BeGreaterThan -Alias GT -Parameter $expectedValue -Test {
    param ($Actual, $Bound)
    New-Verdict ($Actual -gt $Bound.ExpectedValue) "a value greater than $(Format-Value $Bound.ExpectedValue)" (Format-Value $Actual)
}

Add-Operator -Name BeGreaterOrEqual -Alias GE -Parameter $expectedValue -Test {
    param ($Actual, $Bound)
    New-Verdict ($Actual -ge $Bound.ExpectedValue) "a value greater than or equal to $(Format-Value $Bound.ExpectedValue)" (Format-Value $Actual)
}

Add-Operator -Name BeLessThan -Alias LT -Parameter $expectedValue -Test {
    param ($Actual, $Bound)
    New-Verdict ($Actual -lt $Bound.ExpectedValue) "a value less than $(Format-Value $Bound.ExpectedValue)" (Format-Value $Actual)
}

Add-Operator -Name BeLessOrEqual -Alias LE -Parameter $expectedValue -Test {
    param ($Actual, $Bound)
    New-Verdict ($Actual -le $Bound.ExpectedValue) "a value less than or equal to $(Format-Value $Bound.ExpectedValue)" (Format-Value $Actual)
}
