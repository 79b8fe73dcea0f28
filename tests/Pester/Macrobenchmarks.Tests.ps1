# Linux boots with the benchmark as its first process; skipped where build.ps1 Guests could not fetch Debian's kernel.
BeforeDiscovery {
    $guests = [IO.Path]::GetFullPath([IO.Path]::Combine($PSScriptRoot, '..', '..', 'artifacts', 'guests'))
    $kernel = [IO.Path]::Combine($guests, 'vmlinuz-cloud-amd64')
    $linux = @(@{ Kernel = $kernel; Missing = -not [IO.File]::Exists($kernel) })
    $disk = [IO.Path]::Combine($guests, 'initramfs-amd64.cpio.gz')
    $boot = @(@{ Kernel = $kernel; Disk = $disk; Missing = $linux[0].Missing -or -not [IO.File]::Exists($disk) })
}
BeforeAll {
    . $PSScriptRoot/TestMachines.ps1
    function Start-ForkWait([string] $Kernel, [string] $Arguments, [hashtable] $Settings = @{}) {
        New-VirtualMachine -Name test-forkwait -Kernel $Kernel -InitialRamDisk $disk -CommandLine "console=ttyS0 -- $Arguments" -NoReboot @Settings -ErrorAction Stop |
            Start-VM -Wait -Timeout 300 -PassThru -ErrorAction Stop
    }
}

Describe "forkwait under Debian's kernel" -ForEach $linux -Tag Linux {
    BeforeAll {
        $disk = [IO.Path]::Combine($TestDrive, 'forkwait.cpio.gz')
        $null = Export-VMBenchmarkImage -Path $disk -Benchmark ForkWait
    }
    AfterEach { Remove-TestMachine }

    It 'forks as often as it is told and switches the power off' -Skip:$Missing {
        $vm = Start-ForkWait $Kernel 100 @{ Paging = 'Shadow' }
        Get-VMConsole $vm | Should -Match '(?m)^forkwait 100 done'
        $vm.StopReason.Kind | Should -Be 'PowerOff'
        (Measure-VmExit $vm -Kind AddressSpaceSwitch | Measure-Object Count -Sum).Sum | Should -BeGreaterOrEqual 200
        (Measure-VmExit $vm -Kind Exception | Where-Object Number -eq 14).Count | Should -BeGreaterOrEqual 100
    }

    It 'says what is wrong with its argument, and switches the power off' -Skip:$Missing {
        $vm = Start-ForkWait $Kernel many
        Get-VMConsole $vm | Should -Match 'forkwait: the arguments are no number of forks'
        $vm.StopReason.Kind | Should -Be 'PowerOff'
    }
}

Describe 'A benchmark on a busybox RAM disk' -ForEach $boot -Tag Linux {
    AfterEach { Remove-TestMachine }

    It 'runs from the shell, and ends as other programs do' -Skip:$Missing {
        $tools = [IO.Path]::Combine($TestDrive, 'tools.cpio.gz')
        $null = Export-VMBenchmarkImage -Path $tools -Benchmark ForkWait -InitialRamDisk $Disk
        $vm = New-VirtualMachine -Name test-tools -Kernel $Kernel -InitialRamDisk $tools -CommandLine 'console=ttyS0 x86virt.action=shell' -NoReboot
        Start-VM $vm
        Wait-VM $vm -ConsoleText 'X86VIRT-GUEST-READY[^#]*# ' -Timeout 240 -ErrorAction Stop
        Send-VMConsole $vm -Text '/forkwait 20 4 4 4; echo ended-$?'
        Wait-VM $vm -ConsoleText '(?m)^forkwait 20 done\s+ended-0' -Timeout 240 -ErrorAction Stop
    }

    It 'has errors for what is no Linux program, and for a RAM disk that is not there' {
        $tools = [IO.Path]::Combine($TestDrive, 'none.cpio.gz')
        { Export-VMBenchmarkImage -Path $tools -Benchmark Hypervisor -InitialRamDisk ./x.gz -ErrorAction Stop } | Should -Throw -ErrorId 'NoSuchImage,X86Virt.PowerShell.ExportVMBenchmarkImage' -ExpectedMessage '*Hypervisor*ForkWait*'
        { Export-VMBenchmarkImage -Path $tools -Benchmark ForkWait -InitialRamDisk ./no-such.gz -ErrorAction Stop } | Should -Throw -ErrorId 'ImageUnreadable,X86Virt.PowerShell.ExportVMBenchmarkImage' -ExpectedMessage '*no-such.gz*'
        [IO.File]::Exists($tools) | Should -BeFalse
    }
}

