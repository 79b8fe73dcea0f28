<#
.SYNOPSIS
    Writes the module's help file from the doc comments of its cmdlets.
.DESCRIPTION
    Get-Help reads MAML; the sources have XML doc comments, and the cmdlets themselves know their parameters. This puts the two together.
    Needs the module built (Release) and nothing beyond System.Management.Automation. A test fails when the file is out of date.
.EXAMPLE
    ./build/Help.ps1
    Writes module/en-US/X86Virt.PowerShell.dll-Help.xml.
#>
[CmdletBinding()]
param(
    # Where to write.
    [string] $Path
)

$ErrorActionPreference = 'Stop'
$module = [IO.Path]::Combine([IO.Path]::GetDirectoryName($PSScriptRoot), 'module')
if (-not $Path) { $Path = [IO.Path]::Combine($module, 'en-US', 'X86Virt.PowerShell.dll-Help.xml') }
$commands = (Import-Module ([IO.Path]::Combine($module, 'X86Virt.psd1')) -PassThru).ExportedCmdlets

$comments = @{}
$document = [xml][IO.File]::ReadAllText([IO.Path]::Combine($module, 'bin', 'X86Virt.PowerShell.xml'))
foreach ($member in $document.SelectNodes('/doc/members/member')) { $comments[$member.GetAttribute('name')] = $member }

$namespaces = @{ command = 'http://schemas.microsoft.com/maml/dev/command/2004/10'; maml = 'http://schemas.microsoft.com/maml/2004/10'; dev = 'http://schemas.microsoft.com/maml/dev/2004/10' }
$common = @{ WhatIf = 'Show what would be done, and do nothing.'; Confirm = 'Ask before each action.' }

# <prefix:name attributes> content </prefix:name>; the content is a script block or text.
function Write-Element([string] $Name, $Content, [Collections.IDictionary] $Attributes = @{}) {
    $prefix, $local = $Name.Split(':')
    $xml.WriteStartElement($prefix, $local, $namespaces[$prefix])
    foreach ($key in $Attributes.Keys) { $xml.WriteAttributeString($key, $Attributes[$key]) }
    if ($Content -is [scriptblock]) { & $Content } elseif ($null -ne $Content) { $xml.WriteString([string]$Content) }
    $xml.WriteEndElement()
}

function Write-Description([string[]] $Paragraphs) {
    Write-Element maml:description { foreach ($text in $Paragraphs) { Write-Element maml:para $text } }
}

# The text of a comment's elements, on one line each.
function Get-CommentText([string] $Member, [string] $Elements) {
    if (-not $comments.ContainsKey($Member)) { return }
    foreach ($node in $comments[$Member].SelectNodes($Elements)) { ($node.InnerText -split '\s+' -ne '') -join ' ' }
}

function Get-ParameterText($Command, [string] $Name) {
    if ($common.ContainsKey($Name)) { return $common[$Name] }
    $declaring = $Command.ImplementingType.GetProperty($Name).DeclaringType
    Get-CommentText "P:$($declaring.FullName).$Name" 'summary'
}

function Get-TypeText([type] $Type) {
    $element = if ($Type.IsArray) { $Type.GetElementType() } else { $Type }
    $underlying = [Nullable]::GetUnderlyingType($element)
    $(if ($underlying) { $underlying } else { $element }).Name + $(if ($Type.IsArray) { '[]' } else { '' })
}

function Write-Parameter($Command, $Parameter, [bool] $InSyntax) {
    $pipeline = @(
        if ($Parameter.ValueFromPipeline) { 'ByValue' }
        if ($Parameter.ValueFromPipelineByPropertyName) { 'ByPropertyName' }
    ) -join ', '
    $type = $Parameter.ParameterType
    $isSwitch = $type -eq [switch]
    # -WhatIf and -Confirm are no properties of the cmdlet.
    $property = $Command.ImplementingType.GetProperty($Parameter.Name)
    $globbing = $property -and $property.IsDefined([System.Management.Automation.SupportsWildcardsAttribute], $true)
    Write-Element command:parameter -Attributes ([ordered]@{
            required       = "$($Parameter.IsMandatory)".ToLowerInvariant()
            variableLength = "$($type.IsArray)".ToLowerInvariant()
            globbing       = "$([bool]$globbing)".ToLowerInvariant()
            pipelineInput  = if ($pipeline) { "True ($pipeline)" } else { 'False' }
            position       = if ($Parameter.Position -ge 0) { "$($Parameter.Position)" } else { 'named' }
            aliases        = if ($Parameter.Aliases.Count) { $Parameter.Aliases -join ', ' } else { 'none' }
        }) -Content {
        Write-Element maml:name $Parameter.Name
        Write-Description (Get-ParameterText $Command $Parameter.Name)
        $element = if ($type.IsArray) { $type.GetElementType() } else { $type }
        if ($InSyntax -and $element.IsEnum) {
            Write-Element command:parameterValueGroup {
                foreach ($value in [Enum]::GetNames($element)) { Write-Element command:parameterValue $value ([ordered]@{ required = 'false'; variableLength = 'false' }) }
            }
        }
        if (-not ($InSyntax -and $isSwitch)) {
            Write-Element command:parameterValue (Get-TypeText $type) ([ordered]@{ required = "$(-not $isSwitch)".ToLowerInvariant(); variableLength = "$($type.IsArray)".ToLowerInvariant() })
        }
        if (-not $InSyntax) { Write-Element dev:type { Write-Element maml:name (Get-TypeText $type) } }
    }
}

