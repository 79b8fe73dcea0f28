# TestDrive: is a folder of its own for each container; what a block made there goes when the block ends.

function New-TestDrive {
    if (-not $script:Run.Configuration.TestDrive.Enabled.Value) { return }
    $path = [System.IO.Path]::Combine([System.IO.Path]::GetTempPath(), [guid]::NewGuid().ToString())
    $null = [System.IO.Directory]::CreateDirectory($path)
    $script:Run.TestDrivePath = $path
    Mount-TestDrive $path
}

function Remove-TestDrive {
    if (-not $script:Run.TestDrivePath) { return }
    Dismount-TestDrive
    [System.IO.Directory]::Delete($script:Run.TestDrivePath, $true)
    $script:Run.TestDrivePath = $null
    # A run started by a test gives the outer run its drive back.
    if ($script:Run.Outer -and $script:Run.Outer.TestDrivePath) { Mount-TestDrive $script:Run.Outer.TestDrivePath }
}

function Mount-TestDrive([string] $Path) {
    Dismount-TestDrive
    $state = $script:Run.SessionState
    $provider = $state.Provider.GetOne('FileSystem')
    $drive = [System.Management.Automation.PSDriveInfo]::new('TestDrive', $provider, $Path, 'Files of the running tests', $null)
    $null = $state.Drive.New($drive, 'Global')
    $state.PSVariable.Set('global:TestDrive', $Path)
}

function Dismount-TestDrive {
    $state = $script:Run.SessionState
    if ($state.Drive.GetAll().Name -contains 'TestDrive') { $state.Drive.Remove('TestDrive', $true, 'Global') }
    $state.PSVariable.Remove('global:TestDrive')
}

function Get-TestDriveContent {
    $content = [System.Collections.Generic.HashSet[string]]::new()
    if ($script:Run.TestDrivePath) {
        $content.UnionWith([System.IO.Directory]::EnumerateFileSystemEntries($script:Run.TestDrivePath, '*', 'AllDirectories'))
    }
    , $content
}

function Clear-TestDrive([System.Collections.Generic.HashSet[string]] $Keep) {
    if (-not $script:Run.TestDrivePath) { return }
    foreach ($entry in [System.IO.Directory]::GetFileSystemEntries($script:Run.TestDrivePath, '*', 'AllDirectories')) {
        if ($Keep.Contains($entry)) { continue }
        if ([System.IO.File]::Exists($entry)) { [System.IO.File]::Delete($entry) }
        elseif ([System.IO.Directory]::Exists($entry)) { [System.IO.Directory]::Delete($entry, $true) }
    }
}
