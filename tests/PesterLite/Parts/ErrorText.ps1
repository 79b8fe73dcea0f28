# The message and position of an error as reports show them.

function Get-ErrorMessage($Record) {
    if ($Record.FullyQualifiedErrorId -like 'Pester*') { return $Record.Exception.Message }
    "$($Record.Exception.GetType().Name): $($Record.Exception.Message)"
}

function Get-ErrorPosition($Record) {
    $verbosity = $script:Run.Configuration.Output.StackTraceVerbosity.Value
    if ($verbosity -eq 'None') { return }
    if ($Record.FullyQualifiedErrorId -like 'PesterAssertionFailed*' -and $Record.TargetObject -is [hashtable]) {
        $target = $Record.TargetObject
        "at $($target.LineText), $($target.File):$($target.Line)"
        if ($verbosity -in 'FirstLine', 'Filtered') { return }
    }
    $lines = @(([string]$Record.ScriptStackTrace) -split '\r?\n' | Where-Object { $_ })
    if ($verbosity -ne 'Full') { $lines = @(Select-TestFrame $lines) }
    if ($verbosity -eq 'FirstLine') { foreach ($line in $lines) { return $line } }
    else { $lines }
}

# The part of a stack trace that is test code: nothing of the runner, and nothing beyond the frame that called the test.
function Select-TestFrame([string[]] $Lines) {
    $own = [System.IO.Path]::GetDirectoryName($PSScriptRoot)
    foreach ($line in $Lines) {
        if ($line.Contains([System.IO.Path]::Combine($PSScriptRoot, 'Scope.ps1'))) { return }
        $isOwn = $false
        foreach ($folder in 'Parts', 'Operators') { $isOwn = $isOwn -or $line.Contains([System.IO.Path]::Combine($own, $folder)) }
        if (-not $isOwn) { $line }
    }
}
