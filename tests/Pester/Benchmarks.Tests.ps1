# The benchmarks' guest programs, with little work: what they compute is checked, not how fast.
BeforeDiscovery {
    $root = [IO.Path]::GetFullPath([IO.Path]::Combine($PSScriptRoot, '..', '..'))
    $found = foreach ($name in 'gcc', 'objcopy') { $env:PATH -split [IO.Path]::PathSeparator | Where-Object { [IO.File]::Exists([IO.Path]::Combine($_, $name)) } | ForEach-Object { $name } }
    $compilerMissing = 'gcc' -notin $found -or 'objcopy' -notin $found
    $widths = @(
        @{ Suite = 'compute'; Bits = 64 }
        @{ Suite = 'compute'; Bits = 32 }
        @{ Suite = 'system'; Bits = 64 }
    )
    $linuxMissing = $compilerMissing -or -not [IO.File]::Exists([IO.Path]::Combine($root, 'artifacts', 'guests', 'vmlinuz-cloud-amd64'))
}

Describe 'The benchmark guests' -Skip:$compilerMissing {
    BeforeAll {
        $project = [IO.Path]::GetFullPath([IO.Path]::Combine($PSScriptRoot, '..', '..', 'bench', 'X86Virt.Bench'))
        function Invoke-Bench {
            $output = & dotnet run -c Release --project $project -- @args 2>&1
            [pscustomobject]@{ ExitCode = $LASTEXITCODE; Text = $output -join "`n" }
        }
    }

    It 'compute the same on every engine and on the host: <Suite>, <Bits> bits' -ForEach $widths {
        $run = Invoke-Bench --suite $Suite --bits $Bits --engine 'Interpreter,DecodedCache,BinaryTranslation,HardwareAssist,Hybrid' --peer none --repeat 1 --passes 2 --divisor 1000
        $run.Text | Should -Match 'geometric mean'
        $run.Text | Should -Not -Match '\| +- \|'
        $run.ExitCode | Should -Be 0
    }

    It 'have a monitor do all that one does, and are monitors, the same on every engine' {
        $run = Invoke-Bench --suite virtualization --engine 'Interpreter,DecodedCache,BinaryTranslation,HardwareAssist,Hybrid' --repeat 1 --passes 2 --divisor 100
        $run.Text | Should -Match '\| VMRUN[^|]*(\| +[0-9.]+ ){5,}\|'
        $run.Text | Should -Match '\| nested page-table miss'
        $run.ExitCode | Should -Be 0
    }

    It 'are moved between techniques, and what that costs is told' {
        $run = Invoke-Bench --suite hybrid --kernel phases --divisor 10
        $run.Text | Should -Match '\| 20 000 syscall/sysret, 20 000 in +\| +[0-9.]+ \| +[0-9.]+ \| +[0-9.]+ \| +0\.\d+ \| +[1-9]\d* \| +\d+'
        $run.ExitCode | Should -Be 0
    }

    It 'compute the same as processes of Linux' -Skip:$linuxMissing -Tag Slow {
        $run = Invoke-Bench --suite linux --engine 'BinaryTranslation,HardwareAssist' --paging Nested --repeat 1 --passes 2 --divisor 100
        $run.Text | Should -Match 'geometric mean'
        $run.ExitCode | Should -Be 0
    }

    It 'are named where one is asked for that is not there' {
        $run = Invoke-Bench --kernel nosuchkernel
        $run.Text | Should -Match 'No kernel is called nosuchkernel. There are isprime,'
        $run.ExitCode | Should -Be 2
    }
}
