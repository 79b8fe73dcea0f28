BeforeAll { . $PSScriptRoot/TestMachines.ps1 }

Describe 'A machine that cannot be made' {
    AfterEach { Remove-TestMachine }

    It 'is refused for <Why> with <Id>' -ForEach @(
        @{ Why = 'memory of 0'; Id = 'InvalidMemory'; Settings = @{ Memory = 0 }; Says = '*0 bytes*-Memory*' }
        @{ Why = 'memory that is not whole pages'; Id = 'InvalidMemory'; Settings = @{ Memory = 5MB + 1 }; Says = '*5242881*' }
        @{ Why = 'memory beyond all bounds'; Id = 'InvalidMemory'; Settings = @{ Memory = '8PB' }; Says = '*256 GiB*' }
        @{ Why = 'a clock rate of 0'; Id = 'InvalidClockRate'; Settings = @{ ClockRate = 0 }; Says = '*-ClockRate*' }
        @{ Why = 'an unknown processor model'; Id = 'InvalidProcessorModel'; Settings = @{ ProcessorModel = 'Z80' }; Says = "*'Z80'*Opteron*" }
        @{ Why = 'an unknown feature'; Id = 'InvalidProcessorModel'; Settings = @{ Feature = '+Telepathy' }; Says = '*Telepathy*' }
        @{ Why = 'an initial RAM disk without a kernel'; Id = 'InvalidImage'; Settings = @{ InitialRamDisk = 'ram.disk' }; Says = '*-Kernel*' }
        @{ Why = 'a kernel and a flat binary'; Id = 'InvalidImage'; Settings = @{ Kernel = 'a'; FlatBinary = 'b' }; Says = '*-FlatBinary*' }
    ) {
        $failure = { New-VirtualMachine -Name test-bad @Settings -ErrorAction Stop } |
            Should -Throw -ErrorId "$Id,X86Virt.PowerShell.NewVirtualMachine" -ExpectedMessage $Says -PassThru
        $failure.CategoryInfo.Category | Should -Be 'InvalidArgument'
        $failure.TargetObject | Should -Be 'test-bad'
        Get-VirtualMachine test-* | Should -BeNullOrEmpty
    }

    It 'is refused for an engine that there is not, and says which there are' {
        { New-VirtualMachine -Name test-bad -Engine Steam -ErrorAction Stop } |
            Should -Throw -ErrorId 'CannotConvertArgumentNoMessage,X86Virt.PowerShell.NewVirtualMachine' -ExpectedMessage '*Interpreter*DecodedCache*'
    }

    It 'is refused for the name <_>' -ForEach ' ', 'a*', 'b?', 'c[d]' {
        { New-VirtualMachine -Name $_ -ErrorAction Stop } | Should -Throw -ErrorId 'InvalidName,X86Virt.PowerShell.NewVirtualMachine'
    }

    It 'is refused for a name that is taken, in any case' {
        $null = New-TestMachine test-taken $TestGuest.Spin
        $failure = { New-VirtualMachine -Name TEST-Taken -ErrorAction Stop } |
            Should -Throw -ErrorId 'MachineAlreadyExists,X86Virt.PowerShell.NewVirtualMachine' -PassThru
        $failure.CategoryInfo.Category | Should -Be 'ResourceExists'
    }

    It 'does not keep the others from being made' {
        $made = 'test-1', 'test-*', 'test-2' | New-VirtualMachine -Memory 1MB -ErrorAction SilentlyContinue -ErrorVariable failed
        $made.Name | Should -Be @('test-1', 'test-2')
        $failed.Count | Should -Be 1
    }
}

