BeforeAll { . $PSScriptRoot/TestMachines.ps1 }

Describe 'isPrime(49) of Adams and Agesen''s paper' {
    BeforeAll {
        $symbols = [X86Virt.Guests.BuiltInGuest]::IsPrime(49).Symbols
        $vm = New-PrimeMachine test-isprime 49 @{ TranslationUnitLimit = 12; ProfileTranslation = $true } | Start-VM -Wait -Timeout 60 -PassThru
        $units = @(Get-TranslationUnit $vm | Where-Object Address -ge $symbols['isPrime'])
        $third = $symbols['nexti'] + 9
    }
    AfterAll { Remove-TestMachine }

    It 'leaves exactly four compiled code fragments' {
        $units | ForEach-Object Address | Should -Be @($symbols['isPrime'], $symbols['nexti'], $third, $symbols['notPrime'])
        $units.Executions | Should -Be @(1, 6, 5, 1)
    }

    It 'leaves two continuations, both to the block that returns 1' {
        $left = @($units.LinksOut | Where-Object Kind -eq 'Continuation')
        $left.Target | Should -Be @($symbols['prime'], $symbols['prime'])
    }

    It 'makes two of them disappear into fall-through' {
        $falls = @($units.LinksOut | Where-Object Kind -eq 'FallThrough')
        $falls.Target | Should -Be @($symbols['nexti'], $third)
        $units[1].HostOffset | Should -Be ($units[0].HostOffset + $units[0].HostBytes)
    }

    It 'makes one a jump back to nexti' {
        @($units[2].LinksOut | Where-Object Kind -eq 'Chained').Target | Should -Be @($symbols['nexti'])
        $units[1].LinksIn | Should -Be @($symbols['isPrime'], $third)
    }

    It 'never translates the block that returns 1' {
        Get-TranslationUnit $vm -Address $symbols['prime'] | Should -BeNullOrEmpty
    }

    It 'is shown by the example' {
        $text = & ([IO.Path]::Combine($PSScriptRoot, '..', '..', 'examples', 'isprime.ps1')) -NoHostCode | Out-String
        $text | Should -Match '54 instructions, 4 compiled code fragments'
        ([regex]::Matches($text, 'continuation: \[prime\]')).Count | Should -Be 2
        ([regex]::Matches($text, 'jumps to nexti''')).Count | Should -Be 1
    }
}

Describe 'The translation cache' {
    BeforeAll { $vm = New-PrimeMachine test-cache 9973 @{ ProfileTranslation = $true } | Start-VM -Wait -Timeout 60 -PassThru }
    AfterAll { Remove-TestMachine }

    It 'tells what it holds and what was done' {
        $cache = Get-TranslationCache $vm
        $cache.Machine | Should -Be 'test-cache'
        $cache.Size | Should -Be 32MB
        $cache.Units | Should -Be @(Get-TranslationUnit $vm).Count
        $cache.UnitsTranslated | Should -BeGreaterOrEqual $cache.Units
        $cache.Used | Should -BeGreaterThan 0
        $cache.HostBytesPerInstruction | Should -BeGreaterThan 1
        $cache.ChainsMade | Should -BeGreaterThan 0
        $cache.TranslationTime | Should -BeGreaterThan ([timespan]::Zero)
    }

    It 'shows the hottest units first' {
        $hot = @(Get-TranslationUnit $vm -Hot 3)
        $hot.Count | Should -Be 3
        $hot[0].Executions | Should -BeGreaterThan 1000
        $hot[0].Executions | Should -BeGreaterOrEqual $hot[1].Executions
    }

    It 'shows a loop as a unit that is chained to itself' {
        $loop = @(Get-TranslationUnit $vm -Hot 1)[0]
        @($loop.LinksOut | Where-Object Target -eq $loop.Address).Kind | Should -Be @('Chained')
        $loop.LinksIn | Should -Contain $loop.Address
    }

    It 'finds units by an instruction in them, and by kind' {
        $unit = @(Get-TranslationUnit $vm)[0]
        @(Get-TranslationUnit $vm -Address $unit.Instructions[-1].Address | ForEach-Object Address) | Should -Contain $unit.Address
        foreach ($found in Get-TranslationUnit $vm -Kind InTc) { $found.Instructions.Kind | Should -Contain 'InTc' }
    }

    It 'has host code for every instruction' {
        foreach ($unit in Get-TranslationUnit $vm) {
            $unit.Head[0] | Should -Match '^sub qword \[rbx \+ budget\], (0x)?[0-9a-f]+$'
            foreach ($instruction in $unit.Instructions) { $instruction.Host.Count | Should -BeGreaterThan 0 -Because $instruction.Text }
        }
    }

    It 'counts how often units run without changing how many instructions retire' {
        $plain = New-PrimeMachine test-plain 9973 | Start-VM -Wait -Timeout 60 -PassThru
        $plain.InstructionsRetired | Should -Be $vm.InstructionsRetired
    }

    It 'is drawn as <_>' -ForEach 'svg', 'dot' {
        $file = Export-TranslationGraph $vm -Path (Join-Path $TestDrive "graph.$_")
        $text = [IO.File]::ReadAllText($file.FullName)
        foreach ($unit in Get-TranslationUnit $vm) { $text | Should -Match ('{0:x}' -f $unit.Address) }
        if ($_ -eq 'svg') { ([xml]$text).DocumentElement.LocalName | Should -Be 'svg' }
        else { $text | Should -Match '^digraph' }
    }

    It 'is emptied, and the guest goes on as before' {
        $symbols = [X86Virt.Guests.BuiltInGuest]::IsPrime(9973).Symbols
        $other = New-PrimeMachine test-clear 9973
        Step-VM $other -Count 5000
        (Get-TranslationCache $other).Units | Should -BeGreaterThan 0
        Clear-TranslationCache $other -WhatIf
        (Get-TranslationCache $other).Units | Should -BeGreaterThan 0
        Clear-TranslationCache $other
        (Get-TranslationCache $other).Units | Should -Be 0
        Resume-VM $other
        Wait-VM $other -Timeout 60
        $other.ExitCode | Should -Be 3
        $other.InstructionsRetired | Should -Be $vm.InstructionsRetired
    }
}

