BeforeDiscovery {
    $kernel = [IO.Path]::GetFullPath([IO.Path]::Combine($PSScriptRoot, '..', '..', 'artifacts', 'guests', 'vmlinuz-cloud-amd64'))
}
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

Describe 'Compare-VMForkWait' -ForEach @(@{ Kernel = $kernel; Missing = -not [IO.File]::Exists($kernel) }) -Tag Linux {
    It 'predicts both machines in three columns, in the published order' -Skip:$Missing {
        $table = @(Compare-VMForkWait -Kernel $Kernel -Forks 100 -Timeout 300)
        ($table | ForEach-Object { "$($_.Row) $($_.Technique)" }) | Should -Be 'Pentium4-672 Native', 'Pentium4-672 SoftwareVmm', 'Pentium4-672 HardwareVmm', 'Core2 Native', 'Core2 SoftwareVmm', 'Core2 HardwareVmm'
        $table.Published | Should -Be 6.02, 36.95, 106.4, 2.62, 18.43, 38.89
        $table.Kind | Should -Be 'Prediction', 'Prediction', 'Calibrated', 'Prediction', 'Prediction', 'Prediction'
        foreach ($first in 0, 3) {
            $table[$first].Predicted | Should -BeLessThan $table[$first + 1].Predicted
            $table[$first + 1].Predicted | Should -BeLessThan $table[$first + 2].Predicted
            # Today's kernel does the same in twice the instructions.
            $table[$first].Factor | Should -BeLessThan 2.2
            $table[($first + 1)..($first + 2)] | ForEach-Object { $_.Factor | Should -BeLessThan 1.5 }
        }
        $table[2].Factor | Should -BeLessThan 1.02
        ($table[2].Costs | Where-Object Event -EQ PageFaultExit).Count / 40000 | Should -BeGreaterThan 200
    }

    It 'counts more with a larger working set' -Skip:$Missing {
        $few, $many = foreach ($pages in 0, 20) { , @(Compare-VMForkWait -Kernel $Kernel -Forks 40 -Pages $pages -Engine BinaryTranslation -Profile Core2 -Timeout 300) }
        $few.Technique | Should -Be 'Native', 'SoftwareVmm', 'HardwareVmm'
        foreach ($column in 0..2) { $few[$column].Predicted | Should -BeLessThan $many[$column].Predicted }
    }
}

Describe 'Compare-VMForkWait without a kernel' {
    It 'says so' {
        { Compare-VMForkWait -Kernel ./no-such-kernel -ErrorAction Stop } | Should -Throw -ErrorId 'ImageUnreadable,X86Virt.PowerShell.CompareVMForkWait'
    }

    It 'says what to give where the kernel is no Linux' {
        $other = [IO.Path]::Combine($TestDrive, 'nano.bin')
        $null = Export-VMBenchmarkImage -Path $other
        { Compare-VMForkWait -Kernel $other -Timeout 60 -ErrorAction Stop } | Should -Throw -ErrorId 'MachineStopped,X86Virt.PowerShell.CompareVMForkWait' -ExpectedMessage '*forkwait*64-bit Linux kernel (-Kernel)*'
    }
}

Describe 'Compare-VMBootOverhead' {
    BeforeAll {
        $path = Join-Path ([IO.Path]::GetTempPath()) "overheads-$PID.bin"
        Export-VMBenchmarkImage -Path $path | Out-Null
        $runs = @(Compare-VMEngine -Kernel $path -Memory 16MB -CommandLine 'operations=in iterations=100' -Engine DecodedCache, BinaryTranslation, HardwareAssist -Paging Shadow, Nested)
    }

    AfterAll { Remove-Item $path -ErrorAction Ignore }

    It 'has a row for each source and their sum, for the technique that each engine stands for' {
        $software, $shadow, $nested = foreach ($run in $runs[1..3]) { , @($run | Compare-VMBootOverhead) }
        foreach ($rows in $software, $shadow, $nested) {
            $rows.Count | Should -Be 10
            ($rows[0..8] | Measure-Object Predicted -Sum).Sum - $rows[9].Predicted | ForEach-Object { [Math]::Abs($_) } | Should -BeLessThan 1e-12
        }
        $software.Technique | Select-Object -Unique | Should -Be 'SoftwareVmm'
        ($shadow | Where-Object Row -EQ InputOutput).Published | Should -Be 8.1
        ($software | Where-Object Row -EQ InputOutput).Predicted | Should -BeLessThan 0
        $nested.Published | Where-Object { $null -ne $_ } | Should -BeNullOrEmpty
        (($runs[2] | Compare-VMBootOverhead -Profile Core2).Published | Where-Object { $null -ne $_ }) | Should -BeNullOrEmpty
    }

    It 'refuses an engine that stands for no technique' {
        { $runs[0] | Compare-VMBootOverhead -ErrorAction Stop } | Should -Throw -ErrorId 'NoTechnique,X86Virt.PowerShell.CompareVMBootOverhead'
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
