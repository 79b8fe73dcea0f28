BeforeAll { . $PSScriptRoot/TestMachines.ps1 }

Describe 'Registers' {
    BeforeAll { $vm = New-PrimeMachine test-registers 97 }
    AfterAll { Remove-TestMachine }

    It 'are listed with value, width and meaning' {
        $rip = Get-VMRegister $vm -Register RIP
        $rip.Name | Should -Be 'RIP'
        $rip.Value | Should -Be 0x100000
        $rip.Hex | Should -Be '0x0000000000100000'
        $rip.Bits | Should -Be 64
        $rip.Description | Should -Match '64-bit'
    }

    It 'can be used by name' {
        (Get-VMRegister $vm).RIP | Should -Be 0x100000
        (Get-VMRegister -VM $vm -Name RIP).RIP | Should -Be 0x100000
        'test-registers' | Get-VMRegister -Register CR0 | ForEach-Object { $_.Description } | Should -Match 'PE.*PG'
    }

    It 'are found by pattern, with the hidden parts of segment registers' {
        (Get-VMRegister $vm -Register 'CR*').Name | Should -Be @('CR0', 'CR2', 'CR3', 'CR4', 'CR8')
        (Get-VMRegister $vm -Register 'CS.*').Name | Should -Contain 'CS.Limit'
        (Get-VMRegister $vm -Group Debug).Name | Should -Contain 'DR7'
    }

    It '<Name> keeps <Value>' -ForEach @(
        @{ Name = 'RAX'; Value = '0x123456789abcdef0' }
        @{ Name = 'R15'; Value = '0xffffffffffffffff' }
        @{ Name = 'XMM3'; Value = '0x00112233445566778899aabbccddeeff' }
        @{ Name = 'LSTAR'; Value = '0xffffffff81000000' }
        @{ Name = 'DR0'; Value = '0x0000000000100002' }
        @{ Name = 'CR2'; Value = '0x00000000deadbeef' }
    ) {
        Set-VMRegister $vm -Register $Name -Value $Value
        (Get-VMRegister $vm -Register $Name).Hex | Should -Be $Value
    }

    It 'are set in part, and by flag' {
        Set-VMRegister $vm -Register RBX -Value 0x1122334455667788
        Set-VMRegister $vm -Register BH -Value 0xee
        (Get-VMRegister $vm -Register RBX).Value | Should -Be 0x112233445566ee88
        Set-VMRegister $vm -Register ZF -Value 1
        (Get-VMRegister $vm -Register RFLAGS).Description | Should -Match '\bZF\b'
        Set-VMRegister $vm -Register ZF -Value 0
        (Get-VMRegister $vm -Register RFLAGS).Description | Should -Not -Match '\bZF\b'
    }

    It 'take negative numbers in two''s complement' {
        Set-VMRegister $vm -Register RCX -Value -1
        (Get-VMRegister $vm -Register RCX).Value | Should -Be ([uint64]::MaxValue)
    }

    It 'change what the guest does' {
        $other = New-PrimeMachine test-changed 97
        # Behind mov edi, 97.
        Step-VM $other
        Set-VMRegister $other -Register EDI -Value 91
        Resume-VM $other
        Wait-VM $other -Timeout 60
        $other.ExitCode | Should -Be 1
    }

    It 'refuses a value that does not fit, and a name that there is not' {
        { Set-VMRegister $vm -Register AL -Value 256 -ErrorAction Stop } | Should -Throw -ErrorId 'InvalidRegisterValue,X86Virt.PowerShell.SetVMRegister'
        { Get-VMRegister $vm -Register RQX -ErrorAction Stop } | Should -Throw -ErrorId 'RegisterNotFound,X86Virt.PowerShell.GetVMRegister'
    }
}

