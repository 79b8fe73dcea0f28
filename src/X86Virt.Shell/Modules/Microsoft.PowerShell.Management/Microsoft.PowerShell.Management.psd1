@{
    # Stands in for the module of this name on machines without pwsh: the cmdlets that the engine package itself lacks.
    NestedModules        = @('../../x86virt-shell.dll')
    ModuleVersion        = '7.0.0.0'
    GUID                 = 'EEFCB906-B326-4E99-9F54-8B4BB6EF3C6D'
    Author               = 'X86Virt contributors'
    CompatiblePSEditions = 'Core'
    FunctionsToExport    = @()
    CmdletsToExport      = @(
        'Add-Content'
        'Convert-Path'
        'Copy-Item'
        'Get-ChildItem'
        'Get-Content'
        'Get-Item'
        'Get-Location'
        'Get-Process'
        'Join-Path'
        'Move-Item'
        'New-Item'
        'Pop-Location'
        'Push-Location'
        'Remove-Item'
        'Resolve-Path'
        'Set-Content'
        'Set-Location'
        'Split-Path'
        'Test-Path'
    )
    AliasesToExport      = @()
}
