# Linux boots with the benchmark as its first process; skipped where build.ps1 Guests could not fetch Debian's kernel.
BeforeDiscovery {
    $kernel = [IO.Path]::GetFullPath([IO.Path]::Combine($PSScriptRoot, '..', '..', 'artifacts', 'guests', 'vmlinuz-cloud-amd64'))
    $linux = @(@{ Kernel = $kernel; Missing = -not [IO.File]::Exists($kernel) })
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
        Get-VMConsole $vm | Should -Match 'forkwait: the argument is no number of forks'
        $vm.StopReason.Kind | Should -Be 'PowerOff'
    }
}
