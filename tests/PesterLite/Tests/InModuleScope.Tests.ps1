BeforeAll {
    $null = New-Module -Name PesterLiteTestModule -ScriptBlock {
        $secret = 'hidden'
        function Get-HiddenThing { $secret }
        function Get-ShownThing { 'shown' }
        Export-ModuleMember -Function Get-ShownThing
    } | Import-Module -Global -PassThru
}

AfterAll {
    Remove-Module PesterLiteTestModule
}

Describe 'InModuleScope' {
    It 'is needed to see what the module hides' {
        Get-ShownThing | Should -Be 'shown'
        { Get-HiddenThing } | Should -Throw
    }
    It 'sees the functions and variables of the module' {
        InModuleScope PesterLiteTestModule {
            Get-HiddenThing | Should -Be 'hidden'
            $secret | Should -Be 'hidden'
        }
    }
    It 'takes parameters, which are variables too' {
        InModuleScope PesterLiteTestModule -Parameters @{ Expected = 'hidden' } {
            param ($Expected)
            Get-HiddenThing | Should -Be $Expected
        }
        InModuleScope PesterLiteTestModule -Parameters @{ Expected = 'hidden' } { Get-HiddenThing | Should -Be $expected }
    }
    It 'returns what the code returns' {
        InModuleScope PesterLiteTestModule { Get-HiddenThing } | Should -Be 'hidden'
    }
    It 'fails for a module that is not loaded' {
        { InModuleScope NoSuchModule { } } | Should -Throw '*NoSuchModule*'
    }
}
