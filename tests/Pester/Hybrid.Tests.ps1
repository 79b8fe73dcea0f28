BeforeAll {
    . $PSScriptRoot/TestMachines.ps1
    # Small, so that a phase lasts but a moment; large enough to be noticed.
    $phases = 'operations=syscall,in,syscall,in iterations=50000'
}

Describe 'Get-VMHybridHistory' {
    BeforeAll {
        $image = Join-Path ([IO.Path]::GetTempPath()) "hybrid-$PID.bin"
        Export-VMBenchmarkImage -Path $image | Out-Null
        $vm = New-VirtualMachine -Name test-hybrid -Engine Hybrid -Kernel $image -CommandLine $phases -Memory 64MB
        Start-VM $vm; Wait-VM $vm -Timeout 60
    }
    AfterAll { Remove-TestMachine; Remove-Item $image }

    It 'lists the changes of techniques with what they were for' {
        $history = @(Get-VMHybridHistory $vm)
        ($history.Number) -join ' ' | Should -Be ((1..$history.Count) -join ' ')
        foreach ($i in 1..($history.Count - 1)) {
            $history[$i].From | Should -Be $history[$i - 1].To
            $history[$i].Instructions | Should -BeGreaterThan $history[$i - 1].Instructions
        }
        $toHardware = @($history | Where-Object { $_.To -eq 'HardwareVmm' -and $_.Reason -like 'Translation: *' })
        $toSoftware = @($history | Where-Object { $_.To -eq 'SoftwareVmm' -and $_.Reason -like 'PortAccess: *' })
        $toHardware.Count | Should -BeGreaterThan 0
        $toSoftware.Count | Should -BeGreaterThan 1
    }

    It 'sums up what moving came to' {
        $summary = $vm | Get-VMHybridHistory -Summary
        $summary.Profile | Should -Be 'Pentium4-672'
        $summary.Switches | Should -Be @(Get-VMHybridHistory test-hybrid).Count
        $summary.Advantage | Should -BeGreaterThan 1.5
        $summary.SoftwareInstructions | Should -BeGreaterThan 100000
        $summary.HardwareInstructions | Should -BeGreaterThan 100000
    }

    It 'keeps the translation cache and the page tables of both techniques to be looked at' {
        (Get-TranslationCache $vm).Units | Should -BeGreaterThan 10
        @(Get-ShadowPageTable $vm).Count | Should -BeGreaterThan 2
        @(Get-VmExit $vm -Last 1).Count | Should -Be 1
    }

    It 'names the engine that has a history where there is none' {
        $other = New-TestMachine test-single $TestGuest.Ok
        { Get-VMHybridHistory $other -ErrorAction Stop } | Should -Throw -ErrorId 'NotHybrid,X86Virt.PowerShell.GetVMHybridHistory' -ExpectedMessage "*test-single*Hybrid*"
    }

    It 'names the profiles when one is not known' {
        { New-VirtualMachine -Name test-profile -Engine Hybrid -CostProfile Pentium5 -ErrorAction Stop } | Should -Throw -ExpectedMessage '*Pentium5*Pentium4-672*Core2*'
    }
}

Describe 'Compare-VMEngine on Hybrid' {
    BeforeAll {
        $image = Join-Path ([IO.Path]::GetTempPath()) "hybrid-compare-$PID.bin"
        Export-VMBenchmarkImage -Path $image | Out-Null
    }
    AfterAll { Remove-Item $image }

    It 'shows a guest of phases ahead of both techniques alone, under each profile, and the same guest' {
        foreach ($name in 'Pentium4-672', 'Core2') {
            $software, $hardware, $hybrid = Compare-VMEngine -Kernel $image -CommandLine $phases -Memory 64MB -CostProfile $name -Paging Shadow -Engine BinaryTranslation, HardwareAssist, Hybrid
            $hybrid.Agrees | Should -BeTrue
            $hybrid.ModelledSeconds | Should -BeLessThan ($software.ModelledSeconds / 1.2)
            $hybrid.ModelledSeconds | Should -BeLessThan ($hardware.ModelledSeconds / 1.2)
            $hybrid.Hybrid.Profile | Should -Be $name
        }
    }

    It 'makes the same changes on every run' {
        $run = Compare-VMEngine -Kernel $image -CommandLine $phases -Memory 64MB -Engine Hybrid -Repeat 2
        $run.Repeatable | Should -BeTrue
        $run.Paging | Should -Be 'Shadow'
    }

    It 'takes nested paging, too' {
        $software, $hybrid = Compare-VMEngine -Kernel $image -CommandLine $phases -Memory 64MB -Paging Shadow, Nested -Engine BinaryTranslation, Hybrid | Where-Object { $_.Engine -eq 'BinaryTranslation' -or $_.Paging -eq 'Nested' }
        $hybrid.Agrees | Should -BeTrue
    }
}
