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

    It 'gives the same counts on every run' {
        $first, $second = 1..2 | ForEach-Object { Measure-Operation ptetoggle BinaryTranslation }
        $second.Events | Should -Be $first.Events
        $second.Instructions | Should -Be $first.Instructions
    }

    It 'refuses an operation that there is not' {
        { Invoke-VMNanobenchmark -Operation frobnicate } | Should -Throw
    }
}

Describe 'Export-VMBenchmarkImage' {
    It 'writes an image that boots' {
        $path = Join-Path ([IO.Path]::GetTempPath()) "nano-$PID.bin"
        try {
            (Export-VMBenchmarkImage -Path $path).Length | Should -BeGreaterThan 0x2000
            $vm = New-VirtualMachine -Name test-nano -Kernel $path -Memory 16MB -CommandLine 'operations=callret iterations=5' | Start-VM -Wait -Timeout 60 -PassThru
            Get-VMConsole $vm | Out-String | Should -Match 'nano callret count=0000000000000005'
        }
        finally {
            Remove-TestMachine
            Remove-Item $path -ErrorAction Ignore
        }
    }

    It 'writes nothing with -WhatIf' {
        $path = Join-Path ([IO.Path]::GetTempPath()) "nano-whatif-$PID.bin"
        Export-VMBenchmarkImage -Path $path -WhatIf
        Test-Path $path | Should -BeFalse
    }
}
