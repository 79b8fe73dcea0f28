# Runs test code in a runspace of its own under the very runner that runs these tests, and returns its result object.
function Invoke-Sample([string] $Text, [hashtable] $Configuration = @{}) {
    $path = [System.IO.Path]::Combine($TestDrive, 'Sample.Tests.ps1')
    [System.IO.File]::WriteAllText($path, $Text)
    Invoke-SamplePath $path $Configuration
}

function Invoke-SamplePath([string] $Path, [hashtable] $Configuration = @{}) {
    $settings = @{ Run = @{ Path = $Path; PassThru = $true }; Output = @{ Verbosity = 'None' } }
    foreach ($section in $Configuration.Keys) {
        if (-not $settings.ContainsKey($section)) { $settings[$section] = @{} }
        foreach ($option in $Configuration[$section].Keys) { $settings[$section][$option] = $Configuration[$section][$option] }
    }
    $module = (Get-Command Invoke-Pester).Module
    $manifest = [System.IO.Path]::Combine($module.ModuleBase, "$($module.Name).psd1")

    $shell = [powershell]::Create([System.Management.Automation.Runspaces.InitialSessionState]::CreateDefault2())
    try {
        $null = $shell.AddCommand('Import-Module').AddParameter('Name', $manifest)
        $null = $shell.Invoke()
        $shell.Commands.Clear()
        $null = $shell.AddCommand('Invoke-Pester').AddParameter('Configuration', $settings)
        $shell.Invoke() | ForEach-Object { $_ }
    }
    finally { $shell.Dispose() }
}

# The result of each test of a run, by name.
function Get-SampleResult($Run) {
    $results = @{}
    foreach ($test in $Run.Tests) { $results[$test.ExpandedPath] = [string]$test.Result }
    $results
}