Describe 'Memory' {
    BeforeAll { $vm = New-PrimeMachine test-memory 97 }
    AfterAll { Remove-TestMachine }

    It 'is written and read back as <_>' -ForEach 'Byte', 'UInt16', 'UInt32', 'UInt64' {
        Write-VMMemory $vm -Address 0x200000 -Byte (1..16)
        $size = @{ Byte = 1; UInt16 = 2; UInt32 = 4; UInt64 = 8 }[$_]
        $numbers = Read-VMMemory $vm -Address 0x200000 -Count (16 / $size) -As $_
        $numbers.Count | Should -Be (16 / $size)
        $numbers[0] | Should -Be @{ Byte = 1; UInt16 = 0x201; UInt32 = 0x4030201; UInt64 = 0x807060504030201 }[$_]
    }

    It 'holds text' {
        Write-VMMemory $vm -Address 0x200100 -Text "grüße`0"
        Read-VMMemory $vm -Address 0x200100 -Count 40 -As Text | Should -Be 'grüße'
    }

    It 'is dumped in lines of 16 bytes' {
        Write-VMMemory $vm -Address 0x200200 -Text 'ABCDEFGHIJKLMNOPQR'
        $lines = @(Read-VMMemory $vm -Address 0x200200 -Count 18 -As Dump)
        $lines.Count | Should -Be 2
        $lines[0].Text | Should -Be 'ABCDEFGHIJKLMNOP'
        $lines[1].Address | Should -Be 0x200210
        $lines[1].Hex | Should -Be '51 52'
    }

    It 'is the same by linear and by guest-physical address where they are mapped alike' {
        Write-VMMemory $vm -Address 0x200300 -Byte 0xa5 -Physical
        (Read-VMMemory $vm -Address 0x200300 -Count 1)[0] | Should -Be 0xa5
    }

    It 'takes the address from a register' {
        (Read-VMMemory $vm -Address (Get-VMRegister $vm -Register RIP) -Count 1)[0] | Should -Be 0xbf
    }

    It 'that changes under code already executed changes what is executed' {
        # inc ax; jmp back, turned into dec ax.
        $loop = New-TestMachine test-patched $TestGuest.Count
        Step-VM $loop -Count 100
        (Get-VMRegister $loop -Register AX).Value | Should -Be 50
        Write-VMMemory $loop -Address 0x7c00 -Byte 0x48
        Step-VM $loop -Count 60
        (Get-VMRegister $loop -Register AX).Value | Should -Be 20
    }

    It 'that is not there is an error' {
        { Read-VMMemory $vm -Address 0x10000000 -Physical -ErrorAction Stop } | Should -Throw -ErrorId 'NoMemoryAtAddress,X86Virt.PowerShell.ReadVMMemory'
        { Write-VMMemory $vm -Address 0xffffffff80000000 -Byte 1 -ErrorAction Stop } | Should -Throw -ErrorId 'NoMemoryAtAddress,X86Virt.PowerShell.WriteVMMemory'
    }

    It 'is written whole or not at all' {
        $end = 16MB - 2
        { Write-VMMemory $vm -Address $end -Byte 1, 2, 3, 4 -Physical -ErrorAction Stop } | Should -Throw -ErrorId 'NoMemoryAtAddress,X86Virt.PowerShell.WriteVMMemory'
        (Read-VMMemory $vm -Address $end -Count 2 -Physical) -join ' ' | Should -Be '0 0'
    }
}

Describe 'Disassembly' {
    BeforeAll { $vm = New-PrimeMachine test-code 97 }
    AfterAll { Remove-TestMachine }

    It 'begins at the next instruction' {
        $code = @(Get-VMDisassembly $vm -Count 3)
        $code.Text | Should -Be @('mov edi, 0x61', 'call 0x100010', 'out 0xf4, eax')
        $code.LinearAddress | Should -Be @(0x100000, 0x100005, 0x10000a)
        $code[0].Bytes | Should -Be 'bf61000000'
        $code.IsNext | Should -Be @($true, $false, $false)
    }

    It 'is in AT&T syntax when asked' -ForEach 'Att', 'AT&T', 'Gas' {
        (Get-VMDisassembly $vm -Count 1 -Syntax $_).Text | Should -Be 'mov $0x61, %edi'
    }

    It 'is of code of another size when asked' {
        Write-VMMemory $vm -Address 0x200000 -Byte 0x48, 0x40
        (Get-VMDisassembly $vm -Address 0x200000 -Count 2 -Bitness 32).Text | Should -Be @('dec eax', 'inc eax')
    }

    It 'shows what is no instruction, and goes on' {
        Write-VMMemory $vm -Address 0x200000 -Byte 0x06, 0x90
        (Get-VMDisassembly $vm -Address 0x200000 -Count 2).Text | Should -Be @('(bad)', 'nop')
    }

    It 'takes addresses from objects' {
        (Get-VMDisassembly $vm -Address (Get-VMDisassembly $vm -Count 2)[1] -Count 1).Text | Should -Match '^call'
    }
}

