# Skipped where build.ps1 Guests could not fetch Debian's kernels.
BeforeDiscovery {
    . $PSScriptRoot/TestMachines.ps1
    $guests = [IO.Path]::GetFullPath([IO.Path]::Combine($PSScriptRoot, '..', '..', 'artifacts', 'guests'))
    $kernels = @(
        @{ Kernel = 'vmlinuz-cloud-amd64'; Disk = 'initramfs-amd64.cpio.gz' }
        @{ Kernel = 'vmlinuz-amd64'; Disk = 'initramfs-amd64.cpio.gz' }
        @{ Kernel = 'vmlinuz-686'; Disk = 'initramfs-i386.cpio.gz' }
    )
    foreach ($one in $kernels) {
        $one.Missing = @($one.Kernel, $one.Disk | Where-Object { -not [IO.File]::Exists([IO.Path]::Combine($guests, $_)) }).Count -gt 0
    }
    $cloud = $kernels[0]
    $otherEngines = [Enum]::GetNames([X86Virt.Engine.EngineKind]) | Where-Object { $_ -ne 'DecodedCache' } | ForEach-Object { @{ Engine = $_; Missing = $cloud.Missing } }
    $multiboot = @(
        @{ File = 'xen'; CommandLine = 'com1=115200,8n1 console=com1 noreboot'; Says = 'dom0 kernel not specified' }
        @{ File = 'gnumach'; CommandLine = 'console=com0'; Says = 'bootstrap_create: No bootstrap code' }
    )
    foreach ($one in $multiboot) { $one.Missing = -not [IO.File]::Exists([IO.Path]::Combine($guests, $one.File)) }
}
BeforeAll {
    . $PSScriptRoot/TestMachines.ps1
    $Guests = [IO.Path]::GetFullPath([IO.Path]::Combine($PSScriptRoot, '..', '..', 'artifacts', 'guests'))

    function New-LinuxMachine([string] $Name, [string] $Kernel, [string] $Disk, [string] $Arguments, [hashtable] $Settings = @{}) {
        $all = @{
            Name           = $Name
            Memory         = 256MB
            Kernel         = [IO.Path]::Combine($Guests, $Kernel)
            InitialRamDisk = [IO.Path]::Combine($Guests, $Disk)
            CommandLine    = "console=ttyS0 $Arguments"
        } + $Settings
        New-VirtualMachine @all -ErrorAction Stop
    }
}

Describe "Debian's <Kernel>" -ForEach $kernels -Tag Linux {
    AfterEach { Remove-TestMachine }

    It 'boots to a shell, which answers, and powers off when it is left' -Skip:$Missing {
        $vm = New-LinuxMachine test-shell $Kernel $Disk 'x86virt.action=shell'
        Start-VM $vm
        Wait-VM $vm -ConsoleText 'X86VIRT-GUEST-READY[^#]*# ' -Timeout 600 -ErrorAction Stop
        Send-VMConsole $vm -Text 'echo $((6 * 7))-answers'
        Wait-VM $vm -ConsoleText '(?m)^42-answers' -Timeout 600 -ErrorAction Stop
        Send-VMConsole $vm -Text 'exit'
        Wait-VM $vm -Timeout 600 -ErrorAction Stop
        $vm.StopReason.Kind | Should -Be 'PowerOff'
        $vm.ExitCode | Should -Be 0
    }

    It 'reboots' -Skip:$Missing {
        $vm = New-LinuxMachine test-reboot $Kernel $Disk 'x86virt.action=reboot' @{ NoReboot = $true }
        Start-VM $vm -Wait -Timeout 600 -ErrorAction Stop
        $vm.StopReason.Kind | Should -Be 'Reset'
        Get-VMConsole $vm | Should -Match 'X86VIRT-GUEST-READY'
    }

    It 'halts' -Skip:$Missing {
        $vm = New-LinuxMachine test-halt $Kernel $Disk 'x86virt.action=halt'
        Start-VM $vm -Wait -Timeout 600 -ErrorAction Stop
        $vm.StopReason.Kind | Should -Be 'Halt'
        Get-VMConsole $vm | Should -Match 'System halted'
    }

    It 'retires the same instructions and prints the same on two runs, without ACPI, APIC and PCI' -Skip:$Missing {
        $runs = foreach ($run in 1, 2) {
            New-LinuxMachine "test-run$run" $Kernel $Disk 'x86virt.action=reboot acpi=off pci=off noapic nolapic' @{ NoReboot = $true }
        }
        Start-VM $runs
        Wait-VM $runs -Timeout 600 -ErrorAction Stop
        Get-VMConsole $runs[0] | Should -Match 'X86VIRT-GUEST-READY'
        Get-VMConsole $runs[1] | Should -BeExactly (Get-VMConsole $runs[0])
        $runs[1].InstructionsRetired | Should -Be $runs[0].InstructionsRetired
    }
}

# Minutes each: build.ps1 Test -All runs them.
Describe 'The engine <Engine>' -ForEach $otherEngines -Tag Linux, Slow {
    AfterEach { Remove-TestMachine }

    It "boots Debian's cloud kernel just as DecodedCache does" -Skip:$Missing {
        $machines = foreach ($kind in 'DecodedCache', $Engine) {
            New-LinuxMachine "test-$kind" 'vmlinuz-cloud-amd64' 'initramfs-amd64.cpio.gz' 'x86virt.action=poweroff' @{ Engine = $kind }
        }
        Start-VM $machines
        Wait-VM $machines -Timeout 1800 -ErrorAction Stop
        Get-VMConsole $machines[0] | Should -Match 'X86VIRT-GUEST-READY'
        Get-VMConsole $machines[1] | Should -BeExactly (Get-VMConsole $machines[0])
        $machines[1].InstructionsRetired | Should -Be $machines[0].InstructionsRetired
    }
}

Describe "Debian's multiboot kernel <File>" -ForEach $multiboot -Tag Linux {
    AfterEach { Remove-TestMachine }

    It 'comes to its own end: <Says>' -Skip:$Missing {
        $vm = New-VirtualMachine -Name test-multiboot -Memory 512MB -Kernel ([IO.Path]::Combine($Guests, $File)) -CommandLine $CommandLine
        Start-VM $vm
        (Wait-VM $vm -ConsoleText $Says -Timeout 300 -PassThru -ErrorAction Stop).Name | Should -Be 'test-multiboot'
    }
}
