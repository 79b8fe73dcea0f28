BeforeAll {
    . $PSScriptRoot/TestMachines.ps1
    function Get-Completion([string] $Line) { (TabExpansion2 -inputScript $Line -cursorColumn $Line.Length).CompletionMatches.CompletionText }
}

Describe 'Completion' {
    BeforeAll {
        $null = New-TestMachine test-one $TestGuest.Spin
        $null = New-TestMachine 'test two' $TestGuest.Spin
    }
    AfterAll { Get-VirtualMachine test-*, 'test two' | Remove-VirtualMachine -Force }

    It 'offers <Expected> for: <Line>' -ForEach @(
        @{ Line = 'Start-VM test-o'; Expected = 'test-one' }
        @{ Line = 'Get-VirtualMachine -Name "test '; Expected = "'test two'" }
        @{ Line = 'New-VirtualMachine -Engine Dec'; Expected = 'DecodedCache' }
        @{ Line = 'New-VirtualMachine -ProcessorModel opt'; Expected = 'Opteron' }
        @{ Line = 'New-VirtualMachine -Feature "-Sse4'; Expected = "'-Sse41'" }
        @{ Line = 'New-VirtualMachine -Clock R'; Expected = 'RealTime' }
        @{ Line = 'Get-VMRegister test-one -Register LST'; Expected = 'LSTAR' }
        @{ Line = 'Get-VMRegister test-one RF'; Expected = 'RFLAGS' }
        @{ Line = 'Send-VMConsole test-one -Key Ctrl+C'; Expected = 'Ctrl+C' }
        @{ Line = 'Wait-VM test-one -State Su'; Expected = 'Suspended' }
        @{ Line = 'Get-VMDisassembly test-one -Syntax N'; Expected = 'Nasm' }
    ) {
        Get-Completion $Line | Should -Contain $Expected
    }
}

Describe 'Views' {
    BeforeAll {
        $vm = New-PrimeMachine test-view 97
        Step-VM $vm -Count 2
        Set-VMBreakpoint $vm -Address 0x100000
    }
    AfterAll { Remove-TestMachine }

    It 'of <Command> fit 120 columns and show what matters' -ForEach @(
        @{ Command = 'Get-VirtualMachine'; Shows = 'test-view +Suspended +BinaryTranslation +16 +2 ' }
        @{ Command = 'Get-VMRegister'; Shows = 'RIP +0x0000000000100010 +next instruction' }
        @{ Command = 'Get-VMDisassembly'; Shows = '> +0x100010 +89f9 +mov ecx, edi' }
        @{ Command = 'Get-VMBreakpoint'; Shows = 'test-view +0x100000 +mov edi' }
        @{ Command = 'Get-VMDevice'; Shows = 'COM1 +0x3f8-0x3ff +4' }
        @{ Command = 'Read-VMMemory -Address 0x100000 -As Dump'; Shows = '0x100000 +bf 61 00 00 00 e8 .* \.a' }
        @{ Command = 'Resolve-VMAddress -Address 0x100000'; Shows = 'PDE +0 +0x[0-9a-f]+ +0x[0-9a-f]+ +0x100000 +rwx +--- +P RW' }
        @{ Command = 'Trace-VM -Count 1'; Shows = '2 +0x100010 +mov ecx, edi' }
    ) {
        $text = & ([scriptblock]::Create("`$args[0] | $Command | Out-String -Width 120")) $vm
        $lines = ($text -replace '\x1b\[[0-9;]*m').Split("`n")
        foreach ($line in $lines) { $line.TrimEnd().Length | Should -BeLessOrEqual 120 }
        $lines -join "`n" | Should -Match $Shows
    }
}

Describe 'Lists' {
    BeforeAll {
        $vm = New-PrimeMachine test-list 97
        Step-VM $vm -Count 2
    }
    AfterAll { Remove-TestMachine }

    It 'of <Command> show addresses in hexadecimal' -ForEach @(
        @{ Command = 'Get-VMRegister -Register RIP'; Shows = 'Value +: 0x0000000000100010' }
        @{ Command = 'Get-VMDisassembly'; Shows = 'Address +: 0x100010' }
        @{ Command = 'Resolve-VMAddress -Address 0x100010'; Shows = 'PhysicalAddress +: 0x100010' }
        @{ Command = 'Trace-VM -Count 1'; Shows = 'Address +: 0x100010' }
    ) {
        & ([scriptblock]::Create("`$args[0] | $Command | Format-List | Out-String")) $vm | Should -Match $Shows
    }
}

Describe 'Uptime' {
    It 'of <Uptime> is shown as <Shown>' -ForEach @(
        @{ Uptime = '1.00:01:01.5'; Shown = '1.00:01:01' }
        @{ Uptime = '00:01:01.5'; Shown = '00:01:01.500' }
    ) {
        # A machine with so much behind it is not made in a moment.
        $old = [pscustomobject]@{ Name = 'old'; MemorySize = 1MB; Uptime = [timespan] $Uptime }
        $old.PSObject.TypeNames.Insert(0, 'X86Virt.Engine.VirtualMachine')
        $old | Out-String -Width 120 | Should -Match " $([regex]::Escape($Shown)) "
    }
}

Describe 'Objects that travel' {
    AfterEach { Remove-TestMachine }

    It 'carry their data: a machine, a register, a level of a page walk' {
        $vm = New-PrimeMachine test-travel 97
        $copy = [System.Management.Automation.PSSerializer]::Deserialize([System.Management.Automation.PSSerializer]::Serialize($vm))
        $copy.Name | Should -Be 'test-travel'
        "$($copy.State)" | Should -Be 'Stopped'
        $copy.MemorySize | Should -Be 16MB
        $register = [System.Management.Automation.PSSerializer]::Deserialize([System.Management.Automation.PSSerializer]::Serialize((Get-VMRegister $vm -Register RIP)))
        $register.Value | Should -Be 0x100000
        $levels = [System.Management.Automation.PSSerializer]::Deserialize([System.Management.Automation.PSSerializer]::Serialize(@(Resolve-VMAddress $vm -Address 0x100000)))
        $levels[-1].PhysicalAddress | Should -Be 0x100000
    }
}
