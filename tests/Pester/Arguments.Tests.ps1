BeforeAll { . $PSScriptRoot/TestMachines.ps1 }

Describe 'An argument that cannot be' {
    BeforeAll {
        $vm = New-TestMachine test-arguments $TestGuest.Spin
        Step-VM $vm
    }
    AfterAll { Remove-TestMachine }

    It '<Line> is <Id>, which says so' -ForEach @(
        @{ Line = 'New-VirtualMachine test-new -Memory -5'; Id = 'ParameterArgumentTransformationError'; Says = "*Memory*-5*256MB*" }
        @{ Line = 'New-VirtualMachine test-new -Memory "12 parrots"'; Id = 'ParameterArgumentTransformationError'; Says = "*'12 parrots'*256MB*" }
        @{ Line = 'New-VirtualMachine test-new -Memory 1.5'; Id = 'ParameterArgumentTransformationError'; Says = '*1.5*' }
        @{ Line = 'New-VirtualMachine test-new -Engine Steam'; Id = 'CannotConvertArgumentNoMessage'; Says = '*Steam*Interpreter*DecodedCache*BinaryTranslation*' }
        @{ Line = 'New-VirtualMachine test-new -Engine 17'; Id = 'CannotConvertArgumentNoMessage'; Says = '*17*Interpreter*DecodedCache*BinaryTranslation*' }
        @{ Line = 'New-VirtualMachine test-new -Clock Cuckoo'; Id = 'CannotConvertArgumentNoMessage'; Says = '*Cuckoo*RealTime*' }
        @{ Line = 'New-VirtualMachine test-new -LoadAddress there'; Id = 'ParameterArgumentTransformationError'; Says = "*LoadAddress*'there'*0x7c00*" }
        @{ Line = 'New-VirtualMachine test-new -Kernel ""'; Id = 'ParameterArgumentValidationError'; Says = '*Kernel*' }
        @{ Line = 'Wait-VM test-arguments -ConsoleText "(" -Timeout 0'; Id = 'ParameterArgumentTransformationError'; Says = "*ConsoleText*'('*Escape*" }
        @{ Line = 'Wait-VM test-arguments -Timeout -1'; Id = 'ParameterArgumentTransformationError'; Says = "*Timeout*-1*" }
        @{ Line = 'Wait-VM test-arguments -Timeout ([timespan]::FromSeconds(-1))'; Id = 'ParameterArgumentTransformationError'; Says = '*Timeout*-00:00:01*' }
        @{ Line = 'Wait-VM test-arguments -Timeout soon'; Id = 'ParameterArgumentTransformationError'; Says = "*'soon'*seconds*" }
        @{ Line = 'Wait-VM test-arguments -State Asleep'; Id = 'CannotConvertArgumentNoMessage'; Says = '*Asleep*Suspended*' }
        @{ Line = 'Wait-VM test-arguments -State Stopped -ConsoleText x'; Id = 'AmbiguousWait'; Says = '*-State*-ConsoleText*' }
        @{ Line = 'Step-VM test-arguments -Count 0'; Id = 'ParameterArgumentValidationError'; Says = '*Count*0*' }
        @{ Line = 'Trace-VM test-arguments -Count -1'; Id = 'ParameterArgumentValidationError'; Says = '*Count*-1*' }
        @{ Line = 'Trace-VM test-arguments -InstructionLimit 0'; Id = 'ParameterArgumentValidationError'; Says = '*InstructionLimit*0*' }
        @{ Line = 'Trace-VM test-arguments -Event Party'; Id = 'CannotConvertArgumentNoMessage'; Says = '*Party*PortIo*' }
        @{ Line = 'Read-VMMemory test-arguments -Address there'; Id = 'ParameterArgumentTransformationError'; Says = "*Address*'there'*" }
        @{ Line = 'Read-VMMemory test-arguments -Address 0x10000000000000000'; Id = 'ParameterArgumentTransformationError'; Says = '*Address*64 bits*' }
        @{ Line = 'Read-VMMemory test-arguments -Address 0 -Count 0'; Id = 'ParameterArgumentValidationError'; Says = '*Count*0*' }
        @{ Line = 'Read-VMMemory test-arguments -Address 0 -Count -4'; Id = 'ParameterArgumentValidationError'; Says = '*Count*-4*' }
        @{ Line = 'Read-VMMemory test-arguments -Address 0 -Count 500GB'; Id = 'ParameterArgumentValidationError'; Says = '*Count*536870912000*1073741824*' }
        @{ Line = 'Read-VMMemory test-arguments -Address 0 -Count 1000000000 -As UInt64'; Id = 'InvalidCount'; Says = '*8000000000 bytes*-Count*' }
        @{ Line = 'Read-VMMemory test-arguments -Address 0x3ffff8 -Count 16 -Physical'; Id = 'NoMemoryAtAddress'; Says = '*0x400000*' }
        @{ Line = 'Read-VMMemory test-arguments -Address 0xfee00000 -Physical'; Id = 'NoMemoryAtAddress'; Says = '*0xfee00000*' }
        @{ Line = 'Read-VMMemory test-arguments -Address 0xffffffffffffffff -Count 2 -Physical'; Id = 'NoMemoryAtAddress'; Says = '*0xffffffffffffffff*' }
        @{ Line = 'Write-VMMemory test-arguments -Address 0x400000 -Byte 1 -Physical'; Id = 'NoMemoryAtAddress'; Says = '*0x400000*' }
        @{ Line = 'Write-VMMemory test-arguments -Address 0 -Byte 256'; Id = 'CannotConvertArgumentNoMessage'; Says = '*Byte*256*' }
        @{ Line = 'Write-VMMemory test-arguments -Address 0'; Id = 'NothingToWrite'; Says = '*-Byte*-Text*' }
        @{ Line = 'Get-VMRegister test-arguments -Register RQX'; Id = 'RegisterNotFound'; Says = "*'RQX'*" }
        @{ Line = 'Set-VMRegister test-arguments -Register RQX -Value 1'; Id = 'RegisterNotFound'; Says = "*'RQX'*" }
        @{ Line = 'Set-VMRegister test-arguments -Register AL -Value 256'; Id = 'InvalidRegisterValue'; Says = '*AL*8 bits*256*' }
        @{ Line = 'Set-VMRegister test-arguments -Register AL -Value much'; Id = 'CannotConvertArgumentNoMessage'; Says = '*Value*much*' }
        @{ Line = 'Get-VMDisassembly test-arguments -Address 0x400000'; Id = 'NoMemoryAtAddress'; Says = '*0x400000*0 of 10*' }
        @{ Line = 'Get-VMDisassembly test-arguments -Bitness 8'; Id = 'ParameterArgumentValidationError'; Says = '*8*16,32,64*' }
        @{ Line = 'Get-VMDisassembly test-arguments -Syntax Sanskrit'; Id = 'CannotConvertArgumentNoMessage'; Says = '*Sanskrit*Intel*' }
        @{ Line = 'Resolve-VMAddress test-arguments -Address there'; Id = 'ParameterArgumentTransformationError'; Says = "*'there'*" }
        @{ Line = 'Set-VMBreakpoint test-arguments -Address there'; Id = 'ParameterArgumentTransformationError'; Says = "*'there'*" }
        @{ Line = 'Remove-VMBreakpoint test-arguments -Address 5'; Id = 'BreakpointNotFound'; Says = '*0x5*' }
        @{ Line = 'Get-VMDevice test-arguments -Device Floppy'; Id = 'DeviceNotFound'; Says = "*'Floppy'*COM1*" }
        @{ Line = 'Get-VmExit test-arguments'; Id = 'NoVmExits'; Says = '*test-arguments*HardwareAssist*' }
        @{ Line = 'Measure-VmExit test-arguments -Reset -During { }'; Id = 'ParametersExclusive'; Says = '*-Reset*' }
        @{ Line = 'Measure-VmExit test-arguments -Kind Brexit'; Id = 'CannotConvertArgumentNoMessage'; Says = '*Brexit*PortIo*' }
        @{ Line = 'Get-VMConsole test-arguments -Tail 0'; Id = 'ParameterArgumentValidationError'; Says = '*Tail*0*' }
        @{ Line = 'Send-VMConsole test-arguments -Key Hyper'; Id = 'UnknownKey'; Says = "*Hyper*" }
        @{ Line = 'Get-VirtualMachine test-nobody'; Id = 'MachineNotFound'; Says = "*'test-nobody'*" }
        @{ Line = '42 | Stop-VM'; Id = 'MachineNotFound'; Says = "*'42'*" }
    ) {
        $failure = Get-FirstError ([scriptblock]::Create($Line))
        $failure | Should -BeOfType System.Management.Automation.ErrorRecord
        $failure.FullyQualifiedErrorId | Should -BeLike "$Id,X86Virt.PowerShell.*"
        $failure.Exception.Message | Should -BeLike $Says
        # Nothing was made, and what there was is as it was.
        Get-VirtualMachine test-new* | Should -BeNullOrEmpty
        $vm.State | Should -Be 'Suspended'
        $vm.InstructionsRetired | Should -Be 1
    }
}

