Describe 'Data of a block: <name>, <size.Width> wide' -ForEach @(
    @{ Name = 'small'; Size = @{ Width = 1 } }
    @{ Name = 'large'; Size = @{ Width = 9 } }
) {
    BeforeAll { $doubled = $size.Width * 2 }

    It 'sets a variable for each key' {
        $name | Should -BeIn 'small', 'large'
        $doubled | Should -Be ($size.Width * 2)
    }
    It 'sets the underscore to the hashtable' {
        $_.Name | Should -Be $name
    }
    It 'nests in <name> with item <_>' -ForEach 1, 2 {
        $_ | Should -BeIn 1, 2
        $name | Should -BeIn 'small', 'large'
    }
    Context 'inner <_>' -ForEach 'a', 'b' {
        It 'has both' {
            $_ | Should -BeIn 'a', 'b'
            $size.Width | Should -BeGreaterThan 0
        }
    }
}

Describe 'Data of a test' {
    It 'takes -TestCases' -TestCases @{ A = 1; B = 1 }, @{ A = 2; B = 2 } {
        $a | Should -Be $b
    }
    It 'takes a param block' -TestCases @{ A = 1; B = 1 } {
        param ($A, $B)
        $A | Should -Be 1
        $B | Should -Be 1
    }
    It 'keeps data from changing between tests' -ForEach @{ A = 1 }, @{ A = 1 } {
        $a | Should -Be 1
        $a = 2
    }
}

Describe 'Names' {
    BeforeAll {
        . "$PSScriptRoot/Invoke-Sample.ps1"
        $run = Invoke-Sample @'
Describe 'D <name>' -ForEach @{ Name = 'one' }, @{ Name = 'two' } {
    Context 'C <_.Key>' -ForEach @{ Key = 'k' } {
        It 'I <_.A.B>' -ForEach @{ A = @{ B = 'deep' } } { }
        BeforeAll { $made = 'by BeforeAll' }
        BeforeEach { $each = 'by BeforeEach' }
        It 'I am <made> and <each>' { }
        It 'I `<kept> $plain "quoted"' { }
    }
}
'@
        $paths = @($run.Tests | ForEach-Object ExpandedPath)
    }

    It 'expand the data of the item and of its blocks' {
        $paths | Should -Contain 'D one.C k.I deep'
        $paths | Should -Contain 'D two.C k.I deep'
    }
    It 'expand what the set-up made' {
        $paths | Should -Contain 'D one.C k.I am by BeforeAll and by BeforeEach'
    }
    It 'keep the template in Name' {
        @($run.Tests | ForEach-Object Name) | Should -Contain 'I <_.A.B>'
    }
    It 'leave dollars and quotes as they are, and a < after a backtick' {
        $paths | Should -Contain 'D one.C k.I <kept> $plain "quoted"'
    }
}
