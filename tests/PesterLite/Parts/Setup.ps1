<#
.SYNOPSIS
Runs code before the first test of the block or file, in the block's scope.
#>
function BeforeAll {
    param ([Parameter(Mandatory, Position = 0)] [scriptblock] $ScriptBlock)
    Set-BlockSetup 'BeforeAll' $ScriptBlock
}

<#
.SYNOPSIS
Runs code after the last test of the block or file, in the block's scope, whether or not tests failed.
#>
function AfterAll {
    param ([Parameter(Mandatory, Position = 0)] [scriptblock] $ScriptBlock)
    Set-BlockSetup 'AfterAll' $ScriptBlock
}

<#
.SYNOPSIS
Runs code before each test in the block and the blocks inside, in the test's scope.
#>
function BeforeEach {
    param ([Parameter(Mandatory, Position = 0)] [scriptblock] $ScriptBlock)
    Set-BlockSetup 'BeforeEach' $ScriptBlock
}

<#
.SYNOPSIS
Runs code after each test in the block and the blocks inside, in the test's scope, whether or not it failed.
#>
function AfterEach {
    param ([Parameter(Mandatory, Position = 0)] [scriptblock] $ScriptBlock)
    Set-BlockSetup 'AfterEach' $ScriptBlock
}

<#
.SYNOPSIS
Runs code at once, during discovery, in the scope of the body that holds it.
#>
function BeforeDiscovery {
    param ([Parameter(Mandatory, Position = 0)] [scriptblock] $ScriptBlock)
    Assert-Discovering 'BeforeDiscovery'
    . $ScriptBlock
}

function Set-BlockSetup([string] $Kind, [scriptblock] $ScriptBlock) {
    Assert-Discovering $Kind
    $block = $script:Run.CurrentBlock
    if ($block.Command -eq 'Root' -and $Kind -like '*Each') {
        throw [System.InvalidOperationException]::new("$Kind is outside any Describe, which Pester does not allow; put it in one.")
    }
    if ($block.Setup.ContainsKey($Kind)) {
        $where = if ($block.Name) { "'$($block.Name)'" } else { 'The file' }
        throw [System.InvalidOperationException]::new("$where has more than one $Kind; join them into one.")
    }
    $block.Setup[$Kind] = $ScriptBlock
}
