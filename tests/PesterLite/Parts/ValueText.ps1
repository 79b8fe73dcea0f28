# How a value is written in a failure message: as much like PowerShell source as is short enough to read.
function Format-Value($Value, [int] $Depth = 0) {
    if ($null -eq $Value) { return '$null' }
    if ($Value -is [string]) { return "'$Value'" }
    if ($Value -is [bool]) { return "`$$Value".ToLowerInvariant() }
    if ($Value -is [type]) { return "[$Value]" }
    if ($Value -is [scriptblock]) { return "{$Value}" }
    if ($Value -is [enum] -or $Value -is [char]) { return "'$Value'" }
    if ($Value -is [double] -or $Value -is [single]) { return $Value.ToString('R', [cultureinfo]::InvariantCulture) }
    if ($Value -is [datetime]) { return $Value.ToString('o') }
    if ($Depth -lt 3 -and $Value -is [System.Collections.IDictionary]) {
        $pairs = foreach ($key in $Value.Keys) { "$key=$(Format-Value $Value[$key] ($Depth + 1))" }
        return "@{$($pairs -join '; ')}"
    }
    if ($Depth -lt 3 -and $Value -is [System.Collections.ICollection]) {
        $items = [System.Collections.Generic.List[string]]::new()
        foreach ($item in $Value) {
            if ($items.Count -ge 20) { $items.Add("... $($Value.Count) in all"); break }
            $items.Add((Format-Value $item ($Depth + 1)))
        }
        return "@($($items -join ', '))"
    }
    if ($Depth -lt 2 -and $Value -is [System.Management.Automation.PSCustomObject]) {
        $pairs = foreach ($property in $Value.PSObject.Properties) { "$($property.Name)=$(Format-Value $property.Value ($Depth + 1))" }
        return "[pscustomobject]@{$($pairs -join '; ')}"
    }
    [string]$Value
}

# Where two strings part, for a message about them; nothing for other values.
function Get-FirstDifference($Expected, $Actual, [bool] $CaseSensitive) {
    if ($Expected -isnot [string] -or $Actual -isnot [string]) { return }
    $length = [math]::Min($Expected.Length, $Actual.Length)
    for ($i = 0; $i -lt $length; $i++) {
        $same = if ($CaseSensitive) { $Expected[$i] -ceq $Actual[$i] } else { [string]$Expected[$i] -eq [string]$Actual[$i] }
        if (-not $same) { break }
    }
    " (lengths $($Expected.Length) and $($Actual.Length), first difference at index $i)"
}
