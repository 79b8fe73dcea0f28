<#
.SYNOPSIS
    Runs the worked example of Adams and Agesen's paper (ASPLOS 2006, section 3.1) and shows what the translator made of it.
.DESCRIPTION
    isPrime(49) is run with the paper's translation units, of 12 instructions at most. What is left in the translation cache is what the
    paper shows: four compiled code fragments. The block that returns 1 is never executed and so never translated; of the continuations
    two are left, two have become fall-through, and one has become a jump back to nexti.
.EXAMPLE
    ./isprime.ps1
    Shows the fragments of isPrime(49).
.EXAMPLE
    ./isprime.ps1 -Number 53 -UnitLimit 64
    Of a prime, by the units that the translator makes unless told otherwise.
#>
[CmdletBinding()]
param(
    # What to test.
    [ValidateRange(1, [int]::MaxValue)]
    [int] $Number = 49,
    # Guest instructions of a unit at most; the paper's units are of 12.
    [ValidateRange(1, 64)]
    [int] $UnitLimit = 12,
    # Only the guest's side.
    [switch] $NoHostCode
)

$ErrorActionPreference = 'Stop'
$root = [IO.Path]::GetDirectoryName($PSScriptRoot)
if (-not (Get-Command New-VirtualMachine -ErrorAction Ignore)) {
    if (-not [IO.File]::Exists([IO.Path]::Combine($root, 'module', 'bin', 'X86Virt.PowerShell.dll'))) {
        $null = & ([IO.Path]::Combine($root, 'build.ps1')) Build
    }
    Import-Module ([IO.Path]::Combine($root, 'module', 'X86Virt.psd1'))
}

$guest = [X86Virt.Guests.BuiltInGuest]::IsPrime($Number)
$image = [IO.Path]::GetTempFileName()
$vm = $null
try {
    [IO.File]::WriteAllBytes($image, $guest.Image)
    $vm = New-VirtualMachine -FlatBinary $image -LoadAddress $guest.LoadAddress -BootMode Long -Memory 16MB -Engine BinaryTranslation -TranslationUnitLimit $UnitLimit -ProfileTranslation
    Start-VM $vm -Wait
    $labels = @{}
    foreach ($symbol in $guest.Symbols.GetEnumerator()) { $labels[$symbol.Value] = $symbol.Key }
    $name = { param($address) if ($labels.ContainsKey($address)) { $labels[$address] } else { '0x{0:x}' -f $address } }
    $start = $guest.Symbols['isPrime']
    $units = @(Get-TranslationUnit $vm | Where-Object { $_.Address -ge $start })

    "isPrime($Number) is $(if ($vm.ExitCode -eq 3) { 'prime' } else { 'not prime' }): $($vm.InstructionsRetired) instructions, $($units.Count) compiled code fragments"
    foreach ($unit in $units) {
        ''
        "$(& $name $unit.Address)':   ; ran $($unit.Executions) times"
        foreach ($instruction in $unit.Instructions) {
            '    {0,-34} ; {1}' -f $instruction.Text, $instruction.Kind
            if (-not $NoHostCode) { foreach ($line in $instruction.Host) { "        $line" } }
        }
        foreach ($link in $unit.LinksOut) {
            switch ($link.Kind) {
                'FallThrough' { "    ; falls through to $(& $name $link.Target)'" }
                'Chained' { "    ; jumps to $(& $name $link.Target)'" }
                'Continuation' { "    ; continuation: [$(& $name $link.Target)] was never reached from here" }
                default { "    ; $link".TrimEnd() }
            }
        }
    }
}
finally {
    if ($vm) { Remove-VirtualMachine $vm -Force -Confirm:$false }
    [IO.File]::Delete($image)
}
