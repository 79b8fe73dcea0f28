Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'

# The run in progress; none outside Invoke-Pester. Nested runs stack through its Outer property.
$script:Run = $null

foreach ($folder in 'Parts', 'Operators', 'Reports') {
    $files = [System.IO.Directory]::GetFiles([System.IO.Path]::Combine($PSScriptRoot, $folder), '*.ps1')
    [array]::Sort($files, [System.StringComparer]::Ordinal)
    foreach ($file in $files) { . $file }
}
