$parameters = [ordered]@{
    ParameterName = [string]; Type = [object]; DefaultValue = [object]; InParameterSet = [string]; Alias = [string[]]
    Mandatory = [switch]; HasArgumentCompleter = [switch]
}

Add-Operator -Name HaveParameter -Parameter $parameters -Test {
    param ($Actual, $Bound)
    if ($Actual -isnot [System.Management.Automation.CommandInfo]) {
        throw [System.ArgumentException]::new("Should -HaveParameter got $(Format-Value $Actual); pipe it a command from Get-Command.")
    }
    $name = $Bound['ParameterName']
    $wanted = "the command $($Actual.Name) with a parameter $name"
    if (-not $Actual.Parameters.ContainsKey($name)) { return New-Verdict $false $wanted 'no such parameter' }

    $parameter = $Actual.Parameters[$name]
    $sets = $parameter.ParameterSets
    $checks = [System.Collections.Generic.List[object]]::new()
    if ($Bound['InParameterSet']) {
        $inSet = $sets.ContainsKey($Bound.InParameterSet) -or $sets.ContainsKey('__AllParameterSets')
        $checks.Add(@($inSet, "in the set $($Bound.InParameterSet)", "the sets $($sets.Keys -join ', ')"))
        $sets = if ($sets.ContainsKey($Bound.InParameterSet)) { @{ $Bound.InParameterSet = $sets[$Bound.InParameterSet] } } else { $sets }
    }
    if ($Bound['Mandatory']) {
        $checks.Add(@((@($sets.Values.IsMandatory) -contains $true), 'mandatory', 'optional'))
    }
    if ($Bound['Type']) {
        $type = Resolve-ExpectedType $Bound.Type
        $checks.Add(@(($parameter.ParameterType -eq $type), "of type [$type]", "type [$($parameter.ParameterType)]"))
    }
    foreach ($alias in $Bound['Alias']) {
        $checks.Add(@(($parameter.Aliases -contains $alias), "with the alias $alias", "the aliases $(Format-Value @($parameter.Aliases))"))
    }
    if ($Bound['HasArgumentCompleter']) {
        $completed = @($parameter.Attributes | Where-Object { $_ -is [ArgumentCompleter] -or $_ -is [ArgumentCompletions] }).Count -gt 0
        $checks.Add(@($completed, 'with an argument completer', 'none'))
    }
    if ($Bound.ContainsKey('DefaultValue')) {
        $default = Get-ParameterDefault $Actual $name
        $checks.Add(@(($default -eq [string]$Bound.DefaultValue), "with the default $(Format-Value $Bound.DefaultValue)", "the default $(Format-Value $default)"))
    }
    $failed = @($checks | Where-Object { -not $_[0] })
    $wanted += -join ($checks | ForEach-Object { ", $($_[1])" })
    $got = if ($failed) { ($failed | ForEach-Object { $_[2] }) -join ' and ' } else { 'just that' }
    New-Verdict ($failed.Count -eq 0) $wanted $got
}

# The default as text: the value of a constant, the source of any other expression.
function Get-ParameterDefault($Command, [string] $Name) {
    if ($Command -isnot [System.Management.Automation.FunctionInfo]) {
        throw [System.ArgumentException]::new("$($Command.Name) is not a function, so the default of -$Name cannot be read.")
    }
    $ast = $Command.ScriptBlock.Ast
    $isFunction = $ast -is [System.Management.Automation.Language.FunctionDefinitionAst]
    $block = if ($isFunction) { $ast.Body.ParamBlock } else { $ast.ParamBlock }
    $parameters = if ($block) { $block.Parameters } elseif ($isFunction) { $ast.Parameters }
    foreach ($parameter in $parameters) {
        if ($parameter.Name.VariablePath.UserPath -ne $Name -or -not $parameter.DefaultValue) { continue }
        if ($parameter.DefaultValue -is [System.Management.Automation.Language.ConstantExpressionAst]) { return [string]$parameter.DefaultValue.Value }
        return $parameter.DefaultValue.Extent.Text
    }
    ''
}
