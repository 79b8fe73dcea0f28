BeforeDiscovery {
    . $PSScriptRoot/TestMachines.ps1
    $engines = [Enum]::GetNames([X86Virt.Engine.EngineKind])
}
BeforeAll { . $PSScriptRoot/TestMachines.ps1 }

Describe 'The engine <_>' -ForEach $engines {
    BeforeAll { $engine = $_ }
    AfterEach { Remove-TestMachine }

    It 'finds that <Number> is <What>, by as many instructions as every other' -ForEach @(
        @{ Number = 9973; What = 'prime'; ExitCode = 3 }
        @{ Number = 9971; What = 'not prime'; ExitCode = 1 }
    ) {
        $reference = New-PrimeMachine test-reference $Number @{ Engine = 'Interpreter' } | Start-VM -Wait -Timeout 60 -PassThru
        $vm = New-PrimeMachine test-engine $Number @{ Engine = $engine } | Start-VM -Wait -Timeout 60 -PassThru
        $vm.ExitCode | Should -Be $ExitCode
        $vm.InstructionsRetired | Should -Be $reference.InstructionsRetired
        (Get-VMRegister $vm).Hex | Should -Be (Get-VMRegister $reference).Hex
    }

    It 'prints the same, takes the same exits and retires the same on every run' {
        $kernel = Save-MonitorGuest
        $runs = foreach ($run in 1, 2) {
            $vm = New-VirtualMachine -Name "test-run$run" -Memory 16MB -Kernel $kernel -Engine $engine
            Start-VM $vm
            Wait-VM $vm -ConsoleText '> $' -Timeout 60
            Send-VMConsole $vm -Text "regs`nmem`nexit"
            Wait-VM $vm -Timeout 60
            @{ Text = Get-VMConsole $vm; Exits = (Measure-VmExit $vm | ForEach-Object { "$($_.Kind) $($_.Number) $($_.Count)" }) -join "`n" }
        }
        $runs[1].Text | Should -BeExactly $runs[0].Text
        $runs[1].Exits | Should -BeExactly $runs[0].Exits
    }

    It 'runs several machines side by side' {
        $machines = foreach ($i in 1..4) { New-PrimeMachine "test-side$i" 9973 @{ Engine = $engine } }
        Start-VM $machines
        Wait-VM $machines -Timeout 60
        ($machines.ExitCode -join ' ') | Should -Be '3 3 3 3'
        @($machines.InstructionsRetired | ForEach-Object { $_ })[0] | Should -Be $machines[3].InstructionsRetired
    }
}

Describe 'Lockstep' {
    BeforeAll {
        $guest = [X86Virt.Guests.BuiltInGuest]::IsPrime(9973)
        $flat = Save-TestFile 'lockstep.bin' $guest.Image
    }

    It 'finds no difference between <_> and Interpreter' -ForEach @([Enum]::GetNames([X86Virt.Engine.EngineKind])) {
        $result = Compare-VMEngine -FlatBinary $flat -LoadAddress $guest.LoadAddress -BootMode Long -Memory 16MB -Engine $_ -Reference Interpreter -Stride 100
        $result.Agreed | Should -BeTrue
        $result.Instructions | Should -BeGreaterThan 100
        $result.StopReason | Should -Match 'exit code'
    }

    It 'refuses a clock that makes every run another one' {
        { Compare-VMEngine -FlatBinary $flat -Memory 16MB -Clock RealTime -ErrorAction Stop } | Should -Throw -ErrorId 'ClockNotDeterministic,X86Virt.PowerShell.CompareVMEngine'
    }
}

Describe 'Paging' {
    AfterEach { Remove-TestMachine }

    It '<Paging> on <Engine> is nothing that a guest sees' -ForEach @(
        foreach ($engine in $engines) { foreach ($paging in [Enum]::GetNames([X86Virt.Engine.Processor.PagingKind])) { @{ Engine = $engine; Paging = $paging } } }
    ) {
        $reference = New-PrimeMachine test-reference 9973 @{ Engine = 'Interpreter' } | Start-VM -Wait -Timeout 60 -PassThru
        $vm = New-PrimeMachine test-paging 9973 @{ Engine = $Engine; Paging = $Paging } | Start-VM -Wait -Timeout 60 -PassThru
        $vm.InstructionsRetired | Should -Be $reference.InstructionsRetired
        (Get-VMRegister $vm).Hex | Should -Be (Get-VMRegister $reference).Hex
        [bool](Measure-VmExit $vm -Kind ShadowTable) | Should -Be ($Paging -eq 'Shadow')
    }

    It 'is one of those that there are, with a limit in bounds: <Settings.Keys>' -ForEach @(
        @{ Settings = @{ Paging = 'Steam' }; Id = 'CannotConvertArgumentNoMessage' }
        @{ Settings = @{ ShadowTableLimit = 1 }; Id = 'ParameterArgumentValidationError' }
    ) {
        { New-VirtualMachine -Name test-bad @Settings -ErrorAction Stop } | Should -Throw -ErrorId "$Id,X86Virt.PowerShell.NewVirtualMachine"
    }
}

Describe 'The translator''s settings' {
    AfterEach { Remove-TestMachine }

    It 'change nothing that a guest sees: <_>' -ForEach @(
        @{ TranslationCacheSize = '512KB' }
        @{ TranslationUnitLimit = 1 }
        @{ TranslationUnitLimit = 12 }
        @{ TranslationFeature = 'None' }
        @{ TranslationFeature = 'Chaining' }
        @{ TranslationFeature = 'InlineLookup' }
        @{ TranslationFeature = 'Chaining, InlineLookup, Superblocks' }
        @{ TranslationFeature = 'Chaining, InlineLookup, ReturnStack' }
        @{ TranslationFeature = 'Chaining, InlineLookup, Superblocks, ReturnStack' }
    ) {
        $reference = New-PrimeMachine test-reference 9973 @{ Engine = 'Interpreter' } | Start-VM -Wait -Timeout 60 -PassThru
        $vm = New-PrimeMachine test-settings 9973 (@{ Engine = 'BinaryTranslation' } + $_) | Start-VM -Wait -Timeout 60 -PassThru
        $vm.InstructionsRetired | Should -Be $reference.InstructionsRetired
        (Get-VMRegister $vm).Hex | Should -Be (Get-VMRegister $reference).Hex
    }

    It 'are refused out of range: <Settings>' -ForEach @(
        @{ Settings = @{ TranslationCacheSize = '64KB' }; Id = 'InvalidTranslationCacheSize' }
        @{ Settings = @{ TranslationUnitLimit = 0 }; Id = 'InvalidTranslationUnitLimit' }
        @{ Settings = @{ TranslationUnitLimit = 65 }; Id = 'InvalidTranslationUnitLimit' }
    ) {
        { New-PrimeMachine test-bad 97 $Settings } | Should -Throw -ErrorId "$Id,X86Virt.PowerShell.NewVirtualMachine"
    }
}
