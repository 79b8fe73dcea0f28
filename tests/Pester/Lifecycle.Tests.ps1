BeforeAll { . $PSScriptRoot/TestMachines.ps1 }

Describe 'The life of a machine' {
    AfterEach { Remove-TestMachine }

    It 'begins stopped, without a reason to have stopped' {
        $vm = New-TestMachine test-new $TestGuest.Spin
        $vm.State | Should -Be 'Stopped'
        $vm.StopReason.Kind | Should -Be 'None'
        $vm.ExitCode | Should -BeNullOrEmpty
        $vm.InstructionsRetired | Should -Be 0
    }

    It 'runs in the background, is suspended, goes on, and is stopped' {
        $vm = New-TestMachine test-life $TestGuest.Count
        Start-VM $vm
        $vm.State | Should -Be 'Running'
        Suspend-VM $vm
        $vm.State | Should -Be 'Suspended'
        $retired = $vm.InstructionsRetired
        $vm.InstructionsRetired | Should -Be $retired
        Resume-VM $vm
        $vm.State | Should -Be 'Running'
        Stop-VM $vm
        $vm.State | Should -Be 'Stopped'
        $vm.StopReason.Kind | Should -Be 'User'
        $vm.InstructionsRetired | Should -BeGreaterOrEqual $retired
    }

    It 'loses and gains no instruction by being suspended' {
        $whole = New-PrimeMachine test-whole 9973
        Start-VM $whole -Wait -Timeout 60
        $parts = New-PrimeMachine test-parts 9973
        Step-VM $parts -Count 1000
        Resume-VM $parts
        Wait-VM $parts -Timeout 60
        $parts.InstructionsRetired | Should -Be $whole.InstructionsRetired
        $parts.ExitCode | Should -Be $whole.ExitCode
    }

    It 'ends with the exit code that the guest gives' {
        $vm = New-TestMachine test-exit $TestGuest.Exit11 | Start-VM -Wait -Timeout 60 -PassThru
        $vm.State | Should -Be 'Stopped'
        $vm.StopReason.Kind | Should -Be 'DebugExit'
        $vm.ExitCode | Should -Be 11
    }

    It 'ends when the guest halts with interrupts off, and says where' {
        $vm = New-TestMachine test-halt $TestGuest.Halt | Start-VM -Wait -Timeout 60 -PassThru
        $vm.StopReason.Kind | Should -Be 'Halt'
        $vm.StopReason.Message | Should -Match '0x7c0[12]'
    }

    It 'ends with a triple fault, and says which exceptions led to it' {
        $vm = New-TestMachine test-triple $TestGuest.Fault32 @{ BootMode = 'Protected'; LoadAddress = 0x100000 } | Start-VM -Wait -Timeout 60 -PassThru
        $vm.StopReason.Kind | Should -Be 'TripleFault'
        $vm.StopReason.Message | Should -Match '0x100000'
        $vm.StopReason.Message | Should -Match 'InvalidOpcode.*DoubleFault'
    }

    It 'ends at power-off with exit code 0' {
        $vm = New-VirtualMachine -Name test-off -Memory 16MB -Kernel (Save-MonitorGuest)
        Start-VM $vm
        Wait-VM $vm -ConsoleText '> ' -Timeout 60
        Send-VMConsole $vm -Text poweroff
        Wait-VM $vm -Timeout 60
        $vm.StopReason.Kind | Should -Be 'PowerOff'
        $vm.ExitCode | Should -Be 0
    }

    It 'starts again at a reset by the guest' {
        $vm = New-VirtualMachine -Name test-again -Memory 16MB -Kernel (Save-MonitorGuest)
        Start-VM $vm
        Wait-VM $vm -ConsoleText '> ' -Timeout 60
        Send-VMConsole $vm -Text reboot
        Wait-VM $vm -ConsoleText '(?s)reboot.*READY.*>' -Timeout 60
        $vm.State | Should -Be 'Running'
        $vm.Reboots | Should -Be 1
    }

    It 'ends at a reset by the guest with -NoReboot' {
        $vm = New-TestMachine test-reset $TestGuest.Reset @{ NoReboot = $true } | Start-VM -Wait -Timeout 60 -PassThru
        $vm.StopReason.Kind | Should -Be 'Reset'
    }

    It 'gives a multiboot kernel its module with the string: <Module>' -ForEach @(
        @{ Module = 'part.bin'; Says = 'part.bin' }
        @{ Module = 'part.bin one  two'; Says = 'part.bin one  two' }
        @{ Module = '"the other part.bin" one two'; Says = 'the_other_part.bin one two' }
    ) {
        foreach ($file in 'part.bin', 'the other part.bin') { $null = Save-TestFile $file @(1, 2, 3) }
        Push-Location $TestDrive
        try { $vm = New-VirtualMachine -Name test-modules -Memory 4MB -Kernel (Save-MultibootImage 'multi boot') -Module $Module -ErrorAction Stop }
        finally { Pop-Location }
        Start-VM $vm -Wait -Timeout 60
        $vm.ExitCode | Should -Be 11
        Get-VMConsole $vm | Should -Be $Says
    }

    It 'is listed with all its properties, of its console the length' {
        $vm = New-TestMachine test-shown $TestGuest.Ok | Start-VM -Wait -Timeout 60 -PassThru
        ($vm | Format-List * | Out-String) | Should -Match 'Console +: 3 characters'
    }

    It 'is started afresh after its end' {
        $vm = New-TestMachine test-twice $TestGuest.Exit11
        Start-VM $vm -Wait -Timeout 60
        Start-VM $vm -Wait -Timeout 60
        $vm.ExitCode | Should -Be 11
        $vm.StopReason.Kind | Should -Be 'DebugExit'
    }

    It 'restarts from power-on in every state' {
        $vm = New-TestMachine test-restart $TestGuest.Spin
        Restart-VM $vm
        $vm.State | Should -Be 'Running'
        Restart-VM $vm
        Suspend-VM $vm
        Set-VMRegister $vm -Register RAX -Value 0x55
        Restart-VM $vm
        Suspend-VM $vm
        (Get-VMRegister $vm -Register RAX).Value | Should -Be 0
    }

    It 'takes new settings while it is stopped' {
        $vm = New-TestMachine test-set $TestGuest.Exit11
        Start-VM $vm -Wait -Timeout 60
        Set-VirtualMachine $vm -Memory 8MB -Engine Interpreter
        $vm.MemorySize | Should -Be 8MB
        $vm.Engine | Should -Be 'Interpreter'
        $vm.StopReason.Kind | Should -Be 'None'
        Start-VM $vm -Wait -Timeout 60
        $vm.ExitCode | Should -Be 11
    }

    It 'keeps its settings when new ones are refused' {
        $vm = New-TestMachine test-keep $TestGuest.Exit11
        (Get-FirstError { Set-VirtualMachine $vm -Memory 0 }).FullyQualifiedErrorId | Should -Be 'InvalidMemory,X86Virt.PowerShell.SetVirtualMachine'
        $vm.MemorySize | Should -Be 4MB
        Start-VM $vm -Wait -Timeout 60
        $vm.ExitCode | Should -Be 11
    }

    It 'counts guest time in instructions with the virtual clock' {
        $vm = New-TestMachine test-clock $TestGuest.Spin @{ ClockRate = 1000000 }
        Step-VM $vm -Count 5000
        $vm.InstructionsRetired | Should -Be 5000
        $vm.Uptime.TotalMilliseconds | Should -Be 5
    }

    It 'counts guest time by the host''s clock with -Clock RealTime, and only while the machine runs' {
        $vm = New-TestMachine test-realtime $TestGuest.Ok @{ Clock = 'RealTime' }
        $vm.Uptime.Ticks | Should -Be 0
        Start-VM $vm -Wait -Timeout 60
        Stop-VM $vm -ErrorAction SilentlyContinue
        $vm.Uptime.Ticks | Should -BeGreaterThan 0
        $vm.Uptime | Should -BeLessOrEqual $vm.HostTime
    }

    It 'wakes an idle guest for every timer with -Clock <_>' -ForEach 'Virtual', 'RealTime' {
        # Sets up the interrupt controller, then 2000 times: cli; the PIT to 15 ticks from now in mode 4; sti; hlt. Ends with exit code 11.
        $vm = New-TestMachine test-timers -Settings @{ Clock = $_ } -Code ('c7 06 20 00 35 7c b0 11 e6 20 b0 08 e6 21 b0 04 e6 21 b0 01 e6 21 b0 fe e6 21 b9 d0 07 ' +
            'fa b0 38 e6 43 b0 0f e6 40 b0 00 e6 40 fb f4 49 75 ee b0 05 e6 f4 eb fe 50 b0 20 e6 20 58 cf')
        Start-VM $vm -Wait -Timeout 60
        $vm.ExitCode | Should -Be 11
        (Measure-VmExit $vm -Kind Interrupt).Count | Should -Be 2000
    }
}