Describe 'Address translation' {
    AfterEach { Remove-TestMachine }

    It 'shows each level of the walk' {
        $vm = New-PrimeMachine test-walk 97
        $levels = @(Resolve-VMAddress $vm -Address 0x100010)
        $levels.Name | Should -Be @('PML4E', 'PDPE', 'PDE')
        $levels[0].EntryAddress | Should -Be (Get-VMRegister $vm -Register CR3).Value
        $levels[1].EntryAddress | Should -Be $levels[0].Table
        $levels[2].IsLeaf | Should -BeTrue
        $levels[2].PageSize | Should -Be 2MB
        $levels[2].PhysicalAddress | Should -Be 0x100010
    }

    It 'agrees with the page tables in memory' {
        $vm = New-PrimeMachine test-tables 97
        foreach ($level in Resolve-VMAddress $vm -Address 0x100010) {
            (Read-VMMemory $vm -Address $level.EntryAddress -Count 1 -As UInt64 -Physical)[0] | Should -Be $level.Entry
        }
    }

    It 'says where and why an address leads nowhere' {
        $vm = New-PrimeMachine test-nowhere 97
        $levels = @(Resolve-VMAddress $vm -Address 0xffffffff80000000)
        $levels.Count | Should -Be 1
        $levels[0].Problem | Should -Be 'not present'
        $levels[0].PhysicalAddress | Should -BeNullOrEmpty
    }

    It 'is the address itself without paging' {
        $vm = New-TestMachine test-unpaged $TestGuest.Spin
        $level = Resolve-VMAddress $vm -Address 0x7c00
        $level.Level | Should -Be 0
        $level.PhysicalAddress | Should -Be 0x7c00
    }

    It 'refuses an address that is not canonical' {
        $vm = New-PrimeMachine test-canonical 97
        { Resolve-VMAddress $vm -Address 0x800000000000 -ErrorAction Stop } | Should -Throw -ErrorId 'AddressNotCanonical,X86Virt.PowerShell.ResolveVMAddress'
    }
}