Describe 'An image that cannot be booted' {
    BeforeAll {
        function Get-ImageError([hashtable] $Settings) { Get-FirstError { New-VirtualMachine -Name test-image -Memory 4MB @Settings } }
    }
    AfterEach { Remove-TestMachine }

    It 'is not there' {
        $failure = Get-ImageError @{ Kernel = [IO.Path]::Combine($TestDrive, 'nowhere', 'vmlinuz') }
        $failure.FullyQualifiedErrorId | Should -Be 'ImageUnreadable,X86Virt.PowerShell.NewVirtualMachine'
        $failure.CategoryInfo.Category | Should -Be 'OpenError'
        $failure.Exception.Message | Should -BeLike '*vmlinuz*'
    }

    It 'is a folder' {
        (Get-ImageError @{ Kernel = "$TestDrive" }).FullyQualifiedErrorId | Should -Be 'ImageUnreadable,X86Virt.PowerShell.NewVirtualMachine'
    }

    It 'is empty' {
        (Get-ImageError @{ Kernel = Save-TestFile 'empty' @() }).FullyQualifiedErrorId | Should -Be 'ImageEmpty,X86Virt.PowerShell.NewVirtualMachine'
    }

    It 'is noise' {
        $noise = [byte[]]::new(100000)
        [Random]::new(1).NextBytes($noise)
        $failure = Get-ImageError @{ Kernel = Save-TestFile 'noise' $noise }
        $failure.FullyQualifiedErrorId | Should -Be 'ImageUnrecognised,X86Virt.PowerShell.NewVirtualMachine'
        $failure.CategoryInfo.Category | Should -Be 'InvalidData'
    }

    It 'is a Linux kernel of which a part is missing' {
        $failure = Get-ImageError @{ Kernel = Save-LinuxImage 'short' 1MB }
        $failure.FullyQualifiedErrorId | Should -Be 'ImageTruncated,X86Virt.PowerShell.NewVirtualMachine'
        $failure.Exception.Message | Should -BeLike '*short*'
    }

    It 'has an initial RAM disk that is bigger than memory' {
        $disk = Save-TestFile 'big' ([byte[]]::new(5MB))
        $failure = Get-ImageError @{ Kernel = Save-LinuxImage 'whole'; InitialRamDisk = $disk }
        $failure.FullyQualifiedErrorId | Should -Be 'ImageTooLarge,X86Virt.PowerShell.NewVirtualMachine'
        $failure.Exception.Message | Should -BeLike '*big*'
    }

    It 'is a flat binary bigger than memory, or beyond its end' {
        (Get-ImageError @{ FlatBinary = Save-TestFile 'large' ([byte[]]::new(5MB)) }).FullyQualifiedErrorId | Should -Be 'ImageTooLarge,X86Virt.PowerShell.NewVirtualMachine'
        (Get-ImageError @{ FlatBinary = Save-TestFile 'small' @(0xf4); LoadAddress = 1GB }).FullyQualifiedErrorId | Should -Be 'ImageTooLarge,X86Virt.PowerShell.NewVirtualMachine'
    }

    It 'leaves the session in order: a good one boots' {
        $vm = New-VirtualMachine -Name test-good -Memory 4MB -Kernel (Save-LinuxImage 'whole') -InitialRamDisk (Save-TestFile 'disk' ([byte[]]::new(1000)))
        Start-VM $vm -Wait -Timeout 60
        $vm.ExitCode | Should -Be 11
    }
}

