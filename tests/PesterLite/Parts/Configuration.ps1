# Options convert from plain values on assignment, so `$c.Run.Path = 'x'` and `$c.Run.Path.Value` both work.

class PesterLiteText {
    [string] $Value
    PesterLiteText([object] $value) { $this.Value = $value }
    [string] ToString() { return $this.Value }
}

class PesterLiteTextList {
    [string[]] $Value
    PesterLiteTextList([object] $value) { $this.Value = [string[]]@($value) }
    [string] ToString() { return $this.Value -join ', ' }
}

class PesterLiteSwitch {
    [bool] $Value
    PesterLiteSwitch([object] $value) { $this.Value = $value }
    [string] ToString() { return [string]$this.Value }
}

class PesterLiteObjectList {
    [object[]] $Value
    PesterLiteObjectList([object] $value) { $this.Value = @($value) }
    [string] ToString() { return $this.Value -join ', ' }
}

class PesterLiteRunOptions {
    [PesterLiteTextList] $Path = @('.')
    [PesterLiteTextList] $ExcludePath = @()
    [PesterLiteObjectList] $ScriptBlock = @()
    [PesterLiteObjectList] $Container = @()
    [PesterLiteText] $TestExtension = '.Tests.ps1'
    [PesterLiteSwitch] $Exit = $false
    [PesterLiteSwitch] $Throw = $false
    [PesterLiteSwitch] $PassThru = $false
    [PesterLiteSwitch] $SkipRun = $false
    [PesterLiteSwitch] $FailOnNullOrEmptyForEach = $true
}

class PesterLiteFilterOptions {
    [PesterLiteTextList] $Tag = @()
    [PesterLiteTextList] $ExcludeTag = @()
    [PesterLiteTextList] $Line = @()
    [PesterLiteTextList] $ExcludeLine = @()
    [PesterLiteTextList] $FullName = @()
}

class PesterLiteTestResultOptions {
    [PesterLiteSwitch] $Enabled = $false
    [PesterLiteText] $OutputFormat = 'NUnitXml'
    [PesterLiteText] $OutputPath = 'testResults.xml'
    [PesterLiteText] $TestSuiteName = 'Pester'
}

class PesterLiteOutputOptions {
    [PesterLiteText] $Verbosity = 'Normal'
    [PesterLiteText] $StackTraceVerbosity = 'Filtered'
    [PesterLiteText] $RenderMode = 'Auto'
}

class PesterLiteShouldOptions {
    [PesterLiteText] $ErrorAction = 'Stop'
}

class PesterLiteToggle {
    [PesterLiteSwitch] $Enabled
    PesterLiteToggle([bool] $enabled) { $this.Enabled = $enabled }
}

class PesterLiteConfiguration {
    [PesterLiteRunOptions] $Run = [PesterLiteRunOptions]::new()
    [PesterLiteFilterOptions] $Filter = [PesterLiteFilterOptions]::new()
    [PesterLiteTestResultOptions] $TestResult = [PesterLiteTestResultOptions]::new()
    [PesterLiteOutputOptions] $Output = [PesterLiteOutputOptions]::new()
    [PesterLiteShouldOptions] $Should = [PesterLiteShouldOptions]::new()
    [PesterLiteToggle] $TestDrive = [PesterLiteToggle]::new($true)
    [PesterLiteToggle] $TestRegistry = [PesterLiteToggle]::new($false)
    [PesterLiteToggle] $CodeCoverage = [PesterLiteToggle]::new($false)
}

<#
.SYNOPSIS
Makes the configuration that Invoke-Pester takes, with defaults for all that the hashtable does not name.
.PARAMETER Hashtable
Sections and their options, as in @{ Run = @{ Path = 'tests' } }.
#>
function New-PesterConfiguration {
    [CmdletBinding()]
    param ([System.Collections.IDictionary] $Hashtable = @{})

    $configuration = [PesterLiteConfiguration]::new()
    foreach ($sectionName in $Hashtable.Keys) {
        $section = Get-ConfigurationMember $configuration $sectionName 'configuration section'
        foreach ($optionName in $Hashtable[$sectionName].Keys) {
            $null = Get-ConfigurationMember $section $optionName "$sectionName option"
            $value = $Hashtable[$sectionName][$optionName]
            # Options taken from another configuration are read as their values.
            if ($value -and $value.GetType().Name -like 'PesterLite*') { $value = $value.Value }
            $section.$optionName = $value
        }
    }
    $configuration
}

function Get-ConfigurationMember($Owner, [string] $Name, [string] $Kind) {
    $property = $Owner.PSObject.Properties[$Name]
    if ($property) { return $property.Value }
    $known = @($Owner.PSObject.Properties.Name) -join ', '
    throw [System.ArgumentException]::new("There is no $Kind '$Name'; there are: $known.")
}

function Assert-Choice([string] $Name, [string] $Value, [string[]] $Choices) {
    if ($Value -in $Choices) { return }
    throw [System.ArgumentException]::new("$Name is '$Value'; it must be one of: $($Choices -join ', ').")
}

function Assert-Configuration($Configuration) {
    Assert-Choice 'Output.Verbosity' $Configuration.Output.Verbosity.Value 'None', 'Normal', 'Detailed', 'Diagnostic'
    Assert-Choice 'Output.StackTraceVerbosity' $Configuration.Output.StackTraceVerbosity.Value 'None', 'FirstLine', 'Filtered', 'Full'
    Assert-Choice 'Output.RenderMode' $Configuration.Output.RenderMode.Value 'Auto', 'Ansi', 'ConsoleColor', 'Plaintext'
    Assert-Choice 'Should.ErrorAction' $Configuration.Should.ErrorAction.Value 'Stop', 'Continue'
    Assert-Choice 'TestResult.OutputFormat' $Configuration.TestResult.OutputFormat.Value 'NUnitXml', 'NUnit2.5', 'NUnit3', 'JUnitXml'
    foreach ($name in 'CodeCoverage', 'TestRegistry') {
        if ($Configuration.$name.Enabled.Value) {
            throw [System.NotSupportedException]::new("$name.Enabled is true; PesterLite has no $name, so run these tests under Pester or leave it off.")
        }
    }
}
