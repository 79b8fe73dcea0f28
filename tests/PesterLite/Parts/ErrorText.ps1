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
    if ($verbosity -ne 'Full') {
        $own = [System.IO.Path]::GetDirectoryName($PSScriptRoot)
        $lines = @($lines | Where-Object {
                -not ($_.Contains([System.IO.Path]::Combine($own, 'Parts')) -or $_.Contains([System.IO.Path]::Combine($own, 'Operators')) -or
                    $_.Contains([System.IO.Path]::Combine($own, 'ScriptScope.ps1')))
            })
    }
    if ($verbosity -eq 'FirstLine') { $lines = @($lines | ForEach-Object { $_ })[0..0] }
    $lines
}
