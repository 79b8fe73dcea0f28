Add-Operator -Name BeIn -Parameter ([ordered]@{ ExpectedValue = [object] }) -Test {
    param ($Actual, $Bound)
    New-Verdict ($Actual -in $Bound['ExpectedValue']) "one of $(Format-Value $Bound['ExpectedValue'])" (Format-Value $Actual)
}

Add-Operator -Name Contain -TakesArray -Parameter ([ordered]@{ ExpectedValue = [object] }) -Test {
    param ($Actual, $Bound)
    New-Verdict (@($Actual) -contains $Bound['ExpectedValue']) "a collection with $(Format-Value $Bound['ExpectedValue'])" (Format-Value @($Actual))
}

Add-Operator -Name HaveCount -TakesArray -Parameter ([ordered]@{ ExpectedValue = [object] }) -Test {
    param ($Actual, $Bound)
    $expected = [int]$Bound['ExpectedValue']
    if ($expected -lt 0) { throw [System.ArgumentException]::new("The expected count is $expected; it cannot be negative.") }
    $items = @(if ($null -ne $Actual) { $Actual })
    New-Verdict ($items.Count -eq $expected) "$expected items" "$($items.Count): $(Format-Value $items)"
}
