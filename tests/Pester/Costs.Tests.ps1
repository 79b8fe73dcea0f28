BeforeAll {
    . $PSScriptRoot/TestMachines.ps1
}

Describe 'Get-VMCostProfile' {
    It 'lists profiles whose constants name their sources' {
        (Get-VMCostProfile).Name | Should -Be 'Pentium4-672', 'Core2'
        foreach ($constant in (Get-VMCostProfile Pentium4-672).Constants) {
            $constant.Cycles | Should -BeGreaterThan 0
            $constant.Source | Should -Match 'Agesen'
        }
        ((Get-VMCostProfile Core2).Constants | Where-Object Name -EQ VmEntry).Cycles | Should -Be 937
    }

    It 'has an error for a profile that there is not' {
        { Get-VMCostProfile 8086 -ErrorAction Stop } | Should -Throw
        Get-VMCostProfile 'None*' | Should -BeNullOrEmpty
    }
}

Describe 'Compare-VMNanobenchmark' {
    It 'puts nine rows in three columns beside the published ones' {
        $table = Compare-VMNanobenchmark
        $table.Count | Should -Be 27
        ($table | Where-Object { $_.Factor -gt 1.5 } | ForEach-Object { "$($_.Operation) $($_.Technique)" }) | Should -Be 'pteclear Native', 'pteset Native'
        ($table | Where-Object { $_.Operation -eq 'syscall' -and $_.Technique -eq 'SoftwareVmm' }).Published | Should -Be 2308
        $first = $table | ForEach-Object Predicted
        (Compare-VMNanobenchmark).Predicted | Should -Be $first
    }

    It 'takes the exits of hardware assist as they were counted' {
        $row = Compare-VMNanobenchmark pteset -Engine HardwareAssist
        $row.Technique | Should -Be 'Native', 'HardwareVmm'
        ($row[1].Costs | Where-Object Event -EQ PageFaultExit).Count | Should -Be 2
    }

    It 'has nothing published for another processor' {
        $rows = Compare-VMNanobenchmark syscall -Profile Core2
        $rows.Count | Should -Be 3
        $rows[0].Published | Should -BeNullOrEmpty
    }

    It 'refuses an operation that there is not' {
        { Compare-VMNanobenchmark frobnicate -ErrorAction Stop } | Should -Throw -ErrorId 'UnknownNanobenchmark,X86Virt.PowerShell.CompareVMNanobenchmark'
    }
}

Describe 'Get-VMCost' {
    BeforeAll {
        $path = Join-Path ([IO.Path]::GetTempPath()) "costs-$PID.bin"
        Export-VMBenchmarkImage -Path $path | Out-Null
        $vm = New-VirtualMachine -Name test-costs -Kernel $path -Memory 16MB -Paging Shadow -CommandLine 'operations=syscall iterations=100' | Start-VM -Wait -Timeout 60 -PassThru
    }

    AfterAll {
        Remove-TestMachine
        Remove-Item $path -ErrorAction Ignore
    }

    It 'prices one run under every profile' {
        foreach ($name in 'Pentium4-672', 'Core2') {
            $costs = Get-VMCost test-costs -Profile $name
            $costs | Where-Object Event -EQ SystemCall | ForEach-Object Count | Should -Be 100, 100, 100
            ($costs.Technique | Select-Object -Unique) | Should -Be 'Native', 'SoftwareVmm', 'HardwareVmm'
        }
        $p4 = $vm | Get-VMCost -Technique SoftwareVmm | Where-Object Event -EQ SystemCall
        $p4.Cycles | Should -Be (100 * (242 + 2 * (1254 - 216)))
        $p4.Formula | Should -Be 'SystemCall + 2 Callout'
    }

    It 'warns where hidden faults were not counted' {
        $walk = New-VirtualMachine -Name test-costs-walk -Kernel $path -Memory 16MB -Engine DecodedCache -CommandLine 'operations=in iterations=5' | Start-VM -Wait -Timeout 60 -PassThru
        Get-VMCost $walk.Name -WarningVariable warning -WarningAction SilentlyContinue | Out-Null
        "$warning" | Should -Match 'no shadow page tables'
    }

    It 'prices what Invoke-VMNanobenchmark writes' {
        $cost = Invoke-VMNanobenchmark -Operation in -Iterations 100 -Repeat 1 | Get-VMCost -Technique HardwareVmm | Where-Object Event -EQ PortAccess
        $cost.Count | Should -Be 1
        $cost.CyclesEach | Should -Be 15826
    }

    It 'refuses a profile that there is not' {
        { Get-VMCost test-costs -Profile 8086 } | Should -Throw
    }
}

Describe 'Measure-VMCostProfile' {
    It 'has a price in nanoseconds for what it measured' {
        $profile = Measure-VMCostProfile -Iterations 2000 -Repeat 1
        $profile.Name | Should -Be 'Measured'
        $profile.Techniques | Should -Be 'SoftwareVmm', 'HardwareVmm'
        ($profile.Constants | Where-Object Name -EQ SystemCallSoftwareVmm).Source | Should -Match 'Invoke-VMNanobenchmark syscall'
        (Invoke-VMNanobenchmark -Operation in -Iterations 100 -Repeat 1 | Get-VMCost -Profile $profile).Technique | Select-Object -Unique | Should -Be 'SoftwareVmm', 'HardwareVmm'
    }

    It 'is what Hybrid can go by' {
        $profile = Measure-VMCostProfile -Iterations 2000 -Repeat 1
        ($profile.Constants | Where-Object Name -EQ TechniqueChange).Cycles | Should -BeGreaterThan 0
        New-TestMachine test-measured $TestGuest.Ok @{ Engine = 'Hybrid'; CostProfile = $profile } | Start-VM -Wait -Timeout 60
        (Get-VMHybridHistory test-measured -Summary).Profile | Should -Be 'Measured'
        Remove-TestMachine
    }
}
