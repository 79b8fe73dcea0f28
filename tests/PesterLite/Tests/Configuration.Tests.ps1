Describe 'New-PesterConfiguration' {
    It 'has the usual defaults' {
        $configuration = New-PesterConfiguration
        $configuration.Run.Path.Value | Should -Be '.'
        $configuration.Run.Exit.Value | Should -BeFalse
        $configuration.Output.Verbosity.Value | Should -Be 'Normal'
        $configuration.TestResult.Enabled.Value | Should -BeFalse
    }
    It 'takes plain values' {
        $configuration = New-PesterConfiguration
        $configuration.Run.Path = 'a', 'b'
        $configuration.Run.PassThru = $true
        $configuration.Filter.Tag = 'x'
        $configuration.Output.Verbosity = 'Detailed'
        $configuration.Run.Path.Value | Should -Be 'a', 'b'
        $configuration.Run.PassThru.Value | Should -BeTrue
        $configuration.Filter.Tag.Value | Should -Be 'x'
        $configuration.Output.Verbosity.Value | Should -Be 'Detailed'
    }
    It 'takes a hashtable' {
        $configuration = New-PesterConfiguration -Hashtable @{ Run = @{ Path = 'x'; Exit = $true }; Should = @{ ErrorAction = 'Continue' } }
        $configuration.Run.Path.Value | Should -Be 'x'
        $configuration.Run.Exit.Value | Should -BeTrue
        $configuration.Should.ErrorAction.Value | Should -Be 'Continue'
        $configuration.Run.PassThru.Value | Should -BeFalse
    }
    It 'refuses an option that there is not' {
        $configuration = New-PesterConfiguration
        { $configuration.Run.NoSuchOption = 1 } | Should -Throw
    }
}

Describe 'Run.Throw' {
    It 'makes a failed run throw' {
        . "$PSScriptRoot/Invoke-Sample.ps1"
        { Invoke-Sample "Describe 'd' { It 'i' { throw } }" @{ Run = @{ Throw = $true } } } | Should -Throw
        { Invoke-Sample "Describe 'd' { It 'i' { } }" @{ Run = @{ Throw = $true } } } | Should -Not -Throw
    }
}
