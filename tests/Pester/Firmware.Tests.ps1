BeforeDiscovery {
    $bios = [IO.Path]::GetFullPath([IO.Path]::Combine($PSScriptRoot, '..', '..', 'artifacts', 'guests', 'bios-256k.bin'))
    $missing = -not [IO.File]::Exists($bios)
    # QEMU's option ROM, which has SeaBIOS start the kernel that fw_cfg holds by its real-mode code.
    $guests = [IO.Path]::GetDirectoryName($bios)
    $bootMissing = $missing -or @('/usr/share/qemu/linuxboot_dma.bin', [IO.Path]::Combine($guests, 'vmlinuz-cloud-amd64'), [IO.Path]::Combine($guests, 'initramfs-amd64.cpio.gz') |
        Where-Object { -not [IO.File]::Exists($_) }).Count -gt 0
}
BeforeAll {
    . $PSScriptRoot/TestMachines.ps1
    $Bios = [IO.Path]::GetFullPath([IO.Path]::Combine($PSScriptRoot, '..', '..', 'artifacts', 'guests', 'bios-256k.bin'))
}

Describe 'Firmware' {
    AfterEach { Remove-TestMachine }

    It 'starts at the reset vector and looks for something to boot' -Skip:$missing {
        $vm = New-VirtualMachine -Name test-bios -Memory 64MB -Firmware $Bios
        (Get-VMRegister $vm).RIP | Should -Be 0xfff0
        Start-VM $vm
        Wait-VM $vm -ConsoleText 'No bootable device' -Timeout 120 -ErrorAction Stop
        Get-VMConsole $vm | Should -Match 'Hard Disk'
        (Get-VMDevice $vm -Device 'Power management').Ports | Should -Contain '0x600-0x63f'
    }

    It 'starts a kernel by its real-mode code, given the option ROM for it' -Skip:$bootMissing {
        $items = @{ 'genroms/linuxboot_dma.bin' = [IO.File]::ReadAllBytes('/usr/share/qemu/linuxboot_dma.bin'); 'bootorder' = "/rom@genroms/linuxboot_dma.bin`n`0" }
        $guests = [IO.Path]::GetDirectoryName($Bios)
        $vm = New-VirtualMachine -Name test-rom -Memory 256MB -Firmware $Bios -FirmwareItem $items -Kernel "$guests/vmlinuz-cloud-amd64" -InitialRamDisk "$guests/initramfs-amd64.cpio.gz" -CommandLine 'console=ttyS0 x86virt.action=poweroff'
        Start-VM $vm -Wait -Timeout 240 -ErrorAction Stop
        Get-VMConsole $vm | Should -Match '(?s)Booting from ROM.*X86VIRT-GUEST-READY'
        $vm.StopReason.Kind | Should -Be 'PowerOff'
    }

    It 'is executed by the monitor where the silicon runs no real mode, like on every other engine' -Skip:$bootMissing {
        $items = @{ 'genroms/linuxboot_dma.bin' = [IO.File]::ReadAllBytes('/usr/share/qemu/linuxboot_dma.bin'); 'bootorder' = "/rom@genroms/linuxboot_dma.bin`n`0" }
        $settings = @{
            Memory = 256MB; Firmware = $Bios; FirmwareItem = $items; Kernel = [IO.Path]::Combine([IO.Path]::GetDirectoryName($Bios), 'vmlinuz-cloud-amd64')
            CommandLine = 'console=ttyS0 panic=-1'; ErrorAction = 'Stop'
        }
        $machines = @(
            New-VirtualMachine -Name test-reference @settings
            New-VirtualMachine -Name test-first -Engine HardwareAssist -Generation FirstGeneration -ExitClustering @settings
        )
        # SeaBIOS resets the machine once before it has found itself.
        $machines | ForEach-Object { Start-VM $_; Wait-VM $_ -ConsoleText 'Kernel panic' -Timeout 240; Stop-VM $_ }
        $consoles = $machines | ForEach-Object { (Get-VMConsole $_) -replace '(?s)(Kernel panic[^\n]*).*', '$1' }
        $consoles[1] | Should -Match 'Booting from ROM'
        $consoles[1] | Should -BeExactly $consoles[0]
        (Measure-VmExit $machines[1] | Where-Object Reason -eq 'emulated mode').Emulated | Should -BeGreaterThan 10000
    }

    It 'is not given with a flat binary, nor of an odd size' {
        $odd = Save-TestFile odd.bin ([byte[]]::new(1000))
        { New-VirtualMachine -Name test-odd -Firmware $odd -ErrorAction Stop } | Should -Throw '*1000 bytes*'
        { New-VirtualMachine -Name test-odd -Firmware $odd -FlatBinary $odd -ErrorAction Stop } | Should -Throw -ErrorId 'InvalidImage,X86Virt.PowerShell.NewVirtualMachine'
    }
}

Describe 'A machine without firmware' {
    AfterEach { Remove-TestMachine }

    It 'is reset by a jump to the reset vector' {
        # jmp f000:fff0
        $vm = New-TestMachine test-vector 'ea f0 ff 00 f0' @{ NoReboot = $true }
        Start-VM $vm -Wait -Timeout 60
        $vm.StopReason.Kind | Should -Be 'Reset'
    }
}

Describe 'Firmware items' {
    AfterEach { Remove-TestMachine }

    It '<Kind> is what the guest reads' -ForEach @(
        @{ Kind = 'text'; Value = 'hello' }
        @{ Kind = 'an array of bytes'; Value = [byte[]](0x68, 1, 2) }
    ) {
        # Sorts before the board's own files, so that its key is the first: select 0x20, read a byte, end with it.
        $vm = New-TestMachine test-item '66 BA 10 05 66 B8 20 00 66 EF 42 EC 66 BA F4 00 EE' @{ BootMode = 'Protected'; LoadAddress = 0x100000; FirmwareItem = @{ 'a/b' = $Value } }
        Start-VM $vm -Wait -Timeout 60
        $vm.ExitCode | Should -Be 0xd1
    }

    It 'with a bad name is refused' {
        { New-VirtualMachine -Name test-bad -FirmwareItem @{ ('x' * 60) = 1 } -ErrorAction Stop } | Should -Throw -ErrorId 'InvalidFirmwareItem,X86Virt.PowerShell.NewVirtualMachine'
    }
}