Describe 'A register set to what the processor would refuse' {
    AfterEach { Remove-TestMachine }

    It 'has the guest fault or go on, and nothing else (<Engine>, <BootMode>)' -ForEach @(
        foreach ($engine in 'Interpreter', 'DecodedCache', 'BinaryTranslation') { foreach ($mode in 'Real', 'Protected', 'Long') { @{ Engine = $engine; BootMode = $mode } } }
    ) {
        $random = [Random]::new(1)
        $names = @([X86Virt.Engine.RegisterSet]::Names)
        foreach ($turn in 1..20) {
            $vm = New-TestMachine test-register 'f4 eb fe' @{ Engine = $Engine; BootMode = $BootMode; LoadAddress = 0x10000; NoReboot = $true }
            foreach ($i in 1..6) {
                $value = switch ($random.Next(3)) { 0 { [bigint]::One -shl $random.Next(64) } 1 { [bigint] $random.NextInt64() } 2 { [bigint] -1 } }
                Set-VMRegister $vm -Register $names[$random.Next($names.Count)] -Value $value -ErrorAction SilentlyContinue
            }
            $null = Step-VM $vm -Count 20
            $vm.StopReason.Kind | Should -Not -Be 'InternalError'
            @(Get-VMRegister $vm -Register *).Count | Should -BeGreaterThan 80
            $null = Get-VMDisassembly $vm -ErrorAction SilentlyContinue
            $null = Resolve-VMAddress $vm -Address 0x10000 -ErrorAction SilentlyContinue
            Remove-VirtualMachine $vm -Force
        }
    }
}
