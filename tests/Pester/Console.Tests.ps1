BeforeAll { . $PSScriptRoot/TestMachines.ps1 }

Describe 'The console' {
    BeforeAll {
        $vm = New-VirtualMachine -Name test-console -Memory 16MB -Kernel (Save-MonitorGuest)
        Start-VM $vm
        Wait-VM $vm -ConsoleText '>' -Timeout 60
    }
    AfterAll { Remove-TestMachine }

    It 'gives out what is new, once' {
        $null = Receive-VMConsole $vm
        Send-VMConsole $vm -Text 'cpuid'
        Wait-VM $vm -Unread -ConsoleText '(?s)cpuid.*>' -Timeout 60
        Receive-VMConsole $vm | Should -Match 'cpuid'
        Receive-VMConsole $vm | Should -BeNullOrEmpty
        Get-VMConsole $vm | Should -Match 'cpuid'
    }

    It 'types several lines' {
        $null = Receive-VMConsole $vm
        Send-VMConsole $vm -Text "regs`ncpuid"
        Wait-VM $vm -Unread -ConsoleText '(?s)regs.*cpuid.*>' -Timeout 60
        Receive-VMConsole $vm | Should -Match '(?s)regs.*cpuid'
    }

    It 'types without Enter, and presses keys' {
        $null = Receive-VMConsole $vm
        Send-VMConsole $vm -Text 'cpu' -NoNewline
        Send-VMConsole $vm -Text 'id' -NoNewline -Key Enter
        Wait-VM $vm -Unread -ConsoleText '(?s)cpuid.*>' -Timeout 60
        Receive-VMConsole $vm | Should -Not -Match 'unknown'
    }

    It 'gives the transcript as one string, as lines, and its tail' {
        Get-VMConsole $vm | Should -BeOfType string
        @(Get-VMConsole $vm).Count | Should -Be 1
        $lines = @(Get-VMConsole $vm -Line)
        $lines.Count | Should -BeGreaterThan 5
        $lines -join '' | Should -Not -Match "[`r`n]"
        @(Get-VMConsole $vm -Tail 2) | Should -Be $lines[-2..-1]
    }

    It 'refuses keys that there are not, and nothing at all' {
        { Send-VMConsole $vm -Key Hyper -ErrorAction Stop } | Should -Throw -ErrorId 'UnknownKey,X86Virt.PowerShell.SendVMConsole'
        { Send-VMConsole $vm -ErrorAction Stop } | Should -Throw -ErrorId 'NothingToSend,X86Virt.PowerShell.SendVMConsole'
    }
}

Describe 'A console to its end' {
    AfterEach { Remove-TestMachine }

    It 'is followed line by line until the machine stops' {
        $vm = New-VirtualMachine -Name test-follow -Memory 16MB -Kernel (Save-MonitorGuest)
        Start-VM $vm
        Wait-VM $vm -ConsoleText '> ' -Timeout 60
        Send-VMConsole $vm -Text "help`nexit"
        $lines = @(Receive-VMConsole $vm -Follow)
        $vm.State | Should -Be 'Stopped'
        ($lines -match '^\s+exit ').Count | Should -Be 1
        $lines -join "`n" | Should -Be ((Get-VMConsole $vm -Line) -join "`n")
    }

    It 'goes on when the machine is started again' {
        $vm = New-TestMachine test-more $TestGuest.Ok
        Start-VM $vm -Wait -Timeout 60
        Start-VM $vm -Wait -Timeout 60
        @(Get-VMConsole $vm -Line) | Should -Be @('ok', 'ok')
    }

    It 'takes no input when the machine is stopped' {
        $null = New-TestMachine test-deaf $TestGuest.Ok
        { Send-VMConsole test-deaf -Text x -ErrorAction Stop } | Should -Throw -ErrorId 'WrongMachineState,X86Virt.PowerShell.SendVMConsole'
    }
}
