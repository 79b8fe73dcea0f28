# Each operator is one table entry made by Add-Operator; the parameters of Should are built from the table.
# An operator's test gets the actual value and the bound parameters and returns what New-Verdict makes.
$script:Operators = [ordered]@{}
$script:ShouldParameters = $null

function Add-Operator {
    param (
        [string] $Name,
        [string[]] $Alias = @(),
        # The operator judges all piped values as one array; otherwise each by itself.
        [switch] $TakesArray,
        # Positional parameters and their types, in order; switches are named only.
        [System.Collections.IDictionary] $Parameter = ([ordered]@{}),
        # Handed to the test, for operators that differ in little.
        [hashtable] $Variant = @{},
        [scriptblock] $Test
    )
    $script:Operators[$Name] = @{ Name = $Name; Alias = $Alias; TakesArray = [bool]$TakesArray; Parameter = $Parameter; Variant = $Variant; Test = $Test }
}

# Expectation completes "Expected …", or "Expected not …" under -Not. Output is passed on when the assertion holds.
function New-Verdict([bool] $Succeeded, [string] $Expectation, [string] $Actual, $Output) {
    @{ Succeeded = $Succeeded; Expectation = $Expectation; Actual = $Actual; Output = $Output }
}

<#
.SYNOPSIS
Asserts something about the piped value, or about -ActualValue; the operator is named by a switch.
#>
function Should {
    [CmdletBinding(PositionalBinding = $false)]
    param (
        [Parameter(ValueFromPipeline)] [AllowNull()] [object] $ActualValue,
        [switch] $Not
    )
    dynamicparam {
        if (-not $script:ShouldParameters) { $script:ShouldParameters = New-ShouldParameter }
        $script:ShouldParameters
    }
    begin {
        $values = [System.Collections.Generic.List[object]]::new()
        $piped = $MyInvocation.ExpectingInput
    }
    process {
        if ($piped) { $values.Add($ActualValue) }
    }
    end {
        $operator = $script:Operators[$PSCmdlet.ParameterSetName]
        $assertion = @{ Operator = $operator; Bound = $PSBoundParameters; Not = [bool]$Not; Invocation = $MyInvocation }
        if (-not $piped) { Test-Assertion $assertion $ActualValue }
        elseif ($values.Count -eq 0) { Test-Assertion $assertion $(if ($operator.TakesArray) { , @() }) }
        elseif ($operator.TakesArray) { Test-Assertion $assertion $values.ToArray() }
        else { foreach ($value in $values) { Test-Assertion $assertion $value } }
    }
}

function Test-Assertion($Assertion, $Actual) {
    $bound = $Assertion.Bound
    $verdict = & $Assertion.Operator.Test $Actual $bound $Assertion.Operator.Variant
    if ($verdict.Succeeded -ne $Assertion.Not) {
        if ($null -ne $verdict.Output) { $verdict.Output }
        return
    }

    $invocation = $Assertion.Invocation
    $message = 'Expected {0}{1}{2}, but got {3}.' -f $(if ($Assertion.Not) { 'not ' }), $verdict.Expectation,
    $(if ($bound['Because']) { ", because $($bound.Because -replace '^because\s+')" }), $verdict.Actual
    $record = [System.Management.Automation.ErrorRecord]::new([System.Exception]::new($message), 'PesterAssertionFailed', 'InvalidResult', @{
            Message  = $message
            File     = $invocation.ScriptName
            Line     = $invocation.ScriptLineNumber
            LineText = $invocation.Line.Trim()
        })

    $action = if ($bound.ContainsKey('ErrorAction')) { $bound.ErrorAction } elseif ($script:Run) { $script:Run.Configuration.Should.ErrorAction.Value } else { 'Stop' }
    if ($action -eq 'Continue' -and $script:Run -and $script:Run.CurrentTest) { $script:Run.CurrentTest.ErrorRecord.Add($record) }
    else { throw $record }
}

function New-ShouldParameter {
    $parameters = [System.Management.Automation.RuntimeDefinedParameterDictionary]::new()
    foreach ($operator in $script:Operators.Values) {
        Add-ShouldParameter $parameters $operator.Name ([switch]) $operator.Name -Mandatory -Alias $operator.Alias
        $position = 0
        foreach ($name in $operator.Parameter.Keys) {
            $type = $operator.Parameter[$name]
            if ($type -eq [switch]) { Add-ShouldParameter $parameters $name $type $operator.Name }
            else { Add-ShouldParameter $parameters $name $type $operator.Name -Position ($position++) }
        }
        Add-ShouldParameter $parameters 'Because' ([object]) $operator.Name -Position $position
    }
    $parameters
}

# Parameters of one name are shared by operators, with an attribute for each operator's parameter set.
function Add-ShouldParameter($Parameters, [string] $Name, [type] $Type, [string] $Set, [int] $Position = -1, [switch] $Mandatory, [string[]] $Alias) {
    if (-not $Parameters.ContainsKey($Name)) {
        $attributes = [System.Collections.ObjectModel.Collection[System.Attribute]]::new()
        if ($Alias) { $attributes.Add([System.Management.Automation.AliasAttribute]::new($Alias)) }
        if (-not $Type.IsValueType) { $attributes.Add([System.Management.Automation.AllowNullAttribute]::new()) }
        $Parameters.Add($Name, [System.Management.Automation.RuntimeDefinedParameter]::new($Name, $Type, $attributes))
    }
    $attribute = [System.Management.Automation.ParameterAttribute]::new()
    $attribute.ParameterSetName = $Set
    $attribute.Mandatory = [bool]$Mandatory
    if ($Position -ge 0) { $attribute.Position = $Position }
    $Parameters[$Name].Attributes.Add($attribute)
}
