BeforeAll {
    . "$PSScriptRoot/Invoke-Sample.ps1"
}

Describe 'The result of a run' {
    BeforeAll {
        $run = Invoke-Sample @'
Describe 'd' {
    It 'passes' { 1 | Should -Be 1 }
    It 'fails' { 1 | Should -Be 2 }
    It 'throws' { throw [System.IO.IOException]::new('the disk is full') }
    It 'fails first' { 1 | Should -Be 2; throw 'never reached' }
    It 'is skipped' -Skip { throw 'never run' }
    It 'skips itself' { Set-ItResult -Skipped -Because 'there is no disk' }
    It 'is inconclusive' { Set-ItResult -Inconclusive }
    It 'passes too' { 2 | Should -Be 2 }
    Context 'skipped' -Skip {
        BeforeAll { throw 'never run' }
        It 'inside' { throw 'never run' }
    }
}
'@
        $results = Get-SampleResult $run
    }

    It 'gives <name> as <result>' -ForEach @(
        @{ Name = 'd.passes'; Result = 'Passed' }
        @{ Name = 'd.fails'; Result = 'Failed' }
        @{ Name = 'd.throws'; Result = 'Failed' }
        @{ Name = 'd.is skipped'; Result = 'Skipped' }
        @{ Name = 'd.skips itself'; Result = 'Skipped' }
        @{ Name = 'd.is inconclusive'; Result = 'Inconclusive' }
        @{ Name = 'd.skipped.inside'; Result = 'Skipped' }
    ) {
        $results[$name] | Should -Be $result
    }
    It 'counts' {
        $run.Result | Should -Be 'Failed'
        $run.TotalCount | Should -Be 9
        $run.PassedCount | Should -Be 2
        $run.FailedCount | Should -Be 3
        $run.SkippedCount | Should -Be 3
        $run.InconclusiveCount | Should -Be 1
        $run.NotRunCount | Should -Be 0
        $run.Failed | Should -HaveCount 3
        $run.Passed | Should -HaveCount 2
        $run.Skipped | Should -HaveCount 3
        $run.Containers | Should -HaveCount 1
    }
    It 'keeps the error of a failed test' {
        $thrown = @($run.Failed | Where-Object Name -EQ 'throws')[0]
        $thrown.ErrorRecord[0].Exception | Should -BeOfType ([System.IO.IOException])
        $first = @($run.Failed | Where-Object Name -EQ 'fails first')[0]
        $first.ErrorRecord | Should -HaveCount 1
    }
    It 'measures time' {
        $run.Duration | Should -BeOfType ([timespan])
        $run.Duration | Should -BeGreaterThan ([timespan]::Zero)
    }
}

Describe 'A run with nothing wrong' {
    It 'has passed' {
        (Invoke-Sample 'Describe d { It i { 1 | Should -Be 1 } }').Result | Should -Be 'Passed'
    }
}

Describe 'Errors outside tests' {
    It 'fail every test of the block when BeforeAll fails, and no other' {
        $run = Invoke-Sample @'
Describe 'bad' {
    BeforeAll { throw 'no' }
    It 'one' { }
    Context 'inner' { It 'two' { } }
}
Describe 'good' { It 'three' { } }
'@
        $results = Get-SampleResult $run
        $results['bad.one'] | Should -Be 'Failed'
        $results['bad.inner.two'] | Should -Be 'Failed'
        $results['good.three'] | Should -Be 'Passed'
    }
    It 'fail the run when AfterAll fails, though its tests passed' {
        $run = Invoke-Sample "Describe 'bad' { AfterAll { throw 'no' }; It 'one' { } }"
        $run.PassedCount | Should -Be 1
        $run.FailedBlocksCount | Should -Be 1
        $run.Result | Should -Be 'Failed'
    }
    It 'fail the test when <kind> fails' -ForEach @{ Kind = 'BeforeEach' }, @{ Kind = 'AfterEach' } {
        $run = Invoke-Sample "Describe 'd' { $kind { throw 'no' }; It 'one' { } }"
        $run.FailedCount | Should -Be 1
    }
    It 'run AfterEach and AfterAll even so' {
        $run = Invoke-Sample @'
BeforeAll { $log = [System.Collections.Generic.List[string]]::new() }
Describe 'd' {
    AfterEach { $log.Add('each') }
    AfterAll { $log.Add('all') }
    It 'fails' { throw 'no' }
}
Describe 'e' { It 'sees the log' { $log | Should -Be 'each', 'all' } }
'@
        (Get-SampleResult $run)['e.sees the log'] | Should -Be 'Passed'
    }
    It 'fail the file when discovery fails' {
        $run = Invoke-Sample "Describe 'd' { It 'one' { }; throw 'at discovery' }"
        $run.Result | Should -Be 'Failed'
        $run.FailedContainersCount | Should -Be 1
    }
    It 'fail the file when it does not parse' {
        $run = Invoke-Sample "Describe 'd' {"
        $run.Result | Should -Be 'Failed'
        $run.FailedContainersCount | Should -Be 1
    }
}

Describe 'Should.ErrorAction' {
    It 'goes on after a failed assertion and reports each when it is Continue' {
        $run = Invoke-Sample "Describe 'd' { It 'i' { 1 | Should -Be 2; 3 | Should -Be 4; 5 | Should -Be 5 } }" @{ Should = @{ ErrorAction = 'Continue' } }
        $run.FailedCount | Should -Be 1
        $run.Failed[0].ErrorRecord | Should -HaveCount 2
    }
    It 'may be told to one assertion' {
        $run = Invoke-Sample "Describe 'd' { It 'i' { 1 | Should -Be 2 -ErrorAction Continue; throw 'reached' } }"
        $run.Failed[0].ErrorRecord | Should -HaveCount 2
    }
}
