$parameters = [ordered]@{ ExpectedMessage = [string]; ErrorId = [string]; ExceptionType = [type]; PassThru = [switch] }

Add-Operator -Name Throw -Parameter $parameters -Test {
    param ($Actual, $Bound)
    if ($Actual -isnot [scriptblock]) {
        throw [System.ArgumentException]::new("Should -Throw got $(Format-Value $Actual); pipe it a script block.")
    }
    $record = $null
    try { do { $null = & $Actual } while ($false) }
    catch { $record = $_ }

    $wanted = [System.Collections.Generic.List[string]]::new()
    $failed = [System.Collections.Generic.List[string]]::new()
    if ($Bound['ExceptionType']) {
        $wanted.Add(" of type [$($Bound.ExceptionType)]")
        if ($record -and $record.Exception -isnot $Bound.ExceptionType) { $failed.Add("type [$($record.Exception.GetType())]") }
    }
    if ($Bound['ExpectedMessage']) {
        $wanted.Add(" with a message like $(Format-Value $Bound.ExpectedMessage)")
        if ($record -and $record.Exception.Message -notlike $Bound.ExpectedMessage) { $failed.Add("message $(Format-Value $record.Exception.Message)") }
    }
    if ($Bound['ErrorId']) {
        $wanted.Add(" with the error id $(Format-Value $Bound.ErrorId)")
        if ($record -and $record.FullyQualifiedErrorId -ne $Bound.ErrorId) { $failed.Add("error id $(Format-Value $record.FullyQualifiedErrorId)") }
    }

    $got = if (-not $record) { 'none' } elseif ($failed) { "one with $($failed -join ' and ')" } else { "one: $($record.Exception.Message)" }
    if ($record -and $record.InvocationInfo.ScriptName) { $got += " (thrown at $($record.InvocationInfo.ScriptName):$($record.InvocationInfo.ScriptLineNumber))" }
    # Under -Not any exception is one too many, whatever the filters say.
    if ($Bound['Not']) { return New-Verdict ($null -ne $record) 'an exception' $got }
    New-Verdict ($record -and $failed.Count -eq 0) "an exception$($wanted -join ' and')" $got $(if ($Bound['PassThru']) { $record })
}
