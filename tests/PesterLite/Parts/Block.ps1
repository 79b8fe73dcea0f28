<#
.SYNOPSIS
Groups tests. Its body runs at discovery and only declares what it contains.
#>
function Describe {
    param (
        [Parameter(Mandatory, Position = 0)] [string] $Name,
        [Parameter(Position = 1)] [scriptblock] $Fixture,
        [Alias('Tags')] [string[]] $Tag = @(),
        [switch] $Skip,
        [Alias('TestCases')] [AllowNull()] [AllowEmptyCollection()] [object[]] $ForEach,
        [switch] $AllowNullOrEmptyForEach
    )
    Add-Block 'Describe' $PSBoundParameters $MyInvocation
}

<#
.SYNOPSIS
Groups tests within a Describe; the same as Describe but for its heading.
#>
function Context {
    param (
        [Parameter(Mandatory, Position = 0)] [string] $Name,
        [Parameter(Position = 1)] [scriptblock] $Fixture,
        [Alias('Tags')] [string[]] $Tag = @(),
        [switch] $Skip,
        [Alias('TestCases')] [AllowNull()] [AllowEmptyCollection()] [object[]] $ForEach,
        [switch] $AllowNullOrEmptyForEach
    )
    Add-Block 'Context' $PSBoundParameters $MyInvocation
}

function Add-Block([string] $Command, $Bound, $Invocation) {
    Assert-Discovering $Command
    if (-not $Bound['Fixture']) {
        throw [System.ArgumentException]::new("$Command '$($Bound.Name)' has no script block; put its opening brace on the same line.")
    }
    $parent = $script:Run.CurrentBlock
    foreach ($row in Get-DataRow $Bound $Command) {
        $block = New-Block -Command $Command -Name $Bound.Name -Parent $parent -Row $row
        $block.Tag = @($Bound['Tag'])
        $block.Skip = [bool]$Bound['Skip']
        $block.ScriptBlock = $Bound.Fixture
        $block.File = $Invocation.ScriptName
        $block.StartLine = $Invocation.ScriptLineNumber
        $parent.Order.Add($block)
        $script:Run.CurrentBlock = $block
        try {
            Invoke-Frame $script:DiscoveryFrame @{
                Item      = $block
                Body      = $Bound.Fixture
                Arguments = Get-BodyArgument $Bound.Fixture $block.Data
                Enter     = { param ($frame) Set-ScopeData $frame.Item }
                Leave     = { }
            }
        }
        finally { $script:Run.CurrentBlock = $parent }
    }
}

# One row for each item of -ForEach; one row without data where there is no -ForEach.
function Get-DataRow($Bound, [string] $Command) {
    if (-not $Bound.ContainsKey('ForEach')) { return @{ HasData = $false; Data = $null } }
    $items = $Bound['ForEach']
    if ($null -eq $items -or $items.Count -eq 0) {
        if ($script:Run.Configuration.Run.FailOnNullOrEmptyForEach.Value -and -not $Bound['AllowNullOrEmptyForEach']) {
            throw [System.ArgumentException]::new("The -ForEach of $Command '$($Bound.Name)' is empty, so nothing would be tested; give it items or -AllowNullOrEmptyForEach.")
        }
        return
    }
    foreach ($item in $items) { @{ HasData = $true; Data = $item } }
}

function New-Block([string] $Command, [string] $Name, $Parent, $Row) {
    [pscustomobject]@{
        PSTypeName   = 'PesterLite.Block'
        Command      = $Command
        Name         = $Name
        Path         = @(if ($Parent) { $Parent.Path }; if ($Name) { $Name })
        ExpandedName = $Name
        ExpandedPath = if ($Parent -and $Parent.ExpandedPath) { "$($Parent.ExpandedPath).$Name" } else { $Name }
        Tag          = @()
        Skip         = $false
        HasData      = $Row.HasData
        Data         = $Row.Data
        ScriptBlock  = $null
        File         = $null
        StartLine    = 0
        Parent       = $Parent
        Order        = [System.Collections.Generic.List[object]]::new()
        Setup        = @{}
        ShouldRun    = $false
        Result       = 'NotRun'
        ErrorRecord  = [System.Collections.Generic.List[object]]::new()
        Duration     = [timespan]::Zero
    }
}

function Assert-Discovering([string] $Command) {
    if (-not $script:Run) {
        throw [System.InvalidOperationException]::new("$Command was called outside a test run; run the file with Invoke-Pester.")
    }
    if ($script:Run.Phase -ne 'Discovery') {
        throw [System.InvalidOperationException]::new("$Command was called while tests run; it belongs in the body of a file, Describe or Context.")
    }
}
