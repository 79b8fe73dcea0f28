<#
.SYNOPSIS
Ends the running test as skipped or inconclusive.
#>
function Set-ItResult {
    [CmdletBinding()]
    param (
        [Parameter(Mandatory, ParameterSetName = 'Inconclusive')] [switch] $Inconclusive,
        [Parameter(Mandatory, ParameterSetName = 'Skipped')] [switch] $Skipped,
        [string] $Because
    )

    $result = $PSCmdlet.ParameterSetName
    $message = "is $($result.ToLowerInvariant())" + $(if ($Because) { ", because $Because" })
    throw [System.Management.Automation.ErrorRecord]::new(
        [System.Exception]::new($message), "PesterTest$result", 'InvalidResult', $null)
}

# The result of a test that ended with these errors. A true failure outweighs what Set-ItResult said.
function Get-TestOutcome($Errors) {
    $kinds = @(foreach ($record in $Errors) { $record.FullyQualifiedErrorId.Split(',')[0] })
    $wanted = @($kinds -eq 'PesterTestInconclusive').Count + @($kinds -eq 'PesterTestSkipped').Count
    if ($kinds.Count -gt $wanted) { 'Failed' }
    elseif ($kinds -contains 'PesterTestInconclusive') { 'Inconclusive' }
    elseif ($kinds -contains 'PesterTestSkipped') { 'Skipped' }
    else { 'Passed' }
}