Describe 'Stepping, breakpoints and traces' {
    AfterEach { Remove-TestMachine }

    It 'steps one instruction, or several' {
        $vm = New-PrimeMachine test-step 97
        (Step-VM $vm).Text | Should -Match '^call'
        $vm.State | Should -Be 'Suspended'
        (Step-VM $vm -Count 3).Text | Should -Be 'cmp esi, ecx'
        $vm.InstructionsRetired | Should -Be 4
    }

    It 'stops stepping at the end of the machine' {
        $vm = New-TestMachine test-stepend $TestGuest.Exit11
        Step-VM $vm -Count 100
        $vm.State | Should -Be 'Stopped'
        $vm.InstructionsRetired | Should -Be 2
    }

    It 'suspends a machine in front of a breakpoint, each time it comes by, with <_>' -ForEach 'Interpreter', 'DecodedCache', 'BinaryTranslation' {
        $vm = New-PrimeMachine test-break 5 @{ Engine = $_ }
        $nexti = [X86Virt.Guests.BuiltInGuest]::IsPrime(5).Symbols['nexti']
        Set-VMBreakpoint $vm -Address $nexti
        Start-VM $vm
        # 2, 3, 4: three turns of the loop.
        $divisors = foreach ($turn in 1..3) {
            Wait-VM $vm -State Suspended -Timeout 60
            (Get-VMRegister $vm -Register RIP).Value | Should -Be $nexti
            (Get-VMRegister $vm -Register ESI).Value
            Resume-VM $vm
        }
        $divisors | Should -Be @(2, 3, 4)
        Wait-VM $vm -Timeout 60
        $vm.ExitCode | Should -Be 3
    }

    It 'stops at the first instruction of all, too' {
        $vm = New-TestMachine test-first $TestGuest.Exit11
        Set-VMBreakpoint $vm -Address 0x7c00
        Start-VM $vm
        Wait-VM $vm -State Suspended -Timeout 60
        $vm.InstructionsRetired | Should -Be 0
    }

    It 'stops at the handler of an exception' {
        # mov word [0x18], 0x7c10; ud2; padding; the handler: inc bx; cli; hlt
        $vm = New-TestMachine test-handler 'c7 06 18 00 10 7c 0f 0b 90 90 90 90 90 90 90 90 43 fa f4'
        Set-VMBreakpoint $vm -Address 0x7c10
        Start-VM $vm
        Wait-VM $vm -State Suspended -Timeout 60
        (Get-VMRegister $vm -Register BX).Value | Should -Be 0
        (Get-VMDisassembly $vm -Count 1).Text | Should -Be 'inc bx'
    }

    It 'stops there after the same number of instructions on every engine, handlers of interrupts and self-modified code included' {
        # 2000 timer interrupts, as in Lifecycle; the handler at 0x7c35 has inc byte [0x7c40] in it, which changes the byte behind its IRET.
        $code = 'c7 06 20 00 35 7c b0 11 e6 20 b0 08 e6 21 b0 04 e6 21 b0 01 e6 21 b0 fe e6 21 b9 d0 07 ' +
            'fa b0 38 e6 43 b0 0f e6 40 b0 00 e6 40 fb f4 49 75 ee b0 05 e6 f4 eb fe 50 b0 20 e6 20 58 fe 06 40 7c cf 00'
        $hits = @{}
        foreach ($engine in 'Interpreter', 'DecodedCache', 'BinaryTranslation') {
            $vm = New-TestMachine "test-$engine" $code @{ Engine = $engine }
            Set-VMBreakpoint $vm -Address 0x7c35, 0x7c3a, 0x7c2c
            Start-VM $vm
            $hits[$engine] = foreach ($i in 1..60) {
                Wait-VM $vm -State Suspended -Timeout 60 -ErrorAction Stop
                "0x{0:x} after {1}" -f (Get-VMRegister $vm -Register RIP).Value, $vm.InstructionsRetired
                if ($i -eq 40) { Remove-VMBreakpoint $vm -Address 0x7c3a }
                Resume-VM $vm
            }
            Remove-VMBreakpoint $vm
            if ($vm.State -eq 'Suspended') { Resume-VM $vm }
            Wait-VM $vm -Timeout 60
            $vm.ExitCode | Should -Be 11
            $hits[$engine] += "ended after $($vm.InstructionsRetired)"
        }
        $hits['Interpreter'][0] | Should -BeLike '0x7c35 after *'
        $hits['DecodedCache'] | Should -Be $hits['Interpreter']
        $hits['BinaryTranslation'] | Should -Be $hits['Interpreter']
    }

    It 'lists and removes breakpoints' {
        $vm = New-PrimeMachine test-list 97
        Set-VMBreakpoint $vm -Address 0x100005, 0x100000
        $points = @(Get-VMBreakpoint $vm)
        $points.LinearAddress | Should -Be @(0x100000, 0x100005)
        $points[0].Text | Should -Be 'mov edi, 0x61'
        Remove-VMBreakpoint $vm -Address 0x100000
        @(Get-VMBreakpoint $vm).LinearAddress | Should -Be 0x100005
        Remove-VMBreakpoint $vm
        Get-VMBreakpoint $vm | Should -BeNullOrEmpty
        { Remove-VMBreakpoint $vm -Address 0x100000 -ErrorAction Stop } | Should -Throw -ErrorId 'BreakpointNotFound,X86Virt.PowerShell.RemoveVMBreakpoint'
    }

    It 'changes nothing for the guest by its breakpoints' {
        $plain = New-PrimeMachine test-plain 9973
        Start-VM $plain -Wait -Timeout 60
        $watched = New-PrimeMachine test-watched 9973
        Set-VMBreakpoint $watched -Address 0x500
        Start-VM $watched -Wait -Timeout 60
        $watched.InstructionsRetired | Should -Be $plain.InstructionsRetired
    }

    It 'traces instruction by instruction, with registers' {
        $vm = New-PrimeMachine test-trace 97
        $trace = @(Trace-VM $vm -Count 3 -IncludeRegister)
        $trace.Text | Should -Be @('mov edi, 0x61', 'call 0x100010', 'mov ecx, edi')
        $trace.Retired | Should -Be @(0, 1, 2)
        $trace[1].Registers.Rdi | Should -Be 97
        $vm.State | Should -Be 'Suspended'
    }

    It 'traces only what has an event, when asked' {
        $vm = New-TestMachine test-events $TestGuest.Ok
        $trace = @(Trace-VM $vm -Event PortIo)
        $trace.Count | Should -Be 3
        $trace.Text | Should -Be @('out dx, al', 'out dx, al', 'out dx, al')
        $vm.StopReason.Kind | Should -Be 'Halt'
    }

    It 'ends at a number of instructions, though nothing was found' {
        $vm = New-TestMachine test-limit $TestGuest.Count
        Trace-VM $vm -Event PortIo -InstructionLimit 500 | Should -BeNullOrEmpty
        $vm.State | Should -Be 'Suspended'
        $vm.InstructionsRetired | Should -Be 500
    }

    It 'resumes a running machine behind a trace' {
        $vm = New-TestMachine test-running $TestGuest.Count
        Start-VM $vm
        @(Trace-VM $vm -Count 4).Count | Should -Be 4
        $vm.State | Should -Be 'Running'
    }
}