Describe 'An action in the wrong state' {
    AfterEach { Remove-TestMachine }

    It '<Action> is refused when the machine is <State>' -ForEach @(
        @{ Action = 'Start-VM'; State = 'Running' }
        @{ Action = 'Start-VM'; State = 'Suspended' }
        @{ Action = 'Stop-VM'; State = 'Stopped' }
        @{ Action = 'Suspend-VM'; State = 'Stopped' }
        @{ Action = 'Suspend-VM'; State = 'Suspended' }
        @{ Action = 'Resume-VM'; State = 'Stopped' }
        @{ Action = 'Resume-VM'; State = 'Running' }
        @{ Action = 'Step-VM'; State = 'Running' }
        @{ Action = 'Set-VirtualMachine'; State = 'Running' }
        @{ Action = 'Set-VirtualMachine'; State = 'Suspended' }
        @{ Action = 'Remove-VirtualMachine'; State = 'Running' }
        @{ Action = 'Remove-VirtualMachine'; State = 'Suspended' }
    ) {
        $vm = New-TestMachine test-state $TestGuest.Spin
        if ($State -ne 'Stopped') { Start-VM $vm }
        if ($State -eq 'Suspended') { Suspend-VM $vm }
        $failure = Get-FirstError { & $Action $vm }
        $failure.FullyQualifiedErrorId | Should -BeLike 'WrongMachineState,X86Virt.PowerShell.*'
        $failure.CategoryInfo.Category | Should -Be 'InvalidOperation'
        $failure.TargetObject.Name | Should -Be 'test-state'
        $failure.Exception.Message | Should -BeLike "*'test-state' is $State*"
        $vm.State | Should -Be $State
    }

    It 'is one on a machine that ended: it cannot be stepped' {
        $vm = New-TestMachine test-ended $TestGuest.Exit11
        Start-VM $vm -Wait -Timeout 60
        (Get-FirstError { Step-VM $vm }).FullyQualifiedErrorId | Should -Be 'WrongMachineState,X86Virt.PowerShell.StepVM'
    }

    It '<Command> says that a machine was removed' -ForEach @(
        @{ Command = 'Start-VM'; Arguments = @{} }
        @{ Command = 'Set-VirtualMachine'; Arguments = @{} }
        @{ Command = 'Get-VMRegister'; Arguments = @{} }
        @{ Command = 'Get-VMDevice'; Arguments = @{} }
        @{ Command = 'Measure-VmExit'; Arguments = @{} }
        @{ Command = 'Read-VMMemory'; Arguments = @{ Address = 0 } }
        @{ Command = 'Send-VMConsole'; Arguments = @{ Text = 'x' } }
    ) {
        $vm = New-TestMachine test-gone $TestGuest.Spin
        Remove-VirtualMachine $vm
        $failure = Get-FirstError { & $Command $vm @Arguments }
        $failure.FullyQualifiedErrorId | Should -BeLike 'MachineNotFound,X86Virt.PowerShell.*'
        $failure.CategoryInfo.Category | Should -Be 'ObjectNotFound'
    }

    It 'names a machine that there is not' {
        $failure = Get-FirstError { Start-VM test-nobody }
        $failure.FullyQualifiedErrorId | Should -Be 'MachineNotFound,X86Virt.PowerShell.StartVM'
        $failure.TargetObject | Should -Be 'test-nobody'
        $failure.Exception.Message | Should -BeLike '*Get-VirtualMachine*'
    }
}

Describe 'A guest that goes astray' {
    AfterEach { Remove-TestMachine }

    It 'that overwrites all it can reach ends or runs on, and nothing else is harmed: <Name>' -ForEach @(
        # 16-bit: es walks through the first megabyte; rep stosb of 0xff, over itself too.
        @{ Name = 'real mode'; Code = 'b0 ff b9 ff ff 31 ff f3 aa 8c c2 81 c2 00 10 8e c2 eb ee'; Settings = @{} }
        # 32-bit: rep stosd over 4 GiB, devices and all.
        @{ Name = 'protected mode'; Code = 'b8 ff ff ff ff 31 ff b9 00 00 00 40 f3 ab eb fe'; Settings = @{ BootMode = 'Protected'; LoadAddress = 0x100000 } }
        # 64-bit: rep stosq over its own page tables.
        @{ Name = 'long mode'; Code = '48 31 ff b9 00 00 08 00 48 31 c0 f3 48 ab eb fe'; Settings = @{ BootMode = 'Long'; LoadAddress = 0x100000 } }
    ) {
        $vm = New-TestMachine test-wild $Code $Settings
        Step-VM $vm -Count 20000
        $vm.StopReason.Kind | Should -BeIn @('None', 'TripleFault', 'Halt', 'Reset', 'PowerOff', 'DebugExit')
        $other = New-TestMachine test-other $TestGuest.Exit11 | Start-VM -Wait -Timeout 60 -PassThru
        $other.ExitCode | Should -Be 11
    }

    It 'that executes noise never brings the process down (seed <_>)' -ForEach (1..20) {
        $noise = [byte[]]::new(65536)
        [Random]::new($_).NextBytes($noise)
        $file = Save-TestFile 'noise.bin' $noise
        foreach ($mode in 'Real', 'Protected', 'Long') {
            $vm = New-VirtualMachine -Name test-noise -Memory 4MB -FlatBinary $file -LoadAddress 0x10000 -BootMode $mode -NoReboot
            Step-VM $vm -Count 5000
            $vm.StopReason.Kind | Should -Not -Be 'InternalError'
            Remove-VirtualMachine $vm -Force
        }
    }
}
