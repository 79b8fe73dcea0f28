BeforeAll {
    . $PSScriptRoot/TestMachines.ps1
    function Measure-Operation([string] $Operation, [string] $Engine, [hashtable] $More = @{}) {
        Invoke-VMNanobenchmark -Engine $Engine -Operation $Operation -Iterations 500 -Repeat 1 @More
    }
    function Get-EventCount($Result, [string] $Kind, $Number) {
        ($Result.Events | Where-Object { $_.Kind -eq $Kind -and ($null -eq $Number -or $_.Number -eq $Number) } | Measure-Object PerIteration -Sum).Sum
    }
}

Describe 'Invoke-VMNanobenchmark' {
    It 'counts one access of port 80h for in' {
        foreach ($engine in 'Interpreter', 'DecodedCache', 'BinaryTranslation') {
            $result = Measure-Operation in $engine
            Get-EventCount $result PortIo 0x80 | Should -Be 1
            $result.Instructions | Should -Be 3
        }
    }

    It 'counts one fault an iteration for pgfault and divzero' {
        foreach ($engine in 'Interpreter', 'DecodedCache', 'BinaryTranslation') {
            Get-EventCount (Measure-Operation pgfault $engine) Exception 14 | Should -Be 1
            Get-EventCount (Measure-Operation divzero $engine) Exception 0 | Should -Be 1
        }
    }

    It 'counts the instructions of a loop, the same on every engine' {
        foreach ($operation in @{ empty = 2; callret = 4; syscall = 5; cr8wr = 3; ptemod = 3; ptetoggle = 4 }.GetEnumerator()) {
            foreach ($engine in 'Interpreter', 'DecodedCache', 'BinaryTranslation') {
                (Measure-Operation $operation.Key $engine).Instructions | Should -Be $operation.Value
            }
        }
    }

    It 'counts one traced store, and one first use of what it made present' {
        foreach ($engine in 'DecodedCache', 'BinaryTranslation') {
            foreach ($operation in @{ pteuse = 0, 0; ptesame = 1, 0; pteclear = 1, 0; pteset = 1, 1 }.GetEnumerator()) {
                $result = Measure-Operation $operation.Key $engine @{ Paging = 'Shadow' }
                $result.TraceWrites | Should -Be $operation.Value[0]
                @($result.Events | Where-Object Detail -EQ 'first use').Count | Should -Be $operation.Value[1]
                $result.HiddenFaults | Should -Be 11
            }
        }
    }

    It 'refuses more iterations than there are entries' {
        { Invoke-VMNanobenchmark -Operation pteclear -Iterations 1000000 -ErrorAction Stop } | Should -Throw -ErrorId 'TooManyIterations,X86Virt.PowerShell.InvokeVMNanobenchmark'
    }

    It 'gives the same counts and modelled cycles on every run' {
        foreach ($engine in 'BinaryTranslation', 'HardwareAssist', 'Hybrid') {
            $first, $second = 1..2 | ForEach-Object { Measure-Operation pteset $engine @{ Paging = 'Shadow' } }
            $second.Events | Should -Be $first.Events
            $second.Instructions | Should -Be $first.Instructions
            $second.ModelledCycles | Should -Be $first.ModelledCycles
        }
    }

    It 'has an object for each operation, word size, engine, way of paging and generation' {
        $results = @(Invoke-VMNanobenchmark -Engine DecodedCache, BinaryTranslation, HardwareAssist, Hybrid -Paging Shadow, Nested -Generation NestedPaging, Current -Bits 32, 64 -Operation empty, cr3 -Iterations 100 -Repeat 1)
        # Two engines without silicon have no nested paging; two with it have either, of each generation.
        $results.Count | Should -Be (2 * (2 + 2 * 2 * 2) * 2)
        ($results | Select-Object -First 1).Bits | Should -Be 32
        foreach ($result in $results) {
            $silicon = $result.Engine -in 'HardwareAssist', 'Hybrid'
            $result.Count | Should -Be 100
            $result.Instructions | Should -Be $(if ($result.Operation -eq 'empty') { 2 } else { 3 })
            ($null -eq $result.Generation) | Should -Be (-not $silicon)
            ($null -eq $result.ModelledCycles) | Should -Be ($result.Engine -eq 'DecodedCache')
            if ($result.Engine -eq 'HardwareAssist') { $result.Exits | Should -Be $(if ($result.Operation -eq 'cr3' -and $result.Paging -eq 'Shadow') { 1 } else { 0 }) }
        }
    }

    It 'models what an iteration costs under the technique that the engine stands for' {
        (Measure-Operation in BinaryTranslation).ModelledCycles | Should -Be 218       # two instructions, and one emulated
        (Measure-Operation in HardwareAssist).ModelledCycles | Should -Be 15828        # an exit
        (Measure-Operation in HardwareAssist @{ CostProfile = 'Core2' }).ModelledCycles | Should -BeLessThan 15828
        (Measure-Operation callret BinaryTranslation).ModelledCycles | Should -Be 53
        # Hybrid goes where it is cheaper; it knows so by windows, so the mean of many iterations is close to what one costs there.
        [Math]::Abs((Invoke-VMNanobenchmark Hybrid in -Iterations 100000 -Repeat 1).ModelledCycles - 218) | Should -BeLessThan 5
        (Invoke-VMNanobenchmark Hybrid callret -Iterations 100000 -Repeat 1).ModelledCycles | Should -Be 13
    }

    It 'gives the median and the spread of host time' {
        $result = Invoke-VMNanobenchmark -Engine BinaryTranslation -Operation in -Iterations 20000 -Repeat 4
        # A difference of two times, which may be less than the host's noise.
        $result.Nanoseconds | Should -BeOfType ([double])
        $result.Spread | Should -BeGreaterThan 0
        (Measure-Operation in BinaryTranslation).Spread | Should -Be 0
    }

    It 'writes to the task priority by an exit where there is no CR8' {
        $wide, $narrow = foreach ($bits in 64, 32) { Measure-Operation cr8wr HardwareAssist @{ Bits = $bits } }
        $wide.Exits | Should -Be 0
        $narrow.Exits | Should -Be 1
        Get-EventCount $wide ControlRegisterWrite 8 | Should -Be 1
        Get-EventCount $narrow DeviceMemory | Should -Be 1
    }

    It 'has a view that fits 120 columns' {
        $results = Invoke-VMNanobenchmark -Engine BinaryTranslation, HardwareAssist -Operation pteset, cr3switch -Iterations 1000 -Repeat 2 -Paging Shadow
        $text = ($results | Out-String -Width 120) -replace '\x1b\[[0-9;]*m'
        $text | Should -Match 'Operation +Bits +Engine +Paging +Modelled +Nanoseconds +Spread +Instr\. +Exits +Callouts +Traces +Hidden'
        foreach ($line in $text.Split("`n")) { $line.TrimEnd().Length | Should -BeLessOrEqual 120 }
    }

    It 'shows progress' {
        # A runspace without a host keeps what it would show.
        $shell = [powershell]::Create([System.Management.Automation.Runspaces.InitialSessionState]::CreateDefault2())
        try {
            $module = (Get-Module X86Virt).Path
            $null = $shell.AddScript("Import-Module '$module'; Invoke-VMNanobenchmark -Engine DecodedCache -Operation empty, in -Iterations 10 -Repeat 1").Invoke()
            $shell.Streams.Progress.StatusDescription | Should -Be 'empty on DecodedCache, 64 bits', 'in on DecodedCache, 64 bits', 'done'
            $shell.Streams.Progress.PercentComplete | Should -Be 0, 50, 100
        }
        finally { $shell.Dispose() }
    }

    It 'refuses what there is not' {
        { Invoke-VMNanobenchmark -Operation frobnicate } | Should -Throw -ErrorId 'UnknownNanobenchmark,X86Virt.PowerShell.InvokeVMNanobenchmark' -ExpectedMessage '*frobnicate*syscall*'
        { Invoke-VMNanobenchmark -Operation in -Bits 16 } | Should -Throw -ErrorId 'ParameterArgumentValidationError,X86Virt.PowerShell.InvokeVMNanobenchmark'
        { Invoke-VMNanobenchmark -Operation in -Iterations 0 } | Should -Throw -ErrorId 'ParameterArgumentValidationError,X86Virt.PowerShell.InvokeVMNanobenchmark'
        { Invoke-VMNanobenchmark -Operation in -Repeat 0 } | Should -Throw -ErrorId 'ParameterArgumentValidationError,X86Virt.PowerShell.InvokeVMNanobenchmark'
        { Invoke-VMNanobenchmark -Operation in -Bits 32 -Iterations 5000000000 -ErrorAction Stop } | Should -Throw -ErrorId 'TooManyIterations,X86Virt.PowerShell.InvokeVMNanobenchmark' -ExpectedMessage '*32 bits*'
    }

    It 'has one error for a machine that there is not, and goes on with the others' {
        $results = @(Invoke-VMNanobenchmark -Engine HardwareAssist -Generation FirstGeneration, Current -Paging Nested -Operation empty, in -Iterations 10 -Repeat 1 -ErrorAction SilentlyContinue -ErrorVariable problems)
        $problems.Count | Should -Be 1
        $problems[0].FullyQualifiedErrorId | Should -Be 'NoNestedPaging,X86Virt.PowerShell.InvokeVMNanobenchmark'
        $results.Generation | Should -Be 'Current', 'Current'
    }
}

