@{
    RootModule           = 'PesterLite.psm1'
    ModuleVersion        = '0.1.0'
    GUID                 = '5b0f4f0e-3c0a-4c57-9b6c-2f1f3f0c7a11'
    Author               = 'X86Virt contributors'
    Description          = 'Runs Pester 5 and 6 test files on machines that do not have Pester.'
    PowerShellVersion    = '7.4'
    CompatiblePSEditions = 'Core'
    FunctionsToExport    = @(
        'Describe', 'Context', 'It'
        'BeforeDiscovery', 'BeforeAll', 'BeforeEach', 'AfterAll', 'AfterEach'
        'Should', 'Set-ItResult', 'InModuleScope'
        'Invoke-Pester', 'New-PesterConfiguration', 'New-PesterContainer'
    )
    CmdletsToExport      = @()
    VariablesToExport    = @()
    AliasesToExport      = @()
}
