BeforeDiscovery {
    $engines = 'Interpreter', 'DecodedCache', 'BinaryTranslation'
}
BeforeAll { . $PSScriptRoot/TestMachines.ps1 }

Describe 'A guest that goes astray, on <_>' -ForEach $engines {
    BeforeAll {
        $engine = $_
        function Start-Hostile([string] $Code, [hashtable] $Settings) {
            New-TestMachine test-hostile $Code ($Settings + @{ Engine = $engine; NoReboot = $true }) | Start-VM -Wait -Timeout 120 -PassThru -ErrorAction Stop
        }
    }
    AfterEach {
        Remove-TestMachine
        # The session goes on, and so does the next machine.
        (New-TestMachine test-next $TestGuest.Exit11 @{ Engine = $engine } | Start-VM -Wait -Timeout 60 -PassThru).ExitCode | Should -Be 11
        Remove-TestMachine
    }

    It 'fills the first megabyte, itself with it, and ends with its reason' {
        # cld; mov al, 0xf4; mov cx, 0xffff; xor di, di; rep stosb; mov dx, es; add dx, 0x1000; mov es, dx; jmp back
        $vm = Start-Hostile 'fc b0 f4 b9 ff ff 31 ff f3 aa 8c c2 81 c2 00 10 8e c2 eb ef' @{}
        $vm.State | Should -Be 'Stopped'
        $vm.StopReason.Message | Should -Match '0x'
    }

    It 'writes over memory and devices up to 4 GiB' {
        # Every dword of RAM but its own page and of the devices' space, one in 4 KiB elsewhere, each with another value; then exit code 11.
        $vm = Start-Hostile ('b8 ff ff ff ff 31 ff 81 ff 00 00 10 00 72 29 81 ff 00 10 10 00 72 1a 81 ff 00 00 40 00 72 19 81 ff 00 00 00 fe 73 11 ' +
            '89 07 81 c7 00 10 00 00 eb 0c bf 00 10 10 00 eb 05 89 07 83 c7 04 69 c0 6d 4e c6 41 05 39 30 00 00 85 ff 75 bb b0 05 e6 f4 eb fe') `
            @{ BootMode = 'Protected'; LoadAddress = 0x100000 }
        # The local APIC was told to send an NMI, for which there is no handler.
        $vm.StopReason.Kind | Should -BeIn @('TripleFault', 'DebugExit')
        $vm.InstructionsRetired | Should -BeGreaterThan 10000000
    }

    It 'writes and reads every port in every width' {
        # All but those that end or reset the machine or gate A20; then exit code 11.
        $vm = Start-Hostile ('31 d2 69 c2 b1 79 37 9e 89 d3 c1 eb 03 83 fb 0c 74 36 83 fb 12 74 31 83 fb 1e 74 2c 81 fb 9f 01 00 00 74 24 89 d9 c1 e9 03 ' +
            '81 f9 c0 02 00 00 74 17 83 f9 18 74 12 ee ec f6 c2 01 75 0b 66 ef 66 ed f6 c2 03 75 02 ef ed 42 81 fa 00 00 01 00 72 b1 b0 05 e6 f4 eb fe') `
            @{ BootMode = 'Protected'; LoadAddress = 0x100000 }
        $vm.StopReason.Kind | Should -BeIn @('DebugExit', 'PowerOff', 'Reset')
    }

    It 'destroys its own page tables and faults three times' {
        # xor edi, edi; mov ecx, 0x80000; xor rax, rax; rep stosq; jmp $
        $vm = Start-Hostile '48 31 ff b9 00 00 08 00 48 31 c0 f3 48 ab eb fe' @{ BootMode = 'Long'; LoadAddress = 0x100000 }
        $vm.StopReason.Kind | Should -Be 'TripleFault'
        $vm.StopReason.Message | Should -Match '0x1000[0-9a-f]{2}.*PageFault'
    }

    It 'executes noise (seeds 1 to 8)' {
        foreach ($seed in 1..8) {
            $noise = [byte[]]::new(65536)
            [Random]::new($seed).NextBytes($noise)
            $file = Save-TestFile 'noise.bin' $noise
            foreach ($mode in 'Real', 'Protected', 'Long') {
                $ends = foreach ($kind in 'Interpreter', $engine) {
                    $vm = New-VirtualMachine -Name test-noise -Memory 4MB -FlatBinary $file -LoadAddress 0x10000 -BootMode $mode -NoReboot -Engine $kind
                    $null = Step-VM $vm -Count 5000
                    $vm.StopReason.Kind | Should -Not -Be 'InternalError'
                    "$($vm.StopReason) after $($vm.InstructionsRetired)"
                    Remove-VirtualMachine $vm -Force
                }
                # Translated code need not agree on flags that the manuals leave undefined, and noise branches on them.
                if ($engine -ne 'BinaryTranslation') { $ends[1] | Should -Be $ends[0] }
            }
        }
    }
}

Describe 'A guest that goes astray on every engine' {
    AfterEach { Remove-TestMachine }

    It 'comes to the same end after as many instructions' {
        $ends = foreach ($engine in 'Interpreter', 'DecodedCache', 'BinaryTranslation') {
            $vm = New-TestMachine "test-$engine" '48 31 ff b9 00 00 08 00 48 31 c0 f3 48 ab eb fe' @{ BootMode = 'Long'; LoadAddress = 0x100000; Engine = $engine }
            Start-VM $vm -Wait -Timeout 60
            "$($vm.StopReason) after $($vm.InstructionsRetired)"
        }
        $ends[1] | Should -Be $ends[0]
        $ends[2] | Should -Be $ends[0]
    }
}
