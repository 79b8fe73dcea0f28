# Writes the report that TestResult of the configuration asks for.
function Export-TestReport($Result) {
    $options = $Result.Configuration.TestResult
    $path = $script:Run.SessionState.Path.GetUnresolvedProviderPathFromPSPath($options.OutputPath.Value)
    $null = [System.IO.Directory]::CreateDirectory([System.IO.Path]::GetDirectoryName($path))

    $settings = [System.Xml.XmlWriterSettings]::new()
    $settings.Indent = $true
    $settings.CheckCharacters = $false
    $settings.Encoding = [System.Text.UTF8Encoding]::new($false)
    $writer = [System.Xml.XmlWriter]::Create($path, $settings)
    try {
        $writer.WriteStartDocument()
        switch ($options.OutputFormat.Value) {
            'NUnit3' { Write-NUnit3Report $writer $Result }
            'JUnitXml' { Write-JUnitReport $writer $Result }
            default { Write-NUnit2Report $writer $Result }
        }
        $writer.WriteEndDocument()
    }
    finally { $writer.Dispose() }
}

# Writes an element with its attributes; the body writes what it contains.
function Write-Element($Writer, [string] $Name, [System.Collections.IDictionary] $Attributes, [scriptblock] $Body) {
    $Writer.WriteStartElement($Name)
    foreach ($key in $Attributes.Keys) { $Writer.WriteAttributeString($key, (ConvertTo-XmlText $Attributes[$key])) }
    if ($Body) { & $Body }
    $Writer.WriteEndElement()
}

function Write-TextElement($Writer, [string] $Name, [string] $Text) {
    $Writer.WriteElementString($Name, (ConvertTo-XmlText $Text))
}

# Characters that XML cannot hold, such as escape, are shown by their control pictures.
function ConvertTo-XmlText($Value) {
    [regex]::Replace([string]$Value, '[\x00-\x08\x0B\x0C\x0E-\x1F\uFFFE\uFFFF]', {
            param ($match)
            $code = [int]$match.Value[0]
            if ($code -lt 0x20) { [string][char](0x2400 + $code) } else { [string][char]0xFFFD }
        })
}

function Format-Seconds([timespan] $Duration) { $Duration.TotalSeconds.ToString('0.####', [cultureinfo]::InvariantCulture) }

function Get-FailureMessage($Item) { @(foreach ($record in $Item.ErrorRecord) { Get-ErrorMessage $record }) -join "`n" }

function Get-FailurePosition($Item) { @(foreach ($record in $Item.ErrorRecord) { Get-ErrorPosition $record }) -join "`n" }

# What ran in a block, in order; tests that the filters left out are not reported.
function Get-ReportItem($Block) { @($Block.Order | Where-Object ShouldRun) }

