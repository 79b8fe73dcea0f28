@{
    RootModule           = 'bin/X86Virt.PowerShell.dll'
    ModuleVersion        = '0.1.0'
    GUID                 = '5f0e7d7c-7a0b-4a57-9d2c-3b0f5c1e8a64'
    Author               = 'The X86Virt authors'
    Copyright            = '(c) The X86Virt authors. All rights reserved.'
    Description          = 'An x86 virtual machine monitor that you script: makes, runs, inspects and measures virtual PCs in the process.'
    PowerShellVersion    = '7.6'
    CompatiblePSEditions = @('Core')
    RequiredAssemblies   = @('bin/X86Virt.Guests.dll')
    FormatsToProcess     = @('X86Virt.Format.ps1xml')
    TypesToProcess       = @('X86Virt.Types.ps1xml')
    FunctionsToExport    = @()
    VariablesToExport    = @()
    AliasesToExport      = @()
    CmdletsToExport      = @(
        'Clear-NestedPageTable'
        'Clear-TranslationCache'
        'Compare-VMBootOverhead'
        'Compare-VMEngine'
        'Compare-VMForkWait'
        'Compare-VMNanobenchmark'
        'Enter-VMConsole'
        'Export-TranslationGraph'
        'Export-VMBenchmarkImage'
        'Export-VMMemoryMap'
        'Export-VMReport'
        'Get-NestedPageTable'
        'Get-ShadowPageTable'
        'Get-TranslationCache'
        'Get-TranslationUnit'
        'Get-VirtualMachine'
        'Get-VMBreakpoint'
        'Get-VMConsole'
        'Get-VMCost'
        'Get-VMCostProfile'
        'Get-VMHybridHistory'
        'Get-VMDevice'
        'Get-VMDisassembly'
        'Get-Vmcb'
        'Get-VmExit'
        'Get-VMRegister'
        'Get-VMTlb'
        'Invoke-VMNanobenchmark'
        'Measure-VMCostProfile'
        'Measure-VmExit'
        'New-VirtualMachine'
        'Read-VMMemory'
        'Receive-VMConsole'
        'Register-VmExitEvent'
        'Remove-VirtualMachine'
        'Remove-VMBreakpoint'
        'Resolve-VMAddress'
        'Restart-VM'
        'Resume-VM'
        'Send-VMConsole'
        'Set-VirtualMachine'
        'Set-VMBreakpoint'
        'Set-VmcbIntercept'
        'Set-VMRegister'
        'Show-VMReport'
        'Start-VM'
        'Step-VM'
        'Stop-VM'
        'Suspend-VM'
        'Trace-VM'
        'Wait-VM'
        'Write-VMMemory'
    )
    PrivateData          = @{
        PSData = @{
            Tags = @('x86', 'emulator', 'virtualization', 'virtual-machine', 'Linux')
        }
    }
}
