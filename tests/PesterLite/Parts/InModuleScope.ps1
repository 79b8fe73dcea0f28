<#
.SYNOPSIS
Runs code inside a script module, where it sees what the module does not export.
.PARAMETER Parameters
Values for the code; each is also a variable of the same name.
#>
function InModuleScope {
    [CmdletBinding()]
    param (
        [Parameter(Mandatory, Position = 0)] [string] $ModuleName,
        [Parameter(Mandatory, Position = 1)] [scriptblock] $ScriptBlock,
        [System.Collections.IDictionary] $Parameters = @{},
        [object[]] $ArgumentList = @()
    )

    $modules = @(Get-Module -Name $ModuleName -All)
    $module = @($modules | Where-Object ModuleType -EQ 'Script')
    if ($module.Count -ne 1) {
        $found = if ($modules) { "$($module.Count) loaded script modules have" } else { 'no loaded module has' }
        throw [System.InvalidOperationException]::new("InModuleScope wants one script module '$ModuleName', but $found that name; import it once.")
    }

    $frame = $module[0].NewBoundScriptBlock({
            param ($______frame)
            foreach ($______name in $______frame.Parameters.Keys) {
                $ExecutionContext.SessionState.PSVariable.Set($______name, $______frame.Parameters[$______name])
            }
            $______named = $______frame.Named
            $______rest = $______frame.ArgumentList
            . $______frame.Body @______named @______rest
        })
    & $frame @{
        Parameters   = $Parameters
        Named        = Get-BodyArgument $ScriptBlock $Parameters
        ArgumentList = $ArgumentList
        Body         = $module[0].NewBoundScriptBlock($ScriptBlock)
    }
}