Describe 'Machines by name and in the pipeline' {
    BeforeEach {
        $null = New-TestMachine test-a $TestGuest.Spin
        $null = New-TestMachine test-b $TestGuest.Spin
    }
    AfterEach { Remove-TestMachine }

    It 'finds them by name in any case, and by pattern' {
        (Get-VirtualMachine TEST-A).Name | Should -Be 'test-a'
        (Get-VirtualMachine test-*).Name | Should -Be @('test-a', 'test-b')
        Get-VirtualMachine test-nothing* | Should -BeNullOrEmpty
    }

    It 'finds one by its identifier' {
        $id = (Get-VirtualMachine test-b).Id
        (Get-VirtualMachine -Id $id).Name | Should -Be 'test-b'
    }

    It 'takes several names' {
        Start-VM test-a, test-b
        (Get-VirtualMachine test-*).State | Should -Be @('Running', 'Running')
    }

    It 'takes objects, and names, from the pipeline' {
        Get-VirtualMachine test-* | Start-VM
        'test-a' | Suspend-VM
        [pscustomobject]@{ Name = 'test-b' } | Stop-VM
        (Get-VirtualMachine test-*).State | Should -Be @('Suspended', 'Stopped')
    }

    It 'hands machines on with -PassThru, and only then' {
        Start-VM test-a | Should -BeNullOrEmpty
        (Suspend-VM test-a -PassThru | Resume-VM -PassThru | Stop-VM -PassThru).Name | Should -Be 'test-a'
    }

    It 'goes on with the next machine after an error' {
        Start-VM test-none, test-b -ErrorAction SilentlyContinue -ErrorVariable failed
        $failed.Count | Should -Be 1
        (Get-VirtualMachine test-b).State | Should -Be 'Running'
    }

    It 'names a machine itself when asked for no name' {
        $vm = New-VirtualMachine -Memory 1MB
        try {
            $vm.Name | Should -Match '^vm\d+$'
            (Get-VirtualMachine $vm.Name).Id | Should -Be $vm.Id
        }
        finally { Remove-VirtualMachine $vm -Confirm:$false }
    }

    It 'forgets a machine that was removed' {
        Remove-VirtualMachine test-a -Confirm:$false
        Get-VirtualMachine test-* | ForEach-Object { $_.Name } | Should -Be 'test-b'
        (New-TestMachine test-a $TestGuest.Spin).State | Should -Be 'Stopped'
    }

    It 'does nothing with -WhatIf' {
        Start-VM test-a -WhatIf
        Remove-VirtualMachine test-b -WhatIf
        New-VirtualMachine test-c -WhatIf | Should -BeNullOrEmpty
        (Get-VirtualMachine test-*).State | Should -Be @('Stopped', 'Stopped')
    }
}

