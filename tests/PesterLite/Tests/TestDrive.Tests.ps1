BeforeAll {
    function Add-TestFile([string] $Name) { [System.IO.File]::WriteAllText([System.IO.Path]::Combine($TestDrive, $Name), 'x') }
    Add-TestFile 'of-the-file'
}

Describe 'TestDrive' {
    BeforeAll { Add-TestFile 'of-the-block' }

    It 'is a folder and a drive' {
        $TestDrive | Should -Exist
        'TestDrive:/' | Should -Exist
    }
    It 'holds what the file and the block made' {
        'TestDrive:/of-the-file' | Should -Exist
        'TestDrive:/of-the-block' | Should -Exist
    }

    Context 'inner' {
        BeforeAll { Add-TestFile 'of-the-inner-block' }
        It 'holds what inner blocks made while they run' {
            'TestDrive:/of-the-inner-block' | Should -Exist
        }
    }

    It 'no longer holds it after them' {
        'TestDrive:/of-the-inner-block' | Should -Not -Exist
        'TestDrive:/of-the-block' | Should -Exist
    }
}

Describe 'TestDrive of the next block' {
    It 'holds what the file made and not what the block before made' {
        'TestDrive:/of-the-file' | Should -Exist
        'TestDrive:/of-the-block' | Should -Not -Exist
    }
}

Describe 'TestDrive after the run' {
    It 'is gone' {
        . "$PSScriptRoot/Invoke-Sample.ps1"
        $run = Invoke-Sample 'Describe d { It i { $TestDrive } }'
        $path = [string]$run.Tests[0].StandardOutput
        $path | Should -Not -BeNullOrEmpty
        $path | Should -Not -Exist
        $TestDrive | Should -Exist
    }
}
