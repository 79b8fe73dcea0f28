Describe 'Should <operator>' -ForEach @(
    @{ Operator = 'Be'; Good = 'Text'; Bad = 'Test'; Expected = 'text' }
    @{ Operator = 'BeExactly'; Good = 'Text'; Bad = 'text'; Expected = 'Text' }
    @{ Operator = 'BeGreaterThan'; Good = 6; Bad = 5; Expected = 5 }
    @{ Operator = 'BeGreaterOrEqual'; Good = 5; Bad = 4; Expected = 5 }
    @{ Operator = 'BeLessThan'; Good = 4; Bad = 5; Expected = 5 }
    @{ Operator = 'BeLessOrEqual'; Good = 5; Bad = 6; Expected = 5 }
    @{ Operator = 'BeLike'; Good = 'Text'; Bad = 'a text'; Expected = 't*' }
    @{ Operator = 'BeLikeExactly'; Good = 'Text'; Bad = 'text'; Expected = 'T*' }
    @{ Operator = 'Match'; Good = 'a Text'; Bad = 'a test'; Expected = 'te?xt$' }
    @{ Operator = 'MatchExactly'; Good = 'a text'; Bad = 'a Text'; Expected = 'te?xt$' }
    @{ Operator = 'BeIn'; Good = 2; Bad = 3; Expected = 1, 2 }
    @{ Operator = 'BeOfType'; Good = 2; Bad = 'two'; Expected = [int] }
    @{ Operator = 'HaveType'; Good = 2; Bad = 'two'; Expected = 'int' }
    @{ Operator = 'Contain'; Good = @(1, 2); Bad = @(1, 3); Expected = 2 }
    @{ Operator = 'HaveCount'; Good = @(1, 2); Bad = @(1, 2, 3); Expected = 2 }
) {
    It 'holds for <good>' {
        $named = @{ $operator = $true }
        $good | Should @named $expected
    }
    It 'fails for <bad>' {
        $named = @{ $operator = $true }
        { $bad | Should @named $expected } | Should -Throw
    }
    It 'fails for <good> with -Not' {
        $named = @{ $operator = $true }
        { $good | Should -Not @named $expected } | Should -Throw
    }
    It 'holds for <bad> with -Not' {
        $named = @{ $operator = $true }
        $bad | Should -Not @named $expected
    }
}

Describe 'Should with arrays' {
    It 'compares arrays item by item' {
        1, 2 | Should -Be 1, 2
        1, 2 | Should -Not -Be 2, 1
        1, 2 | Should -Not -Be 1, 2, 3
        { 1, 2 | Should -Be 1, 3 } | Should -Throw
    }
    It 'compares nested arrays' {
        @(1, @(2, 3)) | Should -Be @(1, @(2, 3))
        @(1, @(2, 3)) | Should -Not -Be @(1, @(2, 4))
    }
    It 'minds case with BeExactly' {
        'a', 'B' | Should -BeExactly 'a', 'B'
        'a', 'B' | Should -Not -BeExactly 'a', 'b'
    }
    It 'takes an array of one as its item' {
        @(1) | Should -Be 1
        1 | Should -Be @(1)
    }
    It 'judges each item by itself where the operator is about one value' {
        1, 2 | Should -BeOfType [int]
        { 1, 'two' | Should -BeOfType [int] } | Should -Throw
        { 5, 1 | Should -BeGreaterThan 3 } | Should -Throw
    }
    It 'sees an array as one value when it comes as an argument' {
        Should -ActualValue @(1, 2) -BeOfType [array]
    }
    It 'counts nothing as no items' {
        @() | Should -HaveCount 0
        @(1) | Should -Not -HaveCount 0
    }
}

Describe 'Should -BeNullOrEmpty' {
    It 'holds for nothing' {
        $null | Should -BeNullOrEmpty
        '' | Should -BeNullOrEmpty
        @() | Should -BeNullOrEmpty
        @{} | Should -BeNullOrEmpty
    }
    It 'fails for something' {
        { 'x' | Should -BeNullOrEmpty } | Should -Throw
        { @(1, 2) | Should -BeNullOrEmpty } | Should -Throw
        { @{ a = 1 } | Should -BeNullOrEmpty } | Should -Throw
        { 0 | Should -BeNullOrEmpty } | Should -Throw
        0 | Should -Not -BeNullOrEmpty
    }
}

Describe 'Should -BeTrue and -BeFalse' {
    It 'holds by truth' {
        $true | Should -BeTrue
        'x' | Should -BeTrue
        $false | Should -BeFalse
        $null | Should -BeFalse
        0 | Should -BeFalse
    }
    It 'fails by truth' {
        { $false | Should -BeTrue } | Should -Throw
        { $null | Should -BeTrue } | Should -Throw
        { 1 | Should -BeFalse } | Should -Throw
    }
}

