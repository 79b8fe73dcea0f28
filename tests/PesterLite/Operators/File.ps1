Add-Operator -Name Exist -Test {
    param ($Actual, $Bound)
    if ([string]::IsNullOrEmpty($Actual)) { throw [System.ArgumentException]::new('Should -Exist got no path; pipe it one.') }
    New-Verdict $ExecutionContext.InvokeProvider.Item.Exists([string]$Actual) 'a path that exists' (Format-Value ([string]$Actual))
}

# The plain operators look for a line that matches; the multiline ones match the content as one text.
$contentMatch = @{
    Parameter = [ordered]@{ ExpectedContent = [object] }
    Test      = {
        param ($Actual, $Bound, $Variant)
        $pattern = $Bound['ExpectedContent']
        $path = $ExecutionContext.SessionState.Path.GetUnresolvedProviderPathFromPSPath([string]$Actual)
        $content = @(if ($Variant.Multiline) { [System.IO.File]::ReadAllText($path) } else { [System.IO.File]::ReadAllLines($path) })
        $matching = @(if ($Variant.CaseSensitive) { $content -cmatch $pattern } else { $content -match $pattern })
        $got = if ($matching) { "'$path' with one" } else { "'$path' without" }
        New-Verdict ($matching.Count -gt 0) "a match of $(Format-Value $pattern) in the file" $got
    }
}
Add-Operator -Name FileContentMatch -Variant @{ Multiline = $false; CaseSensitive = $false } @contentMatch
Add-Operator -Name FileContentMatchExactly -Variant @{ Multiline = $false; CaseSensitive = $true } @contentMatch
Add-Operator -Name FileContentMatchMultiline -Variant @{ Multiline = $true; CaseSensitive = $false } @contentMatch
Add-Operator -Name FileContentMatchMultilineExactly -Variant @{ Multiline = $true; CaseSensitive = $true } @contentMatch