Describe 'Waiting' {
    AfterEach { Remove-TestMachine }

    It 'waits for a state' {
        $vm = New-TestMachine test-wait $TestGuest.Exit11
        Start-VM $vm
        (Wait-VM $vm -State Stopped -Timeout 60 -PassThru).ExitCode | Should -Be 11
    }

    It 'ends a wait with an error when the time is up, and leaves the machine running' {
        $vm = New-TestMachine test-late $TestGuest.Spin
        Start-VM $vm
        { Wait-VM $vm -Timeout 0 -ErrorAction Stop } | Should -Throw -ErrorId 'WaitTimeout,X86Virt.PowerShell.WaitVM'
        { Wait-VM $vm -ConsoleText 'never' -Timeout 0.01 -ErrorAction Stop } | Should -Throw -ErrorId 'WaitTimeout,X86Virt.PowerShell.WaitVM'
        $vm.State | Should -Be 'Running'
    }

    It 'says so when the machine stops before the text comes' {
        $vm = New-TestMachine test-mute $TestGuest.Ok
        Start-VM $vm
        { Wait-VM $vm -ConsoleText 'never' -Timeout 60 -ErrorAction Stop } | Should -Throw -ErrorId 'MachineStopped,X86Virt.PowerShell.WaitVM' -ExpectedMessage '*Halt*'
    }

    It 'finds text that stood there before, and text that comes last' {
        $vm = New-TestMachine test-text $TestGuest.Ok
        Start-VM $vm -Wait -Timeout 60
        (Wait-VM $vm -ConsoleText '^o' -Timeout 60 -PassThru).Name | Should -Be 'test-text'
    }

    It 'leaves the machine running when Ctrl-C stops <_>' -ForEach @(
        'Wait-VM test-ctrlc'
        'Wait-VM test-ctrlc -ConsoleText never'
        'Receive-VMConsole test-ctrlc -Follow'
        'Start-VM test-ctrlc -Wait'
    ) {
        $vm = New-TestMachine test-ctrlc $TestGuest.Spin
        if ($_ -notlike 'Start-VM*') { Start-VM $vm }
        $begun = [Threading.ManualResetEventSlim]::new()
        $shell = [powershell]::Create([System.Management.Automation.Runspaces.InitialSessionState]::CreateDefault2())
        try {
            $null = $shell.AddScript("param(`$begun) Import-Module '$((Get-Module X86Virt).Path)'; `$begun.Set(); $_").AddArgument($begun)
            $waiting = $shell.BeginInvoke()
            $begun.Wait(60000) | Should -BeTrue
            Wait-VM $vm -State Running -Timeout 60
            $shell.Stop()
            $waiting.IsCompleted | Should -BeTrue
            $shell.InvocationStateInfo.State | Should -Be 'Stopped'
        }
        finally { $shell.Dispose() }
        $vm.State | Should -Be 'Running'
    }
}
