Add-Operator -Name BeTrue -Test {
    param ($Actual, $Bound)
    New-Verdict ([bool]$Actual) 'a true value' (Format-Value $Actual)
}

Add-Operator -Name BeFalse -Test {
    param ($Actual, $Bound)
    New-Verdict (-not $Actual) 'a false value' (Format-Value $Actual)
}

Add-Operator -Name BeNullOrEmpty -TakesArray -Test {
    param ($Actual, $Bound)
    $value = if ($Actual -is [array] -and $Actual.Count -eq 1) { $Actual[0] } else { $Actual }
    $empty = if ($value -is [System.Collections.ICollection]) { $value.Count -eq 0 } else { [string]::IsNullOrEmpty($value) }
    New-Verdict $empty '$null or an empty value' (Format-Value $value)
}