Describe 'Should -Throw' {
    It 'fails where nothing is thrown' {
        $caught = $null
        try { { 1 } | Should -Throw } catch { $caught = $_ }
        $caught | Should -Not -BeNullOrEmpty
    }
    It 'matches the message as a wildcard pattern' {
        { throw 'the disk is full' } | Should -Throw 'the disk*'
        { throw 'the disk is full' } | Should -Throw -ExpectedMessage '*full'
        { { throw 'the disk is full' } | Should -Throw 'disk' } | Should -Throw
    }
    It 'matches the type of the exception' {
        { throw [System.IO.IOException]::new('x') } | Should -Throw -ExceptionType ([System.IO.IOException])
        { throw [System.IO.FileNotFoundException]::new('x') } | Should -Throw -ExceptionType ([System.IO.IOException])
        { { throw [System.IO.IOException]::new('x') } | Should -Throw -ExceptionType ([System.ArgumentException]) } | Should -Throw
    }
    It 'matches the error id' {
        { throw 'some id' } | Should -Throw -ErrorId 'some id'
        { { throw 'some id' } | Should -Throw -ErrorId 'other id' } | Should -Throw
    }
    It 'passes the error record on' {
        $record = { throw 'the reason' } | Should -Throw -PassThru
        $record | Should -BeOfType ([System.Management.Automation.ErrorRecord])
        $record.Exception.Message | Should -Be 'the reason'
    }
    It 'gives nothing without -PassThru' {
        { throw 'x' } | Should -Throw | Should -BeNullOrEmpty
    }
    It 'fails under -Not for any exception' {
        { 1 } | Should -Not -Throw
        { { throw 'x' } | Should -Not -Throw } | Should -Throw
    }
    It 'refuses what is no script block' {
        { 'text' | Should -Throw } | Should -Throw
    }
    It 'runs the script block where the test sees its variables' {
        $reason = 'from the test'
        { throw $reason } | Should -Throw 'from the test'
    }
}

Describe 'Should with files' {
    BeforeAll {
        $path = [System.IO.Path]::Combine($TestDrive, 'lines.txt')
        [System.IO.File]::WriteAllText($path, "First line`nsecond line`n")
    }
    It 'knows whether a path exists' {
        $path | Should -Exist
        'TestDrive:/lines.txt' | Should -Exist
        "$path.none" | Should -Not -Exist
        { "$path.none" | Should -Exist } | Should -Throw
        { $path | Should -Not -Exist } | Should -Throw
    }
    It 'matches lines' {
        $path | Should -FileContentMatch '^second'
        $path | Should -FileContentMatch 'FIRST'
        $path | Should -FileContentMatchExactly 'First'
        $path | Should -Not -FileContentMatchExactly 'FIRST'
        $path | Should -Not -FileContentMatch 'First.*\n.*second'
        { $path | Should -FileContentMatch 'third' } | Should -Throw
    }
    It 'matches across lines' {
        $path | Should -FileContentMatchMultiline 'first line\nSECOND'
        $path | Should -FileContentMatchMultilineExactly 'First line\nsecond'
        $path | Should -Not -FileContentMatchMultilineExactly 'FIRST'
    }
}

Describe 'Should -HaveParameter' {
    BeforeAll {
        function Get-Thing {
            param (
                [Parameter(Mandatory)] [Alias('N')] [string] $Name,
                [int] $Count = 3
            )
        }
        $command = Get-Command Get-Thing
    }
    It 'knows name, type, alias, mandatory and default' {
        $command | Should -HaveParameter Name
        $command | Should -HaveParameter Name -Type ([string]) -Mandatory -Alias N
        $command | Should -HaveParameter Count -Type ([int]) -DefaultValue 3
        $command | Should -Not -HaveParameter Other
    }
    It 'fails for <what>' -ForEach @(
        @{ What = 'a missing parameter'; Wanted = @{ ParameterName = 'Other' } }
        @{ What = 'another type'; Wanted = @{ ParameterName = 'Count'; Type = [string] } }
        @{ What = 'an optional parameter'; Wanted = @{ ParameterName = 'Count'; Mandatory = $true } }
        @{ What = 'another alias'; Wanted = @{ ParameterName = 'Name'; Alias = 'M' } }
        @{ What = 'another default'; Wanted = @{ ParameterName = 'Count'; DefaultValue = '4' } }
    ) {
        { $command | Should -HaveParameter @wanted } | Should -Throw
    }
}

Describe 'The message of a failed assertion' {
    It 'tells what was expected, what there was and why' {
        $record = { 17 | Should -Be 42 -Because 'that is the answer' } | Should -Throw -PassThru
        $record.Exception.Message | Should -Match '42'
        $record.Exception.Message | Should -Match '17'
        $record.Exception.Message | Should -Match 'because that is the answer'
    }
    It 'says not under -Not' {
        $record = { 42 | Should -Not -Be 42 } | Should -Throw -PassThru
        $record.Exception.Message | Should -Match '\bnot\b'
    }
}
