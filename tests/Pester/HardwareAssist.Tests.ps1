# What needs Debian's kernel is skipped where build.ps1 Guests could not fetch it.
BeforeDiscovery {
    $kernel = [IO.Path]::GetFullPath([IO.Path]::Combine($PSScriptRoot, '..', '..', 'artifacts', 'guests', 'vmlinuz-cloud-amd64'))
    $noKernel = -not [IO.File]::Exists($kernel)
}
BeforeAll {
    . $PSScriptRoot/TestMachines.ps1
    $kernel = [IO.Path]::GetFullPath([IO.Path]::Combine($PSScriptRoot, '..', '..', 'artifacts', 'guests', 'vmlinuz-cloud-amd64'))
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

Describe '-Generation' {
    AfterEach { Remove-TestMachine }

    It 'changes neither console nor instructions, and shows what the monitor emulates' {
        $runs = foreach ($generation in 'FirstGeneration', 'NestedPaging', 'Current') {
            $vm = New-TestMachine "test-$generation" $TestGuest.Ok ($assist + @{ Generation = $generation })
            Start-VM $vm; Wait-VM $vm -Timeout 60
            "$((Get-VMConsole $vm).Trim()) $($vm.StopReason.Kind)" | Should -Be 'ok Halt'
            @{ Count = $vm.InstructionsRetired; Reasons = (Measure-VmExit $vm | ForEach-Object { "$($_.Reason) $($_.Count) $($_.Emulated)" }) -join '; '; VM = $vm }
        }
        ($runs.Count | Select-Object -Unique).Count | Should -Be 1
        $runs[0].Reasons | Should -Be "emulated mode 1 $($runs[0].Count)"
        (Get-VmExit $runs[0].VM).Detail | Should -Be "$($runs[0].Count) instructions executed by the monitor"
        $runs[1..2].Reasons | ForEach-Object { $_ | Should -Match 'PORT 3 0.*HLT 1 0'; $_ | Should -Not -Match 'emulated' }
    }

    It 'can be changed, and is left out by other engines' {
        $vm = New-TestMachine test-changed $TestGuest.Ok @{ Engine = 'DecodedCache'; Generation = 'FirstGeneration' }
        Set-VirtualMachine $vm -Engine HardwareAssist
        Start-VM $vm; Wait-VM $vm -Timeout 60
        (Measure-VmExit $vm).Reason | Should -Be 'emulated mode'
        Set-VirtualMachine $vm -Generation Current -Paging Nested
        Start-VM $vm; Wait-VM $vm -Timeout 60
        (Measure-VmExit $vm).Reason | Should -Contain 'PORT'
    }

    It 'is taken by Compare-VMEngine' {
        $file = Save-TestFile generation.bin ([byte[]]($TestGuest.Ok.Split(' ') | ForEach-Object { [Convert]::ToByte($_, 16) }))
        $runs = @(Compare-VMEngine -FlatBinary $file -Memory 4MB -Engine DecodedCache, HardwareAssist -Generation FirstGeneration)
        $runs.Agrees | Should -Be $true, $true
        $runs[1].Paging | Should -Be 'Shadow'
        $runs[1].ExitReasons.Reason | Should -Be 'emulated mode'
    }

    It 'refuses nested paging where there is none' {
        { New-TestMachine test-nested $TestGuest.Ok ($assist + @{ Generation = 'FirstGeneration'; Paging = 'Nested' }) } |
            Should -Throw -ErrorId 'NoNestedPaging,X86Virt.PowerShell.NewVirtualMachine' -ExpectedMessage '*FirstGeneration*-Paging Shadow*'
        { New-TestMachine test-unknown $TestGuest.Ok ($assist + @{ Generation = 'Third' }) } | Should -Throw -ExpectedMessage '*FirstGeneration*'
    }

    It 'boots Linux like every other engine with FirstGeneration' -Skip:$noKernel {
        $settings = @{ Memory = 256MB; Kernel = $kernel; CommandLine = 'console=ttyS0 panic=-1'; NoReboot = $true; ErrorAction = 'Stop' }
        $machines = @(
            New-VirtualMachine -Name test-reference -Engine DecodedCache @settings
            New-VirtualMachine -Name test-first -Engine HardwareAssist -Generation FirstGeneration @settings
        )
        Start-VM $machines; Wait-VM $machines -Timeout 300 -ErrorAction Stop
        Get-VMConsole $machines[1] | Should -Match 'Kernel panic'
        Get-VMConsole $machines[1] | Should -BeExactly (Get-VMConsole $machines[0])
        $machines[1].InstructionsRetired | Should -Be $machines[0].InstructionsRetired
    }
}

Describe '-ExitClustering' {
    AfterEach { Remove-TestMachine }

    It 'avoids exits, tells how many, and changes nothing else' {
        # mov cx, 100; poll: in al, 0x61; out 0x80, al; inc ax; loop poll; then "ok"
        $code = "b9 64 00 e4 61 e6 80 40 e2 f9 $($TestGuest.Ok)"
        $plain = New-TestMachine test-exiting $code $assist
        $vm = New-TestMachine test-clustering $code ($assist + @{ ExitClustering = $true })
        Start-VM $plain, $vm; Wait-VM $plain, $vm -Timeout 60
        Get-VMConsole $vm | Should -BeExactly (Get-VMConsole $plain)
        $vm.InstructionsRetired | Should -Be $plain.InstructionsRetired
        $ports = @($plain, $vm | Measure-VmExit | Where-Object Reason -eq 'PORT')
        $ports[0].Count | Should -Be 203
        $ports[0].Avoided | Should -Be 0
        $ports[1].Count + $ports[1].Avoided | Should -Be 203
        $ports[1].Avoided | Should -BeGreaterThan 90
        (Measure-VmExit $vm | Out-String -Width 120) | Should -Match 'Avoided'
        Set-VirtualMachine $vm -ExitClustering:$false
        Start-VM $vm; Wait-VM $vm -Timeout 60
        (Measure-VmExit $vm | Where-Object Reason -eq 'PORT').Count | Should -Be 203
    }

    It 'boots Linux with -Paging <_> with fewer exits, like every other engine' -Skip:$noKernel -ForEach 'Nested', 'Shadow' {
        $settings = @{ Memory = 256MB; Kernel = $kernel; CommandLine = 'console=ttyS0 panic=-1'; NoReboot = $true; Engine = 'HardwareAssist'; Paging = $_; ErrorAction = 'Stop' }
        $machines = @(
            New-VirtualMachine -Name test-exits @settings
            New-VirtualMachine -Name test-clusters -ExitClustering @settings
        )
        Start-VM $machines; Wait-VM $machines -Timeout 300 -ErrorAction Stop
        Get-VMConsole $machines[1] | Should -Match 'Kernel panic'
        Get-VMConsole $machines[1] | Should -BeExactly (Get-VMConsole $machines[0])
        $machines[1].InstructionsRetired | Should -Be $machines[0].InstructionsRetired
        $counts = $machines | ForEach-Object { (Measure-VmExit $_ | Measure-Object Count -Sum).Sum }
        $counts[1] | Should -BeLessThan ($counts[0] / 2)
    }
}

Describe 'Get-Vmcb' {
    AfterEach { Remove-TestMachine }

    It 'shows both areas, true to the guest, of a machine that is <State>' -ForEach @{ State = 'Running' }, @{ State = 'Suspended' } {
        $vm = New-TestMachine test-vmcb $TestGuest.Spin $assist
        Start-VM $vm
        if ($State -eq 'Suspended') { Suspend-VM $vm }
        $fields = @(Get-Vmcb $vm)
        ($fields.Area | Select-Object -Unique) -join ' ' | Should -Be 'Control State'
        ($fields | Where-Object Name -eq 'RIP').Value | Should -Be 0x7c00
        ($fields | Where-Object Name -eq 'INTERCEPT_1').Description | Should -Match 'CPUID.*PORT, MSR'
        ($fields | Where-Object Name -eq 'EFER').Description | Should -Match 'SVME'
        (Get-Vmcb $vm -Field RIP, 'CR*' | ForEach-Object Name) -join ' ' | Should -Be 'CR4 CR3 CR0 RIP CR2'
        (Get-Vmcb $vm -Area Control -Field '*' | ForEach-Object Area | Select-Object -Unique) | Should -Be 'Control'
        $vm.State | Should -Be $State
    }

    It 'names a field that there is not' {
        $vm = New-TestMachine test-field $TestGuest.Spin $assist
        { Get-Vmcb $vm -Field RQX -ErrorAction Stop } | Should -Throw -ErrorId 'VmcbFieldNotFound,X86Virt.PowerShell.GetVmcb' -ExpectedMessage "*'RQX'*"
    }

    It 'has a view that fits 120 columns' {
        $vm = New-TestMachine test-vmcbview $TestGuest.Spin $assist
        foreach ($objects in (Get-Vmcb $vm), (Get-Vmcb $vm -Intercept)) {
            $text = ($objects | Out-String -Width 120) -replace '\x1b\[[0-9;]*m'
            foreach ($line in $text.Split("`n")) { $line.TrimEnd().Length | Should -BeLessOrEqual 120 }
            $text | Should -Match 'CPUID'
        }
    }
}

Describe 'Set-VmcbIntercept' {
    AfterEach { Remove-TestMachine }

    It 'has exits recorded that match, and the guest go on' {
        $plain = New-TestMachine test-plain "9c 9d $($TestGuest.Ok)" $assist
        $vm = New-TestMachine test-watched "9c 9d $($TestGuest.Ok)" $assist
        Set-VmcbIntercept $vm -Instruction Pushf, Hlt -Port 0x3f8
        Start-VM $plain, $vm; Wait-VM $plain, $vm -Timeout 60
        Get-VMConsole $vm | Should -BeExactly (Get-VMConsole $plain)
        $vm.InstructionsRetired | Should -Be $plain.InstructionsRetired
        (Get-VmExit $vm -Requested | ForEach-Object Reason) -join ' ' | Should -Be 'PUSHF PORT PORT PORT HLT'
        Get-VmExit $plain -Requested | Should -BeNullOrEmpty
    }

    It 'changes nothing for Linux with -Paging <_>' -Skip:$noKernel -ForEach 'Nested', 'Shadow' {
        $machines = foreach ($i in 1, 2) {
            New-VirtualMachine -Name "test-linux$i" -Memory 256MB -Kernel $kernel -CommandLine 'console=ttyS0 panic=-1' -NoReboot -Engine HardwareAssist -Paging $_ -ErrorAction Stop
        }
        Set-VmcbIntercept $machines[1] -Exception PF, UD, NM, GP -Instruction Cpuid, Rdtsc, Pushf, Iret -ControlRegister 0, 3, 4 -Access Write -Msr 0xC0000080, 0xC0000082
        Start-VM $machines
        # Nor does looking at it.
        foreach ($i in 1..30) { $null = Get-Vmcb $machines[1]; $null = Get-VmExit $machines[1]; $null = Measure-VmExit $machines[1] }
        Wait-VM $machines -Timeout 300 -ErrorAction Stop
        Get-VMConsole $machines[1] | Should -Match 'Kernel panic'
        Get-VMConsole $machines[1] | Should -BeExactly (Get-VMConsole $machines[0])
        $machines[1].InstructionsRetired | Should -Be $machines[0].InstructionsRetired
        $reasons = (Measure-VmExit $machines[1]).Reason
        foreach ($reason in '#PF page fault', 'PUSHF', 'RDTSC', 'CR3 write', 'MSR') { $reasons | Should -Contain $reason }
    }

    It 'shows whose each intercept is, and takes its own away' {
        $vm = New-TestMachine test-owner $TestGuest.Spin $assist
        Set-VmcbIntercept $vm -Exception '#PF', UD, 13 -Msr 0xC0000082 -Access Write
        $mine = Get-Vmcb $vm -Intercept | Where-Object Owner -eq 'User'
        $mine.Name -join '; ' | Should -Be '#UD invalid opcode; #GP general protection; #PF page fault; MSR 0xc0000082 write'
        Set-VmcbIntercept $vm -Exception UD -Remove
        (Get-Vmcb $vm -Intercept | Where-Object Owner -eq 'User').Count | Should -Be 3
        Set-VmcbIntercept $vm -Clear -PassThru | Should -Be $vm
        Get-Vmcb $vm -Intercept | Where-Object Owner -ne 'Monitor' | Should -BeNullOrEmpty
    }

    It 'refuses <Line>' -ForEach @(
        @{ Line = 'Set-VmcbIntercept test-refused -Instruction Hlt -Remove'; Id = 'OwnIntercept'; Says = '*HLT*test-refused*' }
        @{ Line = 'Set-VmcbIntercept test-refused'; Id = 'NothingToIntercept'; Says = '*-Exception*' }
        @{ Line = 'Set-VmcbIntercept test-refused -Exception 2'; Id = 'InvalidIntercept'; Says = '*2*' }
        @{ Line = 'Set-VmcbIntercept test-refused -Exception XY'; Id = 'ParameterArgumentTransformationError'; Says = "*'XY'*PF*" }
        @{ Line = 'Set-VmcbIntercept test-refused -Port 0x10000'; Id = 'ParameterArgumentTransformationError'; Says = '*65536*0xffff*' }
        @{ Line = 'Set-VmcbIntercept test-refused -ControlRegister 1'; Id = 'InvalidIntercept'; Says = '*CR1*' }
    ) {
        $null = New-TestMachine test-refused $TestGuest.Spin $assist
        { & ([scriptblock]::Create("$Line -ErrorAction Stop")) } | Should -Throw -ErrorId "$Id,X86Virt.PowerShell.SetVmcbIntercept" -ExpectedMessage $Says
    }
}

Describe 'Register-VmExitEvent' {
    AfterEach {
        Get-EventSubscriber | Where-Object SourceIdentifier -like 'test-*' | Unregister-Event
        Get-Event | Where-Object SourceIdentifier -like 'test-*' | Remove-Event
        Remove-TestMachine
    }

    It 'has an event for each exit that is wanted' {
        $vm = New-TestMachine test-events $TestGuest.Ok $assist
        Register-VmExitEvent $vm -Reason P*T -SourceIdentifier test-ports | Should -BeNullOrEmpty
        Start-VM $vm; Wait-VM $vm -Timeout 60
        $events = foreach ($i in 1..3) { $event = Wait-Event test-ports -Timeout 60; Remove-Event -EventIdentifier $event.EventIdentifier; $event }
        ($events | ForEach-Object { $_.SourceEventArgs.Exit.Detail }) -join '; ' | Should -Be 'port 0x3f8 out, 1 byte: 0x6f; port 0x3f8 out, 1 byte: 0x6b; port 0x3f8 out, 1 byte: 0xa'
        $events[0].SourceEventArgs.VM | Should -Be $vm
    }

    It 'runs an action, for as many events as wanted' {
        $vm = New-TestMachine test-action "9c 9c 9c $($TestGuest.Ok)" $assist
        Set-VmcbIntercept $vm -Instruction Pushf
        $global:testExits = [Collections.Generic.List[string]]::new()
        $job = Register-VmExitEvent $vm -Requested -SourceIdentifier test-action -MaxTriggerCount 2 -MessageData ' now' -Action {
            param($from, $what)
            $global:testExits.Add("$($what.VM) $($EventArgs.Exit.Disassembly)$($Event.MessageData)") # what it is
        }
        Start-VM $vm; Wait-VM $vm -Timeout 60
        # Actions run between statements.
        for ($end = [DateTime]::UtcNow.AddSeconds(60); $global:testExits.Count -lt 2 -and [DateTime]::UtcNow -lt $end; ) { Start-Sleep -Milliseconds 10 }
        $global:testExits -join '; ' | Should -Be 'test-action pushf now; test-action pushf now'
        Remove-Job $job -Force
        $global:testExits = $null
    }

    It 'never holds the guest up, whoever receives nothing' {
        # inc ax; out 0x80, al; jmp back
        $vm = New-TestMachine test-flood '40 e6 80 eb fb' $assist
        Register-VmExitEvent $vm -SourceIdentifier test-flood
        Step-VM $vm -Count 60000
        $vm.InstructionsRetired | Should -Be 60000
        $null = Wait-Event test-flood -Timeout 60
        @(Get-Event -SourceIdentifier test-flood).Count | Should -BeLessOrEqual 1000
    }

    It 'ends with its subscription, and refuses a name twice' {
        $vm = New-TestMachine test-twice $TestGuest.Spin $assist
        Register-VmExitEvent $vm -SourceIdentifier test-twice
        { Register-VmExitEvent $vm -SourceIdentifier test-twice -ErrorAction Stop } | Should -Throw -ErrorId 'SourceIdentifierExists,X86Virt.PowerShell.RegisterVmExitEvent'
        Unregister-Event test-twice
        Register-VmExitEvent $vm -SourceIdentifier test-twice
        { Register-VmExitEvent $vm -SourceIdentifier test-other -Action { process { 1 } } -ErrorAction Stop } | Should -Throw -ErrorId 'InvalidAction,X86Virt.PowerShell.RegisterVmExitEvent'
    }
}
