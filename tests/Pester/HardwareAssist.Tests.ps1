BeforeAll {
    . $PSScriptRoot/TestMachines.ps1
    $assist = @{ Engine = 'HardwareAssist' }
}

Describe 'Get-VmExit' {
    AfterEach { Remove-TestMachine }

    It 'writes the last exits, whose instructions, reasons and words are those of the guest' {
        $vm = New-TestMachine test-exits $TestGuest.Ok $assist
        Start-VM $vm; Wait-VM $vm -Timeout 60
        $exits = @(Get-VmExit $vm -Last 4)
        ($exits | ForEach-Object { "$($_.Reason) $($_.Disassembly)" }) -join '; ' | Should -Be 'PORT out dx, al; PORT out dx, al; PORT out dx, al; HLT hlt'
        $exits[0].Detail | Should -Be 'port 0x3f8 out, 1 byte: 0x6f'
        ($exits[1..3].InstructionsSinceLast) -join ' ' | Should -Be '1 1 1'
        $exits[3].Number - $exits[0].Number | Should -Be 3
    }

    It 'takes several machines from the pipeline' {
        $machines = foreach ($i in 1, 2) { New-TestMachine "test-pipe$i" $TestGuest.Exit11 $assist }
        Start-VM $machines; Wait-VM $machines -Timeout 60
        ($machines | Get-VmExit -Last 1 | ForEach-Object { "$($_.VMName) $($_.Reason)" }) -join '; ' | Should -Be 'test-pipe1 PORT; test-pipe2 PORT'
    }

    It 'follows a machine until it stops' {
        $vm = New-TestMachine test-follow $TestGuest.Exit11 $assist
        Start-VM $vm; Wait-VM $vm -Timeout 60
        @(Get-VmExit $vm -Last 1 -Follow).Detail | Should -Be 'port 0xf4 out, 1 byte: 0x5'
    }

    It 'names the engine that has exits where there are none' {
        $vm = New-TestMachine test-none $TestGuest.Spin
        { Get-VmExit $vm -ErrorAction Stop } | Should -Throw -ErrorId 'NoVmExits,X86Virt.PowerShell.GetVmExit' -ExpectedMessage '*test-none*HardwareAssist*'
    }
}

Describe 'Measure-VmExit on HardwareAssist' {
    AfterEach { Remove-TestMachine }

    It 'tells share and cost of each reason' {
        $vm = New-TestMachine test-cost $TestGuest.Ok $assist
        Start-VM $vm; Wait-VM $vm -Timeout 60
        $reasons = @(Measure-VmExit $vm)
        ($reasons | Measure-Object Share -Sum).Sum | Should -BeGreaterThan 0.999
        $port = $reasons | Where-Object Reason -eq 'PORT'
        $port.Count | Should -Be 3
        $port.MeanNanoseconds | Should -BeGreaterThan 0
        $port.Percentile99 | Should -Not -BeLessThan $port.Percentile50
        $port.InstructionsBetween | Should -Be ($vm.InstructionsRetired / 3)
    }

    It 'counts what happens during a script, once for all machines' {
        $machines = foreach ($i in 1, 2) { New-TestMachine "test-during$i" $TestGuest.Ok $assist }
        Step-VM $machines -Count 2
        $script:ran = 0
        $reasons = @($machines | Measure-VmExit -During { $script:ran++; Step-VM $machines -Count 3; 'not passed on' })
        $script:ran | Should -Be 1
        ($reasons | ForEach-Object { "$($_.Reason) $($_.Count)" }) -join '; ' | Should -Be 'PORT 2; PORT 2'
    }

    It 'counts kinds too, as on every other engine' {
        $vm = New-TestMachine test-kinds $TestGuest.Ok $assist
        Start-VM $vm; Wait-VM $vm -Timeout 60
        (Measure-VmExit $vm -Kind PortIo).Count | Should -Be 3
        Measure-VmExit $vm -Reset | Should -BeNullOrEmpty
        Measure-VmExit $vm | Should -BeNullOrEmpty
    }

    It 'has views that fit 120 columns' {
        $vm = New-TestMachine test-fit $TestGuest.Ok $assist
        Start-VM $vm; Wait-VM $vm -Timeout 60
        foreach ($objects in (Get-VmExit $vm), (Measure-VmExit $vm)) {
            $text = ($objects | Out-String -Width 120) -replace '\x1b\[[0-9;]*m'
            foreach ($line in $text.Split("`n")) { $line.TrimEnd().Length | Should -BeLessOrEqual 120 }
            $text | Should -Match 'PORT'
        }
    }
}
