BeforeAll {
    $fromFile = 'file'
    $script:counter = 0
    function Get-FromFile { "function of $fromFile" }
}

AfterAll {
    # The last word on what the tests below counted: an error here fails the file.
    if ($script:counter -ne 3) { throw "BeforeEach ran $script:counter times, not 3." }
}

Describe 'Scopes' {
    BeforeDiscovery {
        $fromDiscovery = 'discovery'
    }
    BeforeAll {
        $fromBlock = 'block'
        $changed = 'by BeforeAll'
    }

    It 'sees what BeforeAll of the file made' {
        $fromFile | Should -Be 'file'
        Get-FromFile | Should -Be 'function of file'
    }
    It 'sees what BeforeAll of the block made' {
        $fromBlock | Should -Be 'block'
    }
    It 'does not see what discovery made' {
        $fromDiscovery | Should -BeNullOrEmpty
    }
    It 'sees data of discovery when it is handed over (<_>)' -ForEach $fromDiscovery {
        $_ | Should -Be 'discovery'
    }
    It 'may change a variable of the block' {
        $changed = 'by a test'
        $changed | Should -Be 'by a test'
    }
    It 'does not see what another test changed' {
        $changed | Should -Be 'by BeforeAll'
    }

    Context 'inner' {
        BeforeAll { $changed = 'by inner BeforeAll' }
        It 'sees outer blocks' {
            $fromFile | Should -Be 'file'
            $fromBlock | Should -Be 'block'
            $changed | Should -Be 'by inner BeforeAll'
        }
    }

    Context 'after inner' {
        It 'does not see what a sibling block changed' {
            $changed | Should -Be 'by BeforeAll'
        }
    }
}

Describe 'BeforeEach and AfterEach' {
    BeforeAll {
        $log = [System.Collections.Generic.List[string]]::new()
    }
    BeforeEach {
        $script:counter++
        $each = 'outer'
        $log.Add('outer before')
    }
    AfterEach {
        $log.Add("outer after $inTest")
    }

    It 'shares its scope with the test' {
        $each | Should -Be 'outer'
        $inTest = 'one'
    }
    It 'ran AfterEach of the test before, with the variables of that test' {
        $log | Should -Be 'outer before', 'outer after one', 'outer before'
    }

    Context 'inner' {
        BeforeEach {
            $each = "$each inner"
            $log.Add('inner before')
        }
        It 'runs from the outermost in' {
            $each | Should -Be 'outer inner'
            $log[-2] | Should -Be 'outer before'
            $log[-1] | Should -Be 'inner before'
        }
    }
}

Describe 'Automatic variables' {
    BeforeDiscovery {
        $rootAtDiscovery = $PSScriptRoot
    }
    It 'knows the file in PSScriptRoot and PSCommandPath' {
        [System.IO.Path]::GetFileName($PSCommandPath) | Should -Be 'Scoping.Tests.ps1'
        [System.IO.Path]::GetDirectoryName($PSCommandPath) | Should -Be $PSScriptRoot
    }
    It 'has the same at discovery' -ForEach $rootAtDiscovery {
        $_ | Should -Be $PSScriptRoot
    }
}