Describe 'Export-VMBenchmarkImage' {
    It 'writes an image of <_> bits that boots' -ForEach 64, 32 {
        $path = Join-Path ([IO.Path]::GetTempPath()) "nano-$PID.bin"
        try {
            (Export-VMBenchmarkImage -Path $path -Bits $_).Length | Should -BeGreaterThan 0x2000
            $vm = New-VirtualMachine -Name test-nano -Kernel $path -Memory 16MB -CommandLine 'operations=callret iterations=5' | Start-VM -Wait -Timeout 60 -PassThru
            Get-VMConsole $vm | Out-String | Should -Match 'nano callret count=0000000000000005'
        }
        finally {
            Remove-TestMachine
            Remove-Item $path -ErrorAction Ignore
        }
    }

    It 'refuses an image that there is not, and a path that cannot be written' {
        $path = Join-Path $TestDrive 'none.bin'
        { Export-VMBenchmarkImage -Path $path -Benchmark ForkWait -Bits 32 } | Should -Throw -ErrorId 'NoSuchImage,X86Virt.PowerShell.ExportVMBenchmarkImage' -ExpectedMessage '*ForkWait*-Bits*'
        Test-Path $path | Should -BeFalse
        $nowhere = [IO.Path]::Combine($TestDrive, 'no', 'such', 'folder', 'nano.bin')
        { Export-VMBenchmarkImage -Path $nowhere -ErrorAction Stop } | Should -Throw -ErrorId 'FileNotWritten,X86Virt.PowerShell.ExportVMBenchmarkImage' -ExpectedMessage "*nano.bin*permissions*"
    }

    It 'writes nothing with -WhatIf' {
        $path = Join-Path ([IO.Path]::GetTempPath()) "nano-whatif-$PID.bin"
        Export-VMBenchmarkImage -Path $path -WhatIf
        Test-Path $path | Should -BeFalse
    }
}
