<#
.SYNOPSIS
Declares a test; its script block runs after discovery, in a scope below that of its block.
#>
function It {
    param (
        [Parameter(Mandatory, Position = 0)] [string] $Name,
        [Parameter(Position = 1)] [scriptblock] $Test,
        [Alias('TestCases')] [AllowNull()] [AllowEmptyCollection()] [object[]] $ForEach,
        [Alias('Tags')] [string[]] $Tag = @(),
        [switch] $Skip,
        [switch] $AllowNullOrEmptyForEach
    )

    Assert-Discovering 'It'
    if (-not $Test) {
        throw [System.ArgumentException]::new("It '$Name' has no script block; put its opening brace on the same line.")
    }
    $parent = $script:Run.CurrentBlock
    if ($parent.Command -eq 'Root') { throw [System.InvalidOperationException]::new("It '$Name' is outside any Describe; put it in one.") }
    foreach ($row in Get-DataRow $PSBoundParameters 'It') {
        $parent.Order.Add([pscustomobject]@{
                PSTypeName     = 'PesterLite.Test'
                Command        = 'It'
                Name           = $Name
                Path           = @($parent.Path; $Name)
                ExpandedName   = $Name
                ExpandedPath   = (@($parent.Path; $Name) -join '.')
                Tag            = $Tag
                Skip           = [bool]$Skip
                HasData        = $row.HasData
                Data           = $row.Data
                ScriptBlock    = $Test
                File           = $MyInvocation.ScriptName
                StartLine      = $MyInvocation.ScriptLineNumber
                Parent         = $parent
                Block          = $parent
                ShouldRun      = $false
                Executed       = $false
                Passed         = $false
                Skipped        = $false
                Inconclusive   = $false
                Result         = 'NotRun'
                ErrorRecord    = [System.Collections.Generic.List[object]]::new()
                StandardOutput = $null
                Duration       = [timespan]::Zero
            })
    }
}