Describe "Compute guests" -ForEach $linux -Tag Linux {
    It 'compute the same with Linux and without, on every engine' -Skip:$Missing {
        $image = [IO.Path]::Combine($TestDrive, 'compute.bin')
        $disk = [IO.Path]::Combine($TestDrive, 'compute.cpio.gz')
        $null = Export-VMBenchmarkImage -Path $image -Benchmark ComputeBare
        $null = Export-VMBenchmarkImage -Path $disk -Benchmark Compute
        $bare = @(Compare-VMEngine -Kernel $image -CommandLine 'all 3' -Memory 16MB -Engine BinaryTranslation, HardwareAssist)
        $results = @(Compare-VMEngine -Kernel $Kernel -InitialRamDisk $disk -CommandLine 'console=ttyS0 -- all 3' -NoReboot -Timeout 300 -Engine BinaryTranslation, HardwareAssist)
        "$($bare.Agrees) $($results.Agrees)" | Should -Be 'True True True True'
        $sums = [regex]::Matches($bare[0].Console, '(?m)^compute \w+ ?\w*').Value
        $sums.Count | Should -Be 6
        [regex]::Matches($results[0].Console, '(?m)^compute \w+ ?\w*').Value | Should -Be $sums
    }
}

Describe "memorywalk under Debian's kernel" -ForEach $linux -Tag Linux {
    It 'touches small pages by a fault each, huge ones by one for 512, and misses the TLB with its reads' -Skip:$Missing {
        $disk = [IO.Path]::Combine($TestDrive, 'memorywalk.cpio.gz')
        $null = Export-VMBenchmarkImage -Path $disk -Benchmark MemoryWalk
        $runs = foreach ($arguments in '300000 64 4096', '2300000 64 4096', '300000 64 2097152', '2300000 64 2097152') {
            $results = @(Compare-VMEngine -Kernel $Kernel -InitialRamDisk $disk -CommandLine "console=ttyS0 hugepages=32 -- $arguments" -NoReboot -Timeout 300 -Engine BinaryTranslation, HardwareAssist -Paging Shadow, Nested)
            "$($results.Agrees)" | Should -Be 'True True True'
            $result = $results[2]
            $result.Console | Should -Match "(?m)^memorywalk $($arguments.Split(' ')[0]) done"
            @{
                Faults = ($result.Exits | Where-Object { $_.Kind -eq 'Exception' -and $_.Number -eq 14 }).Count
                Walks  = ($result.Exits | Where-Object { $_.Kind -eq 'NestedPaging' -and $_.Detail -eq 'guest walk' }).Count
                Spared = ($result.Exits | Where-Object { $_.Kind -eq 'NestedPaging' -and $_.Detail -eq 'guest walk for a piece of a large page' }).Count
            }
        }
        $runs[0].Faults, $runs[1].Faults | ForEach-Object { $_ | Should -BeGreaterOrEqual 16384 }
        $runs[2].Faults | Should -BeLessThan 1000
        $runs[1].Walks - $runs[0].Walks | Should -BeGreaterThan 500000
        # Huge pages spare nearly all of them.
        $runs[3].Walks - $runs[2].Walks | Should -BeLessThan 5000
        $runs[3].Spared - $runs[2].Spared | Should -BeGreaterThan 500000
    }
}