Describe 'What translated code leaves to the monitor' {
    AfterAll { Remove-TestMachine }

    It 'is counted by kind, and at each instruction' {
        $vm = New-PrimeMachine test-callouts 97 | Start-VM -Wait -Timeout 60 -PassThru
        $counts = @(Measure-VmExit $vm -Kind Callout)
        $counts.Detail | Should -Contain 'no host code'
        ($counts | Measure-Object Count -Sum).Sum | Should -Be (Get-TranslationCache $vm).Callouts
        $out = @(Get-TranslationUnit $vm -Kind Callout | ForEach-Object Instructions | Where-Object Text -like 'out*')
        $out.Callouts | Should -Be 1
    }

    It 'is traced: what is translated, chained and dropped' {
        $vm = New-PrimeMachine test-events 9973
        $events = @(Trace-VM $vm -Translation -Count 10000)
        $vm.State | Should -Be 'Stopped'
        $events[0].Kind | Should -Be 'Translated'
        $events.Kind | Should -Contain 'Chained'
        @($events | Where-Object Kind -eq 'Translated').Count | Should -Be (Get-TranslationCache $vm).UnitsTranslated
        $few = New-PrimeMachine test-few 999983
        @(Trace-VM $few -Translation -Count 2).Count | Should -Be 2
        $few.State | Should -Be 'Suspended'
    }

    It 'is not traced for ever in a guest that translates nothing any more' {
        $vm = New-TestMachine test-loop $TestGuest.Count
        @(Trace-VM $vm -Translation -InstructionLimit 250000).Kind | Should -Contain 'Translated'
        $vm.InstructionsRetired | Should -Be 250000
    }

    It 'is not traced with the events of single instructions' {
        $vm = New-PrimeMachine test-exclusive 97
        { Trace-VM $vm -Translation -Event PortIo -ErrorAction Stop } | Should -Throw -ErrorId 'ParametersExclusive,X86Virt.PowerShell.TraceVM'
    }
}

Describe 'Asking for translations that there are not' {
    AfterAll { Remove-TestMachine }

    It 'says that the engine translates nothing: <_>' -ForEach 'Get-TranslationCache', 'Get-TranslationUnit', 'Clear-TranslationCache' {
        $command = $_
        $vm = New-PrimeMachine "test-none-$command" 97 @{ Engine = 'Interpreter' }
        { & $command $vm -ErrorAction Stop } | Should -Throw -ErrorId "NoTranslationCache,X86Virt.PowerShell.$($command -replace '-')"
    }

    It 'says that units are not counted' {
        $vm = New-PrimeMachine test-uncounted 97
        { Get-TranslationUnit $vm -Hot 3 -ErrorAction Stop } | Should -Throw -ErrorId 'TranslationNotProfiled,X86Virt.PowerShell.GetTranslationUnit'
    }

    It 'says what a graph can be written as' {
        $vm = New-PrimeMachine test-graph 97
        { Export-TranslationGraph $vm -Path (Join-Path $TestDrive 'graph.png') -ErrorAction Stop } | Should -Throw -ErrorId 'UnknownGraphFormat,X86Virt.PowerShell.ExportTranslationGraph'
        { Export-TranslationGraph $vm -Path (Join-Path $TestDrive 'no/such/graph.svg') -ErrorAction Stop } | Should -Throw -ErrorId 'FileNotWritten,X86Virt.PowerShell.ExportTranslationGraph'
    }
}