# What people write, in the order in which they write it: without -Verbose and its kin, positions first.
function Get-OwnParameter($ParameterSet) {
    $own = foreach ($parameter in $ParameterSet.Parameters) {
        if ($parameter.Name -notin [System.Management.Automation.PSCmdlet]::CommonParameters) { $parameter }
    }
    foreach ($parameter in $own) { if ($parameter.Position -ge 0) { $parameter } }
    foreach ($parameter in $own) { if ($parameter.Position -lt 0) { $parameter } }
}

function Write-Command($Command) {
    $type = "T:$($Command.ImplementingType.FullName)"
    $xml.WriteStartElement('command', 'command', $namespaces.command)
    foreach ($prefix in 'maml', 'dev') { $xml.WriteAttributeString('xmlns', $prefix, $null, $namespaces[$prefix]) }
    Write-Element command:details {
        Write-Element command:name $Command.Name
        Write-Description (Get-CommentText $type 'summary')
        Write-Element command:verb $Command.Verb
        Write-Element command:noun $Command.Noun
    }
    $remarks = Get-CommentText $type 'remarks/para'
    Write-Description $(if ($remarks) { $remarks } else { Get-CommentText $type 'summary' })
    Write-Element command:syntax {
        foreach ($set in $Command.ParameterSets) {
            Write-Element command:syntaxItem {
                Write-Element maml:name $Command.Name
                foreach ($parameter in Get-OwnParameter $set) { Write-Parameter $Command $parameter $true }
            }
        }
    }
    Write-Element command:parameters {
        $written = @{}
        foreach ($set in $Command.ParameterSets) {
            foreach ($parameter in Get-OwnParameter $set) {
                if (-not $written[$parameter.Name]) { Write-Parameter $Command $parameter $false }
                $written[$parameter.Name] = $true
            }
        }
    }
    Write-Element command:returnValues {
        foreach ($output in $Command.OutputType) {
            Write-Element command:returnValue { Write-Element dev:type { Write-Element maml:name $output.Name } }
        }
    }
    Write-Element command:examples {
        $number = 0
        foreach ($example in $comments[$type].SelectNodes('example')) {
            $number++
            Write-Element command:example {
                Write-Element maml:title "---------- Example $number ----------"
                Write-Element dev:code $example.SelectSingleNode('code').InnerText.Trim()
                Write-Element dev:remarks { Write-Element maml:para (($example.SelectSingleNode('para').InnerText -split '\s+' -ne '') -join ' ') }
            }
        }
    }
    Write-Element command:relatedLinks {
        Write-Element maml:navigationLink { Write-Element maml:linkText 'about_X86Virt'; Write-Element maml:uri '' }
    }
    $xml.WriteEndElement()
}

$settings = [Xml.XmlWriterSettings]@{ Indent = $true; NewLineChars = "`n"; Encoding = [Text.UTF8Encoding]::new($false) }
$null = [IO.Directory]::CreateDirectory([IO.Path]::GetDirectoryName($Path))
$xml = [Xml.XmlWriter]::Create($Path, $settings)
try {
    $xml.WriteStartElement('helpItems', 'http://msh')
    $xml.WriteAttributeString('schema', 'maml')
    $names = [string[]]$commands.Keys
    [Array]::Sort($names, [StringComparer]::Ordinal)
    foreach ($name in $names) { Write-Command $commands[$name] }
    $xml.WriteEndElement()
}
finally { $xml.Dispose() }
