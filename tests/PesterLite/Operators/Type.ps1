Add-Operator -Name BeOfType -Alias HaveType -Parameter ([ordered]@{ ExpectedType = [object] }) -Test {
    param ($Actual, $Bound)
    $type = Resolve-ExpectedType $Bound['ExpectedType']
    $got = if ($null -eq $Actual) { '$null' } else { "$(Format-Value $Actual) of type [$($Actual.GetType())]" }
    New-Verdict ($Actual -is $type) "a value of type [$type]" $got
}

function Resolve-ExpectedType($Type) {
    if ($Type -is [type]) { return $Type }
    $name = ([string]$Type) -replace '^\[(.*)\]$', '$1'
    $found = $name -as [type]
    if (-not $found) { throw [System.ArgumentException]::new("The expected type [$name] is not loaded; check its name or load its assembly.") }
    $found
}
