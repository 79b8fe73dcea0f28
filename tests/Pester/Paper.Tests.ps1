# examples/paper.ps1 as a whole, with few forks; without Debian's kernel what needs it is skipped by the script itself.
BeforeAll { . $PSScriptRoot/TestMachines.ps1 }

Describe 'The paper in one script' {
    It 'goes through all parts and writes page, pictures and summary' {
        $script = [IO.Path]::GetFullPath([IO.Path]::Combine($PSScriptRoot, '..', '..', 'examples', 'paper.ps1'))
        $page = [IO.Path]::Combine($TestDrive, 'paper.html')
        $lines = @(& $script -Path $page -Forks 40)
        foreach ($part in 1..8) { @($lines | Where-Object { $_ -match "^== $part of 8: " }).Count | Should -Be 1 }
        $text = [IO.File]::ReadAllLines([IO.Path]::Combine($TestDrive, 'paper.txt'))
        $text | Should -Be $lines
        @($text | Where-Object { $_ -match '^pteset\s+HardwareVmm\s+20,463\s+17,020\s+1\.20\s+Prediction' }).Count | Should -Be 1
        @($text | Where-Object { $_ -match '^compiled code fragments\s+4\s+4$' }).Count | Should -Be 1
        @($text | Where-Object { $_ -match '^became a jump to nexti\s+1\s+1$' }).Count | Should -Be 1
        ([xml][IO.File]::ReadAllText($page)).SelectNodes('//*[local-name()="svg"]').Count | Should -Be @([IO.Directory]::GetFiles($TestDrive, 'paper-*.png')).Count
    }
}
