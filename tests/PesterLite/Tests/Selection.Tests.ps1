BeforeAll {
    . "$PSScriptRoot/Invoke-Sample.ps1"
    $sample = @'
Describe 'a' -Tag 'Fast' {
    It 'one' { }
    It 'two' -Tag 'Disk', 'Slow' { }
}
Describe 'b' {
    It 'three' -Tag 'Disk' { }
    It 'four' { }
}
'@
    function Get-SelectedTest([hashtable] $Filter) {
        $run = Invoke-Sample $sample @{ Filter = $Filter }
        @($run.Tests | Where-Object Result -NE 'NotRun' | ForEach-Object Name) -join ' '
    }
}

Describe 'Filters' {
    It 'select by <what>' -ForEach @(
        @{ What = 'nothing'; Filter = @{}; Expected = 'one two three four' }
        @{ What = 'tag of a block'; Filter = @{ Tag = 'Fast' }; Expected = 'one two' }
        @{ What = 'tag of a test'; Filter = @{ Tag = 'disk' }; Expected = 'two three' }
        @{ What = 'several tags'; Filter = @{ Tag = 'Fast', 'Disk' }; Expected = 'one two three' }
        @{ What = 'tag with wildcard'; Filter = @{ Tag = 'D*' }; Expected = 'two three' }
        @{ What = 'excluded tag'; Filter = @{ ExcludeTag = 'Slow' }; Expected = 'one three four' }
        @{ What = 'excluded tag of a block'; Filter = @{ ExcludeTag = 'Fast' }; Expected = 'three four' }
        @{ What = 'tag less an excluded one'; Filter = @{ Tag = 'Disk'; ExcludeTag = 'Slow' }; Expected = 'three' }
        @{ What = 'full name'; Filter = @{ FullName = 'b.four' }; Expected = 'four' }
        @{ What = 'full name with wildcard'; Filter = @{ FullName = '*.t*' }; Expected = 'two three' }
        @{ What = 'full name of a block'; Filter = @{ FullName = 'a' }; Expected = 'one two' }
    ) {
        Get-SelectedTest $filter | Should -Be $expected
    }
    It 'count what they left out' {
        $run = Invoke-Sample $sample @{ Filter = @{ Tag = 'Fast' } }
        $run.TotalCount | Should -Be 4
        $run.NotRunCount | Should -Be 2
        $run.Result | Should -Be 'Passed'
    }
    It 'keep BeforeAll from running where nothing is selected' {
        $run = Invoke-Sample "Describe 'a' { BeforeAll { throw 'run' }; It 'i' -Tag x { } }; Describe 'b' { It 'j' { } }" @{ Filter = @{ ExcludeTag = 'x' } }
        $run.Result | Should -Be 'Passed'
        $run.PassedCount | Should -Be 1
    }
}

Describe 'Skip' {
    It 'takes a condition that is known at discovery' {
        $run = Invoke-Sample @'
Describe 'd' {
    BeforeDiscovery { $skip = $true }
    It 'one' -Skip:$skip { throw }
    It 'two' -Skip:(-not $skip) { }
}
'@
        $run.SkippedCount | Should -Be 1
        $run.PassedCount | Should -Be 1
    }
    It 'runs nothing with SkipRun' {
        $run = Invoke-Sample "Describe 'd' { It 'one' { }; It 'two' { throw } }" @{ Run = @{ SkipRun = $true } }
        $run.PassedCount | Should -Be 0
        $run.FailedCount | Should -Be 0
    }
}

Describe 'Files' {
    BeforeAll {
        $folder = [System.IO.Path]::Combine($TestDrive, 'tests')
        $inner = [System.IO.Path]::Combine($folder, 'inner')
        $null = [System.IO.Directory]::CreateDirectory($inner)
        [System.IO.File]::WriteAllText([System.IO.Path]::Combine($folder, 'A.Tests.ps1'), "Describe 'a' { It 'i' { } }")
        [System.IO.File]::WriteAllText([System.IO.Path]::Combine($inner, 'B.Tests.ps1'), "Describe 'b' { It 'i' { } }")
        [System.IO.File]::WriteAllText([System.IO.Path]::Combine($folder, 'NoTest.ps1'), 'throw')
    }

    It 'are found below a folder by their extension' {
        $run = Invoke-SamplePath $folder
        $run.Containers | Should -HaveCount 2
        $run.PassedCount | Should -Be 2
    }
    It 'are left out by ExcludePath' {
        $run = Invoke-SamplePath $folder @{ Run = @{ ExcludePath = '*B.Tests.ps1' } }
        $run.PassedCount | Should -Be 1
    }
    It 'have a script scope each' {
        [System.IO.File]::WriteAllText([System.IO.Path]::Combine($folder, 'A.Tests.ps1'), 'BeforeAll { $script:leak = 1 }; Describe a { It i { $script:leak | Should -Be 1 } }')
        [System.IO.File]::WriteAllText([System.IO.Path]::Combine($inner, 'B.Tests.ps1'), 'Describe b { It i { $script:leak | Should -BeNullOrEmpty } }')
        (Invoke-SamplePath $folder).FailedCount | Should -Be 0
    }
}

Describe 'Containers' {
    It 'hand parameters to the file, for both phases' {
        $path = [System.IO.Path]::Combine($TestDrive, 'Parameters.Tests.ps1')
        [System.IO.File]::WriteAllText($path, @'
param ([string] $Engine, [string] $Mode = 'default')
Describe "on $Engine" {
    It 'sees them' { "$Engine $Mode" | Should -Be 'fast default' }
}
'@)
        $container = New-PesterContainer -Path $path -Data @{ Engine = 'fast' }
        $run = Invoke-SamplePath '.' @{ Run = @{ Container = $container; Path = '.' } }
        $run.PassedCount | Should -Be 1
        $run.Tests[0].ExpandedPath | Should -Be 'on fast.sees them'
    }
    It 'may be script blocks' {
        # Made from text, so that it does not belong to this runspace.
        $container = New-PesterContainer -ScriptBlock ([scriptblock]::Create("Describe 'd' { It 'i' { 1 | Should -Be 1 } }"))
        $run = Invoke-SamplePath '.' @{ Run = @{ Container = $container; Path = '.' } }
        $run.PassedCount | Should -Be 1
    }
}