Describe 'Devices and exits' {
    AfterEach { Remove-TestMachine }

    It 'shows the devices with ports and registers' {
        $vm = New-TestMachine test-devices $TestGuest.Spin
        $com1 = Get-VMDevice $vm -Device COM1
        $com1.Ports | Should -Be '0x3f8-0x3ff'
        $com1.Irqs | Should -Be 4
        $com1.Registers.Keys | Should -Contain 'IER'
        (Get-VMDevice $vm).Name | Should -Contain 'PIC'
        { Get-VMDevice $vm -Device Floppy -ErrorAction Stop } | Should -Throw -ErrorId 'DeviceNotFound,X86Virt.PowerShell.GetVMDevice'
    }

    It 'counts exits by kind and port' {
        $vm = New-TestMachine test-exits $TestGuest.Ok
        Start-VM $vm -Wait -Timeout 60
        $exits = @(Measure-VmExit $vm)
        $port = $exits | Where-Object { $_.Kind -eq 'PortIo' }
        $port.Number | Should -Be 0x3f8
        $port.Count | Should -Be 3
        ($exits | Where-Object { $_.Kind -eq 'Halt' }).Count | Should -Be 1
    }

    It 'reads all ones where nothing answers, and counts that' {
        # in al, 0x99; mov ecx, eax; in eax, 0x9a; mov edx, eax; mov ebx, [0xd0000000]; out 0x98, al; mov al, 1; out 0xf4, al
        $vm = New-TestMachine test-unclaimed 'E4 99 89 C1 E5 9A 89 C2 8B 1D 00 00 00 D0 E6 98 B0 01 E6 F4' @{ BootMode = 'Protected'; LoadAddress = 0x100000 }
        Start-VM $vm -Wait -Timeout 60
        (Get-VMRegister $vm -Register CL).Value | Should -Be 0xff
        (Get-VMRegister $vm -Register EDX).Value | Should -Be 0xffffffffL
        (Get-VMRegister $vm -Register EBX).Value | Should -Be 0xffffffffL
        $ports = Measure-VmExit $vm -Kind UnclaimedPort
        $ports.Number | Should -Be @(0x98, 0x99, 0x9a, 0x9b, 0x9c, 0x9d)
        (Measure-VmExit $vm -Kind UnclaimedMemory).Count | Should -Be 1
    }

    It 'counts anew after -Reset' {
        $vm = New-TestMachine test-anew $TestGuest.Ok
        Step-VM $vm -Count 3
        Measure-VmExit $vm -Reset | Should -BeNullOrEmpty
        Measure-VmExit $vm | Should -BeNullOrEmpty
        Step-VM $vm -Count 2
        (Measure-VmExit $vm -Kind PortIo).Count | Should -Be 1
    }

    It 'counts exceptions by vector' {
        $vm = New-TestMachine test-vectors $TestGuest.Fault32 @{ BootMode = 'Protected'; LoadAddress = 0x100000 }
        Start-VM $vm -Wait -Timeout 60
        (Measure-VmExit $vm -Kind Exception | ForEach-Object { $_.Detail }) -join '; ' | Should -Match '#UD.*#DF'
    }
}
