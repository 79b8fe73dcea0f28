<#
.SYNOPSIS
Describes test files or a script block with the parameters to run them with.
.PARAMETER Data
Values for the parameters of the test file. Several hashtables give several runs of the file.
#>
function New-PesterContainer {
    [CmdletBinding(DefaultParameterSetName = 'Path')]
    param (
        [Parameter(Mandatory, ParameterSetName = 'Path')] [string[]] $Path,
        [Parameter(Mandatory, ParameterSetName = 'ScriptBlock')] [scriptblock[]] $ScriptBlock,
        [System.Collections.IDictionary[]] $Data = @(@{})
    )

    $items = if ($ScriptBlock) { $ScriptBlock } else { $Path }
    foreach ($item in $items) {
        foreach ($values in $Data) {
            [pscustomobject]@{
                PSTypeName = 'PesterLite.ContainerInfo'
                Type       = $PSCmdlet.ParameterSetName -replace 'Path', 'File'
                Item       = $item
                Data       = $values
            }
        }
    }
}

# The containers of a run, in the order given: explicit ones, script blocks, then files found below the paths.
function Get-Container($Configuration, [System.Management.Automation.SessionState] $SessionState) {
    $run = $Configuration.Run
    $explicit = @($run.Container.Value)
    $blocks = @($run.ScriptBlock.Value)

    foreach ($info in $explicit) {
        if ($info.Type -eq 'ScriptBlock') { New-Container -Type ScriptBlock -Item $info.Item -Data $info.Data; continue }
        foreach ($file in Find-TestFile $info.Item $run $SessionState) { New-Container -Type File -Item $file -Data $info.Data }
    }
    foreach ($block in $blocks) { New-Container -Type ScriptBlock -Item $block -Data @{} }

    # The default path stands for "tests below here" only when nothing else was asked for.
    if (($explicit.Count + $blocks.Count) -gt 0 -and ($run.Path.Value -join '') -eq '.') { return }
    foreach ($path in $run.Path.Value) {
        foreach ($file in Find-TestFile $path $run $SessionState) { New-Container -Type File -Item $file -Data @{} }
    }
}

function New-Container([string] $Type, $Item, [System.Collections.IDictionary] $Data) {
    [pscustomobject]@{
        PSTypeName        = 'PesterLite.Container'
        Type              = $Type
        Name              = if ($Type -eq 'File') { $Item } else { '<ScriptBlock>' }
        Item              = $Item
        Data              = $Data
        Root              = $null
        Blocks            = @()
        Result            = 'NotRun'
        ErrorRecord       = [System.Collections.Generic.List[object]]::new()
        Duration          = [timespan]::Zero
        DiscoveryDuration = [timespan]::Zero
        TotalCount        = 0
        PassedCount       = 0
        FailedCount       = 0
        SkippedCount      = 0
        InconclusiveCount = 0
        NotRunCount       = 0
    }
}

function Find-TestFile([string] $Path, $RunOptions, [System.Management.Automation.SessionState] $SessionState) {
    $provider = $null
    try { $found = @($SessionState.Path.GetResolvedProviderPathFromPSPath($Path, [ref]$provider)) }
    catch { $found = @() }
    if (-not $found) { throw [System.IO.FileNotFoundException]::new("The test path '$Path' does not exist; check Run.Path.") }

    $extension = $RunOptions.TestExtension.Value
    $excluded = foreach ($pattern in $RunOptions.ExcludePath.Value) {
        if ($pattern.StartsWith('*')) { $pattern } else { $SessionState.Path.GetUnresolvedProviderPathFromPSPath($pattern) }
    }
    foreach ($item in $found) {
        if (-not [System.IO.Directory]::Exists($item)) { $files = @($item) }
        else {
            $files = [System.IO.Directory]::GetFiles($item, "*$extension", 'AllDirectories')
            [array]::Sort($files, [System.StringComparer]::Ordinal)
        }
        foreach ($file in $files) {
            $skip = $false
            foreach ($pattern in $excluded) { $skip = $skip -or $file -like $pattern -or $file -like ([System.IO.Path]::Combine($pattern, '*')) }
            if (-not $skip) { $file }
        }
    }
}
