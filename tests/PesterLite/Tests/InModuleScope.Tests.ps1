BeforeAll {
    $null = New-Module -Name PesterLiteTestModule -ScriptBlock {
        $secret = 'hidden'
        function Get-Secret { $secret }
        function Get-Public { 'shown' }
        Export-ModuleMember -Function Get-Public
    } | Import-Module -Global -PassThru
}

AfterAll {
    Remove-Module PesterLiteTestModule
}

Describe 'InModuleScope' {
    It 'is needed to see what the module hides' {
        Get-Public | Should -Be 'shown'
        { Get-Secret } | Should -Throw
    }
    It 'sees the functions and variables of the module' {
        InModuleScope PesterLiteTestModule {
            Get-Secret | Should -Be 'hidden'
            $secret | Should -Be 'hidden'
        }
    }
    It 'takes parameters, which are variables too' {
        InModuleScope PesterLiteTestModule -Parameters @{ Expected = 'hidden' } {
            param ($Expected)
            Get-Secret | Should -Be $Expected
        }
        InModuleScope PesterLiteTestModule -Parameters @{ Expected = 'hidden' } { Get-Secret | Should -Be $expected }
    }
    It 'returns what the code returns' {
        InModuleScope PesterLiteTestModule { Get-Secret } | Should -Be 'hidden'
    }
    It 'fails for a module that is not loaded' {
        { InModuleScope NoSuchModule { } } | Should -Throw '*NoSuchModule*'
    }
}
