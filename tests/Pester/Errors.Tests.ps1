BeforeAll { . $PSScriptRoot/TestMachines.ps1 }

Describe 'A machine that cannot be made' {
    AfterEach { Remove-TestMachine }

    It 'is refused for <Why> with <Id>' -ForEach @(
        @{ Why = 'memory of 0'; Id = 'InvalidMemory'; Settings = @{ Memory = 0 }; Says = '*0 bytes*-Memory*' }
        @{ Why = 'memory that is not whole pages'; Id = 'InvalidMemory'; Settings = @{ Memory = 5MB + 1 }; Says = '*5242881*' }
        @{ Why = 'memory of less than a page'; Id = 'InvalidMemory'; Settings = @{ Memory = 1 }; Says = '*1 bytes*-Memory*' }
        @{ Why = 'memory beyond all bounds'; Id = 'InvalidMemory'; Settings = @{ Memory = '8PB' }; Says = '*256 GiB*' }
        @{ Why = 'a clock rate of 0'; Id = 'InvalidClockRate'; Settings = @{ ClockRate = 0 }; Says = '*-ClockRate*' }
        @{ Why = 'an unknown processor model'; Id = 'InvalidProcessorModel'; Settings = @{ ProcessorModel = 'Z80' }; Says = "*'Z80'*Opteron*" }
        @{ Why = 'an unknown feature'; Id = 'InvalidProcessorModel'; Settings = @{ Feature = '+Telepathy' }; Says = '*Telepathy*' }
        @{ Why = 'an initial RAM disk without a kernel'; Id = 'InvalidImage'; Settings = @{ InitialRamDisk = 'ram.disk' }; Says = '*-Kernel*' }
        @{ Why = 'a module without a kernel'; Id = 'InvalidImage'; Settings = @{ Module = 'part.bin text' }; Says = '*part.bin*-Kernel*' }
        @{ Why = 'an address with nothing to load there'; Id = 'InvalidImage'; Settings = @{ LoadAddress = 0x7c00 }; Says = '*0x7c00*-FlatBinary*' }
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
        $noise = [byte[]]::new(100000)
        [Random]::new(1).NextBytes($noise)
        $null = Save-TestFile 'noise' $noise
        $null = Save-TestFile 'empty' @()
        $null = Save-TestFile 'small' @(0xf4)
        $null = Save-TestFile 'large' ([byte[]]::new(5MB))
        $null = Save-LinuxImage 'linux'
        # 1 MiB by its own header.
        $null = Save-LinuxImage 'short' 1MB
        $null = Save-TestFile 'header' ([IO.File]::ReadAllBytes((Save-LinuxImage 'cut'))[0..519])
    }
    AfterEach { Remove-TestMachine }

    It '<Why> is <Id>' -ForEach @(
        @{ Why = 'a kernel that is not there'; Id = 'ImageUnreadable'; Category = 'OpenError'; Files = @{ Kernel = 'nowhere/vmlinuz' }; Says = '*vmlinuz*Check the path*' }
        @{ Why = 'a folder'; Id = 'ImageUnreadable'; Category = 'OpenError'; Files = @{ Kernel = '.' }; Says = '*folder*' }
        if (-not [OperatingSystem]::IsWindows()) { @{ Why = 'a device without end'; Id = 'ImageTooLarge'; Category = 'InvalidData'; Files = @{ FlatBinary = '/dev/zero' }; Says = '*/dev/zero*4194304*' } }
        @{ Why = 'an empty kernel'; Id = 'ImageEmpty'; Category = 'InvalidData'; Files = @{ Kernel = 'empty' }; Says = '*empty*0 bytes*' }
        @{ Why = 'noise'; Id = 'ImageUnrecognised'; Category = 'InvalidData'; Files = @{ Kernel = 'noise' }; Says = '*noise*100000 bytes*-FlatBinary*' }
        @{ Why = 'a kernel of which a part is missing'; Id = 'ImageTruncated'; Category = 'InvalidData'; Files = @{ Kernel = 'short' }; Says = '*short*1048576 bytes*1040 bytes*' }
        @{ Why = 'a kernel that ends in its header'; Id = 'ImageTruncated'; Category = 'InvalidData'; Files = @{ Kernel = 'header' }; Says = '*header*520 bytes*' }
        @{ Why = 'an initial RAM disk that is bigger than memory'; Id = 'ImageTooLarge'; Category = 'InvalidData'; Files = @{ Kernel = 'linux'; InitialRamDisk = 'large' }; Says = '*large*5242880*-Memory*' }
        @{ Why = 'an initial RAM disk that is not there'; Id = 'ImageUnreadable'; Category = 'OpenError'; Files = @{ Kernel = 'linux'; InitialRamDisk = 'nothing' }; Says = '*nothing*' }
        @{ Why = 'a module for Linux'; Id = 'ImageUnsupported'; Category = 'InvalidData'; Files = @{ Kernel = 'linux'; Module = 'small' }; Says = '*-InitialRamDisk*' }
        @{ Why = 'a flat binary bigger than memory'; Id = 'ImageTooLarge'; Category = 'InvalidData'; Files = @{ FlatBinary = 'large' }; Says = '*large*-Memory*' }
        @{ Why = 'a flat binary beyond the end of memory'; Id = 'ImageTooLarge'; Category = 'InvalidData'; Files = @{ FlatBinary = 'small'; LoadAddress = 1GB }; Says = '*0x40000000*' }
        @{ Why = 'a flat binary at the end of the address space'; Id = 'ImageTooLarge'; Category = 'InvalidData'; Files = @{ FlatBinary = 'small'; LoadAddress = '0xffffffffffffffff' }; Says = '*0xffffffffffffffff*' }
        @{ Why = 'a flat binary out of reach of its mode'; Id = 'ImageUnsupported'; Category = 'InvalidData'; Files = @{ FlatBinary = 'small'; LoadAddress = '0x200000'; BootMode = 'Real' }; Says = '*0x200000*below 1 MiB*' }
        @{ Why = 'an entry point elsewhere'; Id = 'ImageInvalid'; Category = 'InvalidData'; Files = @{ FlatBinary = 'small'; EntryPoint = '0x9000' }; Says = '*0x9000*0x7c00*' }
    ) {
        Push-Location $TestDrive
        try { $failure = Get-ImageError $Files }
        finally { Pop-Location }
        $failure.FullyQualifiedErrorId | Should -Be "$Id,X86Virt.PowerShell.NewVirtualMachine"
        $failure.CategoryInfo.Category | Should -Be $Category
        $failure.Exception.Message | Should -BeLike $Says
        Get-VirtualMachine test-* | Should -BeNullOrEmpty
    }

    It 'leaves the session in order: a good one boots' {
        $vm = New-VirtualMachine -Name test-good -Memory 4MB -Kernel (Save-LinuxImage 'whole') -InitialRamDisk (Save-TestFile 'disk' ([byte[]]::new(1000)))
        Start-VM $vm -Wait -Timeout 60
        $vm.ExitCode | Should -Be 11
    }

    It 'is caught, ignored and collected as errors are' {
        $caught = try { New-VirtualMachine test-caught -Memory 0 -ErrorAction Stop } catch { $_.FullyQualifiedErrorId }
        $caught | Should -Be 'InvalidMemory,X86Virt.PowerShell.NewVirtualMachine'
        New-VirtualMachine test-quiet -Memory 0 -ErrorAction SilentlyContinue -ErrorVariable kept | Should -BeNullOrEmpty
        @($kept)[0].FullyQualifiedErrorId | Should -Be $caught
        New-VirtualMachine test-ignored -Memory 0 -ErrorAction Ignore | Should -BeNullOrEmpty
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
        # The error's view says which cmdlet it is from.
        $failure.Exception.Message | Should -BeLike "Machine 'test-state' is $State*"
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