Describe 'Hybrid under Linux' -ForEach $boot -Tag Linux {
    It 'is ahead of both techniques where they take turns in being the better one' -Skip:$Missing {
        $forks = [IO.Path]::Combine($TestDrive, 'forkwait.cpio.gz')
        $null = Export-VMBenchmarkImage -Path $forks -Benchmark ForkWait
        foreach ($guest in @(@{ InitialRamDisk = $Disk; CommandLine = 'console=ttyS0 x86virt.action=poweroff' }, @{ InitialRamDisk = $forks; CommandLine = 'console=ttyS0 -- 100 101 101 101' })) {
            $results = @(Compare-VMEngine @guest -Kernel $Kernel -NoReboot -Timeout 300 -Paging Shadow -Engine BinaryTranslation, HardwareAssist, Hybrid)
            "$($results.Agrees)" | Should -Be 'True True True'
            foreach ($alone in $results[0, 1]) { $results[2].ModelledSeconds | Should -BeLessThan ($alone.ModelledSeconds * 0.9) }
        }
    }
}

Describe "Boot and halt of Debian's kernel" -ForEach $boot -Tag Linux {
    AfterEach { Remove-TestMachine }

    It 'has the causes of overhead that each technique has, and does the same on all' -Skip:$Missing {
        $arguments = @{ Kernel = $Kernel; InitialRamDisk = $Disk; CommandLine = 'console=ttyS0 x86virt.action=poweroff'; NoReboot = $true; Timeout = 300 }
        $results = @(Compare-VMEngine @arguments -Engine BinaryTranslation, HardwareAssist -Paging Shadow, Nested)
        $results.Count | Should -Be 3
        $counts = foreach ($result in $results) {
            $result.Agrees | Should -BeTrue
            $result.StopReason | Should -Match 'PowerOff'
            $of = @{}
            foreach ($overhead in $result.Overheads) { $of["$($overhead.Source)"] = $overhead.Count }
            $of
        }
        $translator, $shadow, $nested = $counts
        foreach ($source in 'SystemCall', 'InputOutput', 'TimeStamp', 'Other') {
            $translator[$source] | Should -BeGreaterThan 0
            $shadow[$source] | Should -Be $translator[$source]
            $nested[$source] | Should -Be $translator[$source]
        }
        $translator.Translation | Should -BeGreaterThan 100000
        $translator.CallReturn | Should -BeGreaterThan 1000000
        $translator.PageTableWrite, $shadow.PageTableWrite | ForEach-Object { $_ | Should -BeGreaterThan 1000 }
        $shadow.Translation + $shadow.CallReturn + $nested.Translation + $nested.CallReturn + $nested.PageTableWrite | Should -Be 0
        $nested.PageFault | Should -BeLessThan $shadow.PageFault
        $faults = $results[0, 1] | ForEach-Object { ($_.Exits | Where-Object Kind -EQ TruePageFault).Count }
        $faults[0] | Should -BeGreaterThan 500
        $faults[1] | Should -Be $faults[0]
    }

    It 'exits under nested paging for each guest page once and for devices, and never for its own page faults, CR3 writes and INVLPG' -Skip:$Missing {
        $vm = New-VirtualMachine -Name test-nested -Engine HardwareAssist -Paging Nested -Memory 256MB -Kernel $Kernel -InitialRamDisk $Disk -CommandLine 'console=ttyS0 x86virt.action=poweroff' -NoReboot
        Start-VM $vm; Wait-VM $vm -Timeout 300 -ErrorAction Stop
        (Measure-VmExit $vm -Kind Exception | Where-Object Detail -like '#PF*').Count | Should -BeGreaterThan 500
        $exits = @{}
        foreach ($exit in Measure-VmExit $vm) { $exits[$exit.Reason] = $exit.Count }
        $exits.Keys | Where-Object { $_ -match '#PF|CR|INVLPG|INVPCID' } | Should -BeNullOrEmpty
        $devices = (Measure-VmExit $vm -Kind DeviceMemory, UnclaimedMemory | Measure-Object Count -Sum).Sum
        $pages = (Get-NestedPageTable $vm | Measure-Object Pages -Sum).Sum
        $exits['nested page fault'] | Should -Be ($devices + $pages)
    }
}
