BeforeDiscovery {
    $guests = [IO.Path]::GetFullPath([IO.Path]::Combine($PSScriptRoot, '..', '..', 'artifacts', 'guests'))
    $kernels = @(
        @{ Kernel = 'vmlinuz-cloud-amd64'; Disk = 'initramfs-amd64.cpio.gz' }
        @{ Kernel = 'vmlinuz-amd64'; Disk = 'initramfs-amd64.cpio.gz' }
        @{ Kernel = 'vmlinuz-686'; Disk = 'initramfs-i386.cpio.gz' }
    ) | ForEach-Object {
        $_.Guests = $guests
        $_.Missing = -not [IO.File]::Exists([IO.Path]::Combine($guests, $_.Kernel)) -or -not [IO.File]::Exists([IO.Path]::Combine($guests, $_.Disk))
        $_
    }
}
BeforeAll { . $PSScriptRoot/TestMachines.ps1 }

# Skipped where build.ps1 Guests could not fetch Debian's kernels.
Describe "Debian's <Kernel>" -ForEach $kernels -Tag Linux {
    BeforeAll {
        function New-LinuxMachine([string] $Name, [string] $Action, [string] $MoreArguments = '', [hashtable] $Settings = @{}) {
            $all = @{
                Name           = $Name
                Memory         = 256MB
                Kernel         = [IO.Path]::Combine($Guests, $Kernel)
                InitialRamDisk = [IO.Path]::Combine($Guests, $Disk)
                CommandLine    = "console=ttyS0 x86virt.action=$Action $MoreArguments".Trim()
            } + $Settings
            New-VirtualMachine @all -ErrorAction Stop
        }
    }
    AfterEach { Remove-TestMachine }

    It 'boots to a shell, which answers' -Skip:$Missing {
        $vm = New-LinuxMachine test-shell shell
        Start-VM $vm
        Wait-VM $vm -ConsoleText 'X86VIRT-GUEST-READY' -Timeout 300 -ErrorAction Stop
        Send-VMConsole $vm -Text 'echo $((6 * 7))-answers'
        Wait-VM $vm -ConsoleText '(?m)^42-answers' -Timeout 300 -ErrorAction Stop
        $vm.State | Should -Be 'Running'
    }

    It 'powers off' -Skip:$Missing {
        $vm = New-LinuxMachine test-off poweroff
        Start-VM $vm -Wait -Timeout 300 -ErrorAction Stop
        $vm.StopReason.Kind | Should -Be 'PowerOff'
        $vm.ExitCode | Should -Be 0
    }

    It 'reboots' -Skip:$Missing {
        $vm = New-LinuxMachine test-reboot reboot '' @{ NoReboot = $true }
        Start-VM $vm -Wait -Timeout 300 -ErrorAction Stop
        $vm.StopReason.Kind | Should -Be 'Reset'
    }

    It 'halts' -Skip:$Missing {
        $vm = New-LinuxMachine test-halt halt
        Start-VM $vm -Wait -Timeout 300 -ErrorAction Stop
        $vm.StopReason.Kind | Should -Be 'Halt'
    }

    It 'retires the same instructions and prints the same on two runs, without ACPI, APIC and PCI' -Skip:$Missing {
        $runs = foreach ($run in 1, 2) {
            $vm = New-LinuxMachine "test-run$run" poweroff 'acpi=off pci=off noapic nolapic' @{ NoReboot = $true }
            Start-VM $vm
            Wait-VM $vm -ConsoleText 'X86VIRT-GUEST-READY' -Timeout 300 -ErrorAction Stop
            Wait-VM $vm -ConsoleText 'reboot: |System halted|Power down' -Timeout 300 -ErrorAction Stop
            Stop-VM $vm -ErrorAction SilentlyContinue
            Get-VMConsole $vm
        }
        $runs[1] | Should -BeExactly $runs[0]
    }
}
