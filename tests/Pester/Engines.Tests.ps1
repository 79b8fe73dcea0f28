BeforeDiscovery {
    . $PSScriptRoot/TestMachines.ps1
    $engines = [Enum]::GetNames([X86Virt.Engine.EngineKind])
}
BeforeAll {
    . $PSScriptRoot/TestMachines.ps1
    $engines = [Enum]::GetNames([X86Virt.Engine.EngineKind])
}

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

Describe 'Compare-VMEngine' {
    BeforeAll {
        $prime = [X86Virt.Guests.BuiltInGuest]::IsPrime(9973)
        $image = @{ FlatBinary = Save-TestFile 'measured.bin' $prime.Image; LoadAddress = $prime.LoadAddress; BootMode = 'Long'; Memory = '16MB' }
    }
    AfterEach { Remove-TestMachine }

    It 'measures each engine with each way of paging, and finds that they agree' {
        $results = @(Compare-VMEngine @image -Engine $engines -Paging Walk, Shadow, Nested -Repeat 2)
        $results.Count | Should -Be (2 * @($engines).Count)
        foreach ($result in $results) {
            $result.Agrees | Should -BeTrue
            $result.Repeatable | Should -BeTrue
            $result.Instructions | Should -Be $results[0].Instructions
            $result.StopReason | Should -Match 'exit code 3'
            $result.HostSeconds.Count | Should -Be 2
            $result.Seconds | Should -BeGreaterThan 0
            ($result.Exits | Where-Object { $_.Kind -eq 'PortIo' -and $_.Number -eq 0xf4 }).Count | Should -Be 1
            ($result.Overheads | Where-Object Source -eq InputOutput).Count | Should -Be 1
            [bool]$result.Translation | Should -Be ($result.Engine -in 'BinaryTranslation', 'Hybrid')
            if ($result.Engine -ne 'HardwareAssist') { [bool]($result.Exits | Where-Object Kind -eq ShadowTable) | Should -Be ($result.Paging -eq 'Shadow') }
        }
        ($results | Where-Object Engine -eq BinaryTranslation)[0].Units | Should -BeGreaterThan 3
    }

    It 'measures up to a text, to the same instruction on every engine and run' {
        $kernel = Save-MonitorGuest
        $results = @(Compare-VMEngine -Kernel $kernel -Memory 16MB -Engine $engines -Until '^> $' -Repeat 2 -Timeout 60)
        $results.Count | Should -Be @($engines).Count
        foreach ($result in $results) {
            $result.Console | Should -Match '> $'
            $result.StopReason | Should -Be ''
            $result.Agrees | Should -BeTrue
            $result.Repeatable | Should -BeTrue
        }
    }

    It 'uses the settings of a machine and leaves it alone' {
        $vm = New-VirtualMachine -Name test-compared @image -Paging Shadow
        $result = $vm | Compare-VMEngine -Engine DecodedCache
        $result.Paging | Should -Be 'Shadow'
        $result.Instructions | Should -BeGreaterThan 100
        $vm.InstructionsRetired | Should -Be 0
    }

    It 'tells how to measure it again' {
        $file = Save-TestFile "it's.bin" $prime.Image
        $result = Compare-VMEngine -FlatBinary $file -LoadAddress $prime.LoadAddress -BootMode Long -Engine DecodedCache -NoReboot
        $result.Command | Should -BeLike "Compare-VMEngine -FlatBinary '*it''s.bin' -LoadAddress 1048576 -BootMode Long -Engine DecodedCache -NoReboot"
        (Invoke-Expression $result.Command).Instructions | Should -Be $result.Instructions
    }

    It 'says which text did not come, and why the guest ended' {
        { Compare-VMEngine @image -Engine DecodedCache -Until 'never' -ErrorAction Stop } | Should -Throw -ErrorId 'MachineStopped,X86Virt.PowerShell.CompareVMEngine'
        $spin = Save-TestFile 'spin.bin' ([byte[]](0xeb, 0xfe))
        { Compare-VMEngine -FlatBinary $spin -Memory 4MB -Engine DecodedCache -Timeout 0 -ErrorAction Stop } | Should -Throw -ErrorId 'WaitTimeout,X86Virt.PowerShell.CompareVMEngine'
        { Compare-VMEngine @image -Clock RealTime -ErrorAction Stop } | Should -Throw -ErrorId 'ClockNotDeterministic,X86Virt.PowerShell.CompareVMEngine'
    }

    It 'goes on with the next guest after one that fails' {
        $gone = Save-TestFile 'gone.bin' $prime.Image
        $machines = @(New-VirtualMachine -Name test-gone -FlatBinary $gone -Memory 4MB; New-VirtualMachine -Name test-there @image)
        [IO.File]::Delete($gone)
        $results = @($machines | Compare-VMEngine -Engine DecodedCache -ErrorAction SilentlyContinue -ErrorVariable failed)
        $results.StopReason | Should -Match 'exit code 3'
        @($failed).Count | Should -Be 1
        $failed[0].FullyQualifiedErrorId | Should -Be 'ImageUnreadable,X86Virt.PowerShell.CompareVMEngine'
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
        foreach ($engine in $engines) {
            # What walks the guest's tables by itself, and has no nested ones; and the hardware VMM, with its own under the guest's.
            foreach ($paging in 'Shadow', $(if ($engine -in 'HardwareAssist', 'Hybrid') { 'Nested' } else { 'Walk' })) { @{ Engine = $engine; Paging = $paging } }
        }
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
